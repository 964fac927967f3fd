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
    /// It had a request already.
    pub(super) used: bool,
    /// For how long it has waited for what it waits for, and how old it is: it may have been in other processes before.
    pub(super) waited: Duration,
    pub(super) age: Duration,
    /// What connections of its listener go through, and whether it has to before it is read.
    pub(super) acceptor: Option<Acceptor>,
    pub(super) is_to_be_let_in: bool,
    /// What handlers are to know of it.
    pub(super) known: Extensions,
}

/// A connection as the generation before has sent it.
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
    /// An HTTP/1 connection that no listener accepted: a rehearsal's or a test's.
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

    /// `acceptor` is what connections of its listener go through here; `transport` is the state of what it went through where it
    /// was accepted.
    ///
    /// # Errors
    ///
    /// If it did not go through the same, or speaks HTTP/2 and cannot go on here. The socket was not read or written.
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
