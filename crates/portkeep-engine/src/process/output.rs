//! Output of a process, line by line.

use tokio::io::AsyncRead;
use tokio::process::{ChildStderr, ChildStdout};
use tokio::sync::mpsc;

use super::Lines;

/// Number of lines that may wait. A process that writes more waits.
const WAITING: usize = 4;

/// The lines of both streams of a process, in order of arrival. Lines that are not taken hold up the process.
#[derive(Debug)]
pub struct Output {
    read: mpsc::Receiver<Vec<String>>,
    next: std::vec::IntoIter<String>,
}

impl Output {
    /// Reads in tasks of its own, which end when the streams or this value are closed.
    #[must_use]
    pub fn of(stdout: Option<ChildStdout>, stderr: Option<ChildStderr>) -> Self {
        let (sender, lines) = mpsc::channel(WAITING);
        forward(stdout, sender.clone());
        forward(stderr, sender);
        Self {
            read: lines,
            next: Vec::new().into_iter(),
        }
    }

    /// Lines that have been read already.
    pub fn at_hand(&mut self) -> impl Iterator<Item = String> {
        self.next.by_ref()
    }

    /// The next line; nothing at the end of both streams. Can be dropped and called again.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(line) = self.next.next() {
                return Some(line);
            }
            self.next = self.read.recv().await?.into_iter();
        }
    }
}

fn forward(
    stream: Option<impl AsyncRead + Unpin + Send + 'static>,
    lines: mpsc::Sender<Vec<String>>,
) {
    let Some(stream) = stream else { return };
    tokio::spawn(async move {
        let mut read = Lines::of(stream);
        while let Ok(Some(line)) = read.next().await {
            let mut all = vec![line];
            all.extend(read.read_already());
            if lines.send(all).await.is_err() {
                break;
            }
        }
    });
}
