//! What everybody has said: lines in a file that all generations read and append to. A place in it is a number of bytes.
//!
//! It stands for what an app has outside of its process, such as a database: two generations run at once, and what they have in
//! common cannot be in the memory of one of them.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::interval;

#[derive(Clone)]
pub(crate) struct Log {
    file: Arc<File>,
    end: watch::Receiver<u64>,
}

impl Log {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::options()
            .create(true)
            .append(true)
            .read(true)
            .open(path)?;
        let file = Arc::new(file);
        let (sender, end) = watch::channel(file.metadata()?.len());
        let watched = Arc::clone(&file);
        tokio::spawn(async move {
            // Other processes append too. A database would tell.
            let mut looks = interval(Duration::from_millis(10));
            while let Ok(file) = watched.metadata() {
                sender.send_if_modified(|end| std::mem::replace(end, file.len()) != file.len());
                looks.tick().await;
            }
        });
        Ok(Self { file, end })
    }

    pub(crate) fn end(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// One write, so that lines of others are before it or behind it.
    pub(crate) fn say(&self, line: &str) -> io::Result<()> {
        let line = format!("{}\n", line.replace('\n', " "));
        (&*self.file).write_all(line.as_bytes())
    }

    /// The line at this place, once there is one, and the place behind it.
    pub(crate) async fn next(&self, place: u64) -> io::Result<(u64, String)> {
        let mut end = self.end.clone();
        let mut room = 512;
        loop {
            end.wait_for(|end| *end > place)
                .await
                .map_err(io::Error::other)?;
            end.mark_unchanged();
            let mut bytes = vec![0; room];
            let length = self.file.read_at(&mut bytes, place)?;
            match bytes[..length].iter().position(|byte| *byte == b'\n') {
                Some(line) => {
                    let text = String::from_utf8_lossy(&bytes[..line]).into_owned();
                    return Ok((place + line as u64 + 1, text));
                }
                None if length == room => room *= 2,
                None => end.changed().await.map_err(io::Error::other)?,
            }
        }
    }
}
