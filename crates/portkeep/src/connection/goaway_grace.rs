//! Grace for requests that are on their way when an HTTP/2 connection is told to end.
//!
//! h2 ends a connection in two steps: "no new streams soon" with a ping; when the client has answered that, "no streams
//! after this one", and later streams are dropped. But clients answer a ping before they send queued requests, so that
//! requests from before the first step come right behind the answer, and fail. Here the answer to that one ping is held
//! back for a moment, and the bytes behind it go first.
//!
//! If h2 ever uses another ping, nothing is held back, and it ends as without this.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// How long requests behind the answer may take.
const GRACE: Duration = Duration::from_millis(300);
/// What every client sends first.
const PREFACE: usize = 24;
const HEAD: usize = 9;
/// The answer to h2's ping: length 8, type 6, flag 1, stream 0, and its payload.
const PONG: [u8; HEAD + 8] = [
    0, 0, 8, 6, 1, 0, 0, 0, 0, 0x0b, 0x7b, 0xa2, 0xf0, 0x8b, 0x9b, 0xfe, 0x54,
];

pub(super) struct GoawayGrace<T> {
    io: T,
    /// Set when the connection is told to end.
    ending: Arc<AtomicBool>,
    frames: Frames,
    mode: Mode,
    /// Bytes to be read first.
    out: Vec<u8>,
}

enum Mode {
    /// Bytes pass, and frames are followed.
    Passing,
    /// Bytes pass through `out`. Once the pong has come, it is held back for this long.
    Sifting(Option<Pin<Box<Sleep>>>),
    /// Bytes pass unfollowed.
    Done,
}

/// Position of the next byte in the client's stream of frames.
struct Frames {
    /// Bytes until the end of the current frame, if its head is complete.
    left: usize,
    /// Begun head of the next frame, or of a possible pong.
    head: Vec<u8>,
}

impl<T> GoawayGrace<T> {
    /// The caller sets `ending` before it tells the connection to end.
    pub(super) fn new(io: T, ending: Arc<AtomicBool>) -> Self {
        Self {
            io,
            ending,
            frames: Frames {
                left: PREFACE,
                head: Vec::with_capacity(PONG.len()),
            },
            mode: Mode::Passing,
            out: Vec::new(),
        }
    }
}

impl Frames {
    /// Follows bytes that have already been passed on.
    fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let step = self.left.min(bytes.len());
                self.left -= step;
                bytes = &bytes[step..];
            } else {
                let step = (HEAD - self.head.len()).min(bytes.len());
                self.head.extend_from_slice(&bytes[..step]);
                bytes = &bytes[step..];
                if self.head.len() == HEAD {
                    self.left = length(&self.head);
                    self.head.clear();
                }
            }
        }
    }

    /// Moves bytes to `out`, but keeps a possible pong. Stops behind the pong and returns true; the rest of `bytes` is not
    /// looked at.
    fn sift(&mut self, bytes: &mut &[u8], out: &mut Vec<u8>) -> bool {
        while !bytes.is_empty() {
            if self.left > 0 {
                let step = self.left.min(bytes.len());
                out.extend_from_slice(&bytes[..step]);
                self.left -= step;
                *bytes = &bytes[step..];
                continue;
            }
            self.head.push(bytes[0]);
            *bytes = &bytes[1..];
            if self.head == PONG {
                self.head.clear();
                return true;
            }
            if self.head.len() >= HEAD && !PONG.starts_with(&self.head) {
                // If it is a frame of eight bytes, `head` may have some of them.
                self.left = length(&self.head) + HEAD - self.head.len();
                out.append(&mut self.head);
            }
        }
        false
    }
}

fn length(head: &[u8]) -> usize {
    u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize
}

impl<T: AsyncRead + Unpin> AsyncRead for GoawayGrace<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if !this.out.is_empty() {
                let count = buf.remaining().min(this.out.len());
                buf.put_slice(&this.out[..count]);
                this.out.drain(..count);
                return Poll::Ready(Ok(()));
            }
            match &mut this.mode {
                Mode::Passing if this.ending.load(Ordering::SeqCst) => {
                    let begun = this.frames.head.len();
                    if begun == 0 {
                        this.mode = Mode::Sifting(None);
                        continue;
                    }
                    // The beginning of a head has been passed on, so the rest of it is as well.
                    let mut bytes = [0; HEAD];
                    let mut read = ReadBuf::new(&mut bytes[begun..]);
                    ready!(Pin::new(&mut this.io).poll_read(cx, &mut read))?;
                    if read.filled().is_empty() {
                        return Poll::Ready(Ok(()));
                    }
                    this.frames.pass(read.filled());
                    this.out.extend_from_slice(read.filled());
                }
                Mode::Passing => {
                    let before = buf.filled().len();
                    ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
                    this.frames.pass(&buf.filled()[before..]);
                    return Poll::Ready(Ok(()));
                }
                Mode::Sifting(held) => {
                    let is_due = held
                        .as_mut()
                        .is_some_and(|grace| grace.as_mut().poll(cx).is_ready());
                    if is_due && this.frames.left == 0 {
                        this.out.extend_from_slice(&PONG);
                        this.out.append(&mut this.frames.head);
                        this.mode = Mode::Done;
                        continue;
                    }
                    let mut bytes = [0; 4096];
                    let mut read = ReadBuf::new(&mut bytes);
                    ready!(Pin::new(&mut this.io).poll_read(cx, &mut read))?;
                    let mut bytes = read.filled();
                    if bytes.is_empty() {
                        return Poll::Ready(Ok(()));
                    }
                    while this.frames.sift(&mut bytes, &mut this.out) {
                        *held = Some(Box::pin(sleep(GRACE)));
                    }
                }
                Mode::Done => return Pin::new(&mut this.io).poll_read(cx, buf),
            }
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for GoawayGrace<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    /// The frames that a client sends after the preface, and where the pong is among them.
    fn conversation() -> (Vec<Vec<u8>>, usize) {
        let frames = vec![
            frame(1, 4, b"a request"),
            frame(0, 0, &PONG),
            // Almost the pong.
            [&PONG[..16], b"x"].concat(),
            frame(6, 1, &PONG[9..]),
            PONG.to_vec(),
            frame(1, 4, b"a late request"),
            frame(4, 1, b""),
        ];
        (frames, 4)
    }

    /// All bytes that are read when `bytes` are sent in pieces, ending after the first `before` bytes.
    async fn read(bytes: &[u8], piece: usize, before: usize) -> Vec<u8> {
        let (mut client, server) = duplex(1 << 16);
        let ending = Arc::new(AtomicBool::new(false));
        let mut server = GoawayGrace::new(server, Arc::clone(&ending));
        let mut read = Vec::new();
        let mut buf = [0; 64];
        for piece in bytes[..before].chunks(piece) {
            client.write_all(piece).await.unwrap();
            let length = server.read(&mut buf).await.unwrap();
            read.extend_from_slice(&buf[..length]);
        }
        ending.store(true, Ordering::SeqCst);
        let send = async {
            for piece in bytes[before..].chunks(piece) {
                client.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            // It stays open, as clients do.
            std::future::pending::<()>().await;
        };
        let receive = async {
            while read.len() < bytes.len() {
                let length = server.read(&mut buf).await.unwrap();
                read.extend_from_slice(&buf[..length]);
            }
        };
        tokio::select! {
            () = send => {}
            () = receive => {}
        }
        read
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_behind_the_pong_goes_first_however_it_is_split() {
        let (frames, pong) = conversation();
        let preface = vec![b'P'; PREFACE];
        let bytes = [preface.clone(), frames.concat()].concat();
        let mut late = frames.clone();
        let held = late.remove(pong);
        late.push(held);
        let expected = [preface, late.concat()].concat();
        let pong_at = PREFACE + frames[..pong].concat().len();
        for piece in [1, 2, 3, 7, 11, 17, 64] {
            for before in 0..=pong_at {
                let read = read(&bytes, piece, before).await;
                assert_eq!(read, expected, "pieces of {piece}, ending after {before}");
            }
            // Its head had been read before: it goes as it came.
            assert_eq!(read(&bytes, piece, pong_at + 5).await, bytes);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_given_after_the_grace_and_nothing_changes_without_an_end() {
        let bytes = [vec![b'P'; PREFACE], PONG.to_vec()].concat();
        let began = tokio::time::Instant::now();
        assert_eq!(read(&bytes, 64, PREFACE).await, bytes);
        assert!(began.elapsed() >= GRACE);
        let began = tokio::time::Instant::now();
        assert_eq!(read(&bytes, 64, bytes.len()).await, bytes);
        assert!(began.elapsed() < GRACE);
    }
}
