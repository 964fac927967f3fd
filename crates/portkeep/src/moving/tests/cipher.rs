//! A transport as moving needs it to be tested: records, a key, a counter for each direction that has to be right to the byte. It
//! protects nothing.
//!
//! The unit tests and those with processes have it in common.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use portkeep::{Accepted, Parts, Secret, Transport};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// The most bytes of a record, without its head: a length and a tag.
pub(crate) const RECORD: usize = 4096;
const HEAD: usize = 4;

/// One direction of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counter {
    key: u64,
    bytes: u64,
}

impl Counter {
    pub(crate) fn new(key: u64) -> Self {
        Self { key, bytes: 0 }
    }

    fn tag(self) -> [u8; 2] {
        let tag = self.key ^ self.bytes.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        [tag as u8, (tag >> 32) as u8]
    }

    fn apply(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte ^= (self.key >> (self.bytes % 56)) as u8 ^ self.bytes as u8;
            self.bytes += 1;
        }
    }

    /// Records.
    pub(crate) fn seal(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut records = Vec::with_capacity(bytes.len() + HEAD);
        for part in bytes.chunks(RECORD) {
            records.extend((part.len() as u16).to_le_bytes());
            records.extend(self.tag());
            let begin = records.len();
            records.extend(part);
            self.apply(&mut records[begin..]);
        }
        records
    }

    /// Takes what is whole of `records`, and leaves the rest.
    pub(crate) fn open(&mut self, records: &mut Vec<u8>) -> io::Result<Vec<u8>> {
        let mut opened = Vec::new();
        while let Some(([l0, l1, tag @ ..], rest)) = records.split_first_chunk::<HEAD>() {
            let length = usize::from(u16::from_le_bytes([*l0, *l1]));
            if *tag != self.tag() {
                return Err(io::Error::other("the two sides are out of step"));
            }
            let Some(payload) = rest.get(..length) else {
                break;
            };
            let mut payload = payload.to_vec();
            self.apply(&mut payload);
            opened.append(&mut payload);
            records.drain(..HEAD + length);
        }
        Ok(opened)
    }
}

/// What the client does with its key.
pub(crate) fn keys(key: u64) -> (Counter, Counter) {
    (Counter::new(key), Counter::new(!key))
}

/// The server's side. A state of a generation with another name is refused if `foreign` is false.
#[derive(Debug, Clone)]
pub(crate) struct Cipher {
    pub(crate) name: u64,
    pub(crate) foreign: bool,
}

/// What handlers hear: the key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key(#[allow(dead_code, reason = "not by all tests")] pub(crate) u64);

#[derive(Debug)]
pub(crate) struct CipherStream {
    connection: Accepted,
    key: u64,
    from_client: Counter,
    to_client: Counter,
    /// Not whole.
    records: Vec<u8>,
    opened: Vec<u8>,
    unsent: Vec<u8>,
}

const MAGIC: &[u8; 8] = b"cipher 1";

impl Cipher {
    fn stream(connection: Accepted, key: u64) -> CipherStream {
        let (from_client, to_client) = keys(key);
        CipherStream {
            connection,
            key,
            from_client,
            to_client,
            records: Vec::new(),
            opened: Vec::new(),
            unsent: Vec::new(),
        }
    }
}

impl Transport for Cipher {
    type Stream = CipherStream;

    async fn accept(&self, mut connection: Accepted) -> io::Result<CipherStream> {
        let key = connection.read_u64_le().await?;
        Ok(Self::stream(connection, key))
    }

    fn take_apart(&self, stream: CipherStream) -> Result<Parts, CipherStream> {
        if !stream.records.is_empty() || !stream.unsent.is_empty() {
            return Err(stream);
        }
        let state = [
            *MAGIC,
            self.name.to_le_bytes(),
            stream.key.to_le_bytes(),
            stream.from_client.bytes.to_le_bytes(),
            stream.to_client.bytes.to_le_bytes(),
        ];
        Ok(Parts {
            connection: stream.connection,
            state: Secret::from(state.concat()),
            unread: stream.opened,
        })
    }

    fn reassemble(&self, connection: Accepted, state: Secret) -> io::Result<CipherStream> {
        let (parts, rest) = state.expose().as_chunks::<8>();
        let [magic, name, key, from_client, to_client] = parts else {
            return Err(io::Error::other("this is no state"));
        };
        if magic != MAGIC || !rest.is_empty() {
            return Err(io::Error::other("this is no state"));
        }
        if !self.foreign && u64::from_le_bytes(*name) != self.name {
            return Err(io::Error::other("a foreign state"));
        }
        let mut stream = Self::stream(connection, u64::from_le_bytes(*key));
        stream.from_client.bytes = u64::from_le_bytes(*from_client);
        stream.to_client.bytes = u64::from_le_bytes(*to_client);
        Ok(stream)
    }

    fn introduce(&self, stream: &CipherStream) -> http::Extensions {
        let mut known = http::Extensions::new();
        known.insert(Key(stream.key));
        known
    }
}

impl AsyncRead for CipherStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.opened.is_empty() {
            let mut bytes = [0; 16 * 1024];
            let mut raw = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut this.connection).poll_read(cx, &mut raw))?;
            if raw.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.records.extend(raw.filled());
            this.opened = this.from_client.open(&mut this.records)?;
        }
        let count = buf.remaining().min(this.opened.len());
        buf.put_slice(&this.opened[..count]);
        this.opened.drain(..count);
        Poll::Ready(Ok(()))
    }
}

impl CipherStream {
    fn send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let sent = Pin::new(&mut self.connection).poll_write(cx, &self.unsent);
            self.unsent.drain(..ready!(sent)?);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for CipherStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.send(cx))?;
        let part = &buf[..buf.len().min(4 * RECORD)];
        self.unsent = self.to_client.seal(part);
        // The rest of it is for the flush.
        let _ = self.send(cx)?;
        Poll::Ready(Ok(part.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.send(cx))?;
        Pin::new(&mut self.connection).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.send(cx))?;
        Pin::new(&mut self.connection).poll_shutdown(cx)
    }
}
