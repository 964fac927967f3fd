//! Connection that this process has just received.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::Extensions;

use super::Peer;
use crate::Secret;
use crate::acceptor::Acceptor;
use crate::drain::Shared;
use crate::listen::{Listener, Stream};
use crate::moving::Speaks;

/// From a listener, or from the generation before.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(super) stream: Stream,
    pub(super) peer: Peer,
    /// The name of the listener that accepted it.
    pub(super) listener: Arc<str>,
    /// Bytes to read before those of the socket.
    pub(super) unread: Vec<u8>,
    pub(super) speaks: Speaks,
    /// Whether it had a request already.
    pub(super) used: bool,
    /// How long it has been idle or unfinished, and its age, both including earlier processes.
    pub(super) waited: Duration,
    pub(super) age: Duration,
    /// The acceptor of its listener; the flag says whether the connection has to pass it before it is read.
    pub(super) acceptor: Option<Acceptor>,
    pub(super) is_to_be_let_in: bool,
    /// Extensions for requests.
    pub(super) known: Extensions,
}

/// A connection as the last generation sent it.
#[derive(Debug)]
pub(crate) struct Moved {
    pub(crate) stream: Stream,
    pub(crate) listener: Arc<str>,
    pub(crate) unread: Vec<u8>,
    pub(crate) speaks: Speaks,
    pub(crate) used: bool,
    pub(crate) waited: Duration,
    pub(crate) age: Duration,
}

impl Arrival {
    /// An HTTP/1 connection that no listener accepted, for a rehearsal or a test.
    pub(super) fn rehearsed(stream: Stream) -> Self {
        Self {
            peer: Peer::behind(&stream),
            stream,
            listener: "".into(),
            unread: Vec::new(),
            speaks: Speaks::Http1,
            used: false,
            waited: Duration::ZERO,
            age: Duration::ZERO,
            acceptor: None,
            is_to_be_let_in: false,
            known: Extensions::new(),
        }
    }

    pub(crate) fn accepted(stream: Stream, listener: &Listener, shared: &Shared) -> Self {
        shared.limits.apply(&stream);
        Self {
            listener: Arc::clone(&listener.name),
            speaks: Speaks::Unknown,
            acceptor: listener.acceptor.clone(),
            is_to_be_let_in: listener.acceptor.is_some(),
            ..Self::rehearsed(stream)
        }
    }

    /// `acceptor` is that of its listener here; `transport` is the state of the transport that it passed where it was
    /// accepted.
    ///
    /// # Errors
    ///
    /// If it did not pass the same transport, or speaks HTTP/2 and cannot continue here. The socket was neither read nor
    /// written.
    pub(crate) fn moved(
        moved: Moved,
        acceptor: Option<&Acceptor>,
        transport: Option<Secret>,
        shared: &Shared,
    ) -> io::Result<Self> {
        #[cfg(feature = "http2")]
        if let Speaks::Http2(state) = &moved.speaks {
            super::http2::check(state.expose())?;
        }
        shared.limits.apply(&moved.stream);
        let peer = Peer::behind(&moved.stream);
        let (stream, known) = match (acceptor, transport) {
            (None, None) => (moved.stream, Extensions::new()),
            (Some(acceptor), Some(state)) => acceptor.reassemble(moved.stream, state)?,
            (Some(_), None) => {
                return Err(io::Error::other(
                    "connections of its listener go through a transport here, and it did not",
                ));
            }
            (None, Some(_)) => {
                return Err(io::Error::other(
                    "it went through a transport, and connections of its listener go through none here",
                ));
            }
        };
        Ok(Self {
            stream,
            peer,
            listener: moved.listener,
            unread: moved.unread,
            speaks: moved.speaks,
            used: moved.used,
            waited: moved.waited,
            age: moved.age,
            acceptor: acceptor.cloned(),
            is_to_be_let_in: false,
            known,
        })
    }
}
