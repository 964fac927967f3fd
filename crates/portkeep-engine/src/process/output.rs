//! What a process writes, line by line.

use tokio::io::AsyncRead;
use tokio::process::{ChildStderr, ChildStdout};
use tokio::sync::mpsc;

use super::Lines;

/// Lines that wait to be taken. Who writes more waits.
const WAITING: usize = 64;

/// The lines of both streams of a process, in the order in which they come. What is not taken holds up the process.
#[derive(Debug)]
pub struct Output(mpsc::Receiver<String>);

impl Output {
    /// Reads in tasks of its own, which end when nobody has the other end of the streams, or nobody this.
    #[must_use]
    pub fn of(stdout: Option<ChildStdout>, stderr: Option<ChildStderr>) -> Self {
        let (sender, lines) = mpsc::channel(WAITING);
        forward(stdout, sender.clone());
        forward(stderr, sender);
        Self(lines)
    }

    /// The next line; nothing at the end of both streams. Can be dropped and called again.
    pub async fn next(&mut self) -> Option<String> {
        self.0.recv().await
    }
}

fn forward(stream: Option<impl AsyncRead + Unpin + Send + 'static>, lines: mpsc::Sender<String>) {
    let Some(stream) = stream else { return };
    tokio::spawn(async move {
        let mut read = Lines::of(stream);
        while let Ok(Some(line)) = read.next().await {
            if lines.send(line).await.is_err() {
                break;
            }
        }
    });
}
