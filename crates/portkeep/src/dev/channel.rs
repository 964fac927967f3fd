//! Channel to `portkeep dev`: a Unix socket, one question a connection; see [`portkeep_contract::development`].

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, StatusCode};
use portkeep_contract::development::{AllowedHost, LONGEST_HEAD, Question, Refusal};
use portkeep_contract::{PORTKEEP_DEV, PORTKEEP_DEV_HOLD, PORTKEEP_DEV_HOSTS, PORTKEEP_GENERATION};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::{ShutdownToken, task};

/// How long `portkeep dev` may take for an answer that the app waits for; a stopped one (Ctrl-Z) never answers.
const PATIENCE: Duration = Duration::from_millis(200);

/// Address of `portkeep dev`, and settings from it.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) path: PathBuf,
    /// The number of this generation.
    pub(super) generation: u64,
    /// Whether requests may have to wait for a build.
    pub(super) holds: bool,
    /// Hosts whose pages get the script, whichever machine asks for them.
    pub(super) allowed: Vec<AllowedHost>,
}

impl Channel {
    /// From the environment that `portkeep dev` sets; `None` if it did not start this process.
    pub(super) fn from_env() -> Option<Self> {
        let path = PathBuf::from(std::env::var_os(PORTKEEP_DEV)?);
        let generation = std::env::var(PORTKEEP_GENERATION).ok()?;
        let hosts = std::env::var(PORTKEEP_DEV_HOSTS).unwrap_or_default();
        Some(Self {
            path,
            generation: generation.parse().ok()?,
            holds: std::env::var_os(PORTKEEP_DEV_HOLD).is_some(),
            // `portkeep dev` has refused invalid hosts.
            allowed: hosts
                .split(',')
                .filter_map(|one| one.parse().ok())
                .collect(),
        })
    }

    /// Whether `portkeep dev` runs; it may have gone and left us running.
    pub(super) fn is_open(&self) -> bool {
        self.path.exists()
    }

    /// Asks a question. `path` follows [`PREFIX`](portkeep_contract::development::PREFIX).
    pub(super) async fn ask(&self, path: &str) -> io::Result<Answer> {
        let stream = UnixStream::connect(&self.path).await?;
        let question = format!("{}\n", Question::new(self.generation, path));
        let mut rest = question.as_bytes();
        while !rest.is_empty() {
            stream.writable().await?;
            match stream.try_write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        let mut read = BytesMut::new();
        let end = loop {
            if let Some(end) = read.iter().position(|byte| *byte == b'\n') {
                break end;
            }
            if read.len() > LONGEST_HEAD || !receive(&stream, &mut read).await? {
                return Err(io::ErrorKind::InvalidData.into());
            }
        };
        let head = read.split_to(end + 1);
        let (status, kind) = head_of(&head[..end]).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Answer {
            status,
            kind,
            first: read.freeze(),
            stream,
        })
    }
}

impl Channel {
    /// Announces this version of the protocol, and whether requests wait here. It has arrived when this returns: before the
    /// generation is READY.
    pub(super) async fn announce(&self, holds: bool) {
        let asked = if holds { "holds" } else { "hello" };
        // Without an answer, `portkeep dev` knows less.
        let _ = timeout(PATIENCE, self.ask(asked)).await;
    }

    /// Numbers of page contents other than the generation, as of now.
    pub(super) async fn made_of(&self) -> Option<String> {
        let asked = async { self.ask("page").await?.into_text().await };
        let text = timeout(PATIENCE, asked).await.ok()?.ok()?;
        let text = std::str::from_utf8(&text).ok()?.trim();
        // It goes into a page.
        let is_number = |byte: u8| byte.is_ascii_digit() || byte == b' ';
        text.bytes().all(is_number).then(|| text.to_owned())
    }

    /// Reports a page that could not be changed.
    pub(super) fn tell_compressed(self: Arc<Self>, path: &str) {
        self.tell(format!("compressed {path}"));
    }

    /// Reports that the pages of a host get no script, or none that may ask.
    pub(super) fn tell_refused(self: Arc<Self>, why: Refusal, host: &str) {
        self.tell(format!("refused {} {host}", why.word()));
    }

    /// No page waits for this.
    fn tell(self: Arc<Self>, what: String) {
        task::spawn(async move {
            let _ = timeout(PATIENCE, self.ask(&what)).await;
        });
    }
}

fn head_of(line: &[u8]) -> Option<(StatusCode, HeaderValue)> {
    let line = std::str::from_utf8(line).ok()?;
    let (status, kind) = line.split_once(' ')?;
    Some((status.parse().ok()?, kind.parse().ok()?))
}

/// Reads available bytes. False at the end.
async fn receive(stream: &UnixStream, into: &mut BytesMut) -> io::Result<bool> {
    let mut piece = [0; 4096];
    loop {
        stream.readable().await?;
        match stream.try_read(&mut piece) {
            Ok(count) => {
                into.extend_from_slice(&piece[..count]);
                return Ok(count > 0);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// An answer of `portkeep dev`.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// Its content type.
    pub(super) kind: HeaderValue,
    first: Bytes,
    stream: UnixStream,
}

impl Answer {
    /// The body, which ends when the server drains: an open tab must not hold up a drain.
    pub(super) fn into_body(self, token: &ShutdownToken) -> StreamedBody {
        StreamedBody {
            first: self.first,
            stream: self.stream,
            end: Box::pin(token.started()),
        }
    }

    /// The whole body of an answer that ends.
    pub(super) async fn into_text(self) -> io::Result<Bytes> {
        let mut text = BytesMut::from(&self.first[..]);
        while receive(&self.stream, &mut text).await? {}
        Ok(text.freeze())
    }
}

/// A body that is passed on as it comes.
pub(super) struct StreamedBody {
    first: Bytes,
    stream: UnixStream,
    end: Pin<Box<dyn Future<Output = ()> + Send + Sync>>,
}

impl StreamedBody {
    pub(super) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if !self.first.is_empty() {
            return Poll::Ready(Some(std::mem::take(&mut self.first)));
        }
        if self.end.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        let mut piece = [0; 4096];
        let mut buffer = ReadBuf::new(&mut piece);
        // An error is the end: `portkeep dev` has gone.
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer));
        let piece = buffer.filled();
        Poll::Ready((read.is_ok() && !piece.is_empty()).then(|| Bytes::copy_from_slice(piece)))
    }
}
