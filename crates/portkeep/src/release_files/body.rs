//! Contents of a file, piece by piece, without blocking a worker.

use std::fs::File;
use std::future::Future;
use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::task::{JoinHandle, spawn_blocking};

/// Size of a part that is read at once, and held for each running answer.
const PART: u64 = 64 << 10;

/// The body of an answer of [`ReleaseFiles`](super::ReleaseFiles): the contents of a file, or nothing.
#[derive(Debug)]
pub struct FileBody {
    state: State,
    left: u64,
}

#[derive(Debug)]
enum State {
    Open(File),
    Reading(JoinHandle<io::Result<(File, Bytes)>>),
    Over,
}

impl FileBody {
    /// The first `size` bytes of a file.
    pub(super) fn of(file: File, size: u64) -> Self {
        Self {
            state: State::Open(file),
            left: size,
        }
    }

    pub(super) fn empty() -> Self {
        Self {
            state: State::Over,
            left: 0,
        }
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        loop {
            match std::mem::replace(&mut this.state, State::Over) {
                State::Over => return Poll::Ready(None),
                State::Open(_) if this.left == 0 => return Poll::Ready(None),
                State::Open(file) => {
                    let length = PART.min(this.left);
                    this.state = State::Reading(spawn_blocking(move || part(file, length)));
                }
                State::Reading(mut reading) => {
                    let Poll::Ready(read) = Pin::new(&mut reading).poll(cx) else {
                        this.state = State::Reading(reading);
                        return Poll::Pending;
                    };
                    let (file, part) = read.map_err(io::Error::other)??;
                    this.left -= part.len() as u64;
                    this.state = State::Open(file);
                    return Poll::Ready(Some(Ok(Frame::data(part))));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

fn part(file: File, length: u64) -> io::Result<(File, Bytes)> {
    let mut part = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    (&file).take(length).read_to_end(&mut part)?;
    if part.is_empty() {
        // It was truncated: the announced length is wrong now.
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok((file, part.into()))
}
