//! Handing a WebSocket over to the next generation.

use std::fmt;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

use super::super::io::{Identity, Io};
use super::{Inner, MOST_KEPT, PartialMessage, RawWebSocket, Underlying};
use crate::SessionState;
use crate::drain::{Phase, count};
use crate::limits::Watched;
use crate::listen::{StaysWhole, Stream, TakenApart};
use crate::moving::{Speaks, Transfer};
use crate::websocket::{AddressedState, MOST_BYTES, MOST_NAME};

/// Bytes that are kept while a record of a transport is incomplete: of what the library has, and as much again.
const MOST_UNREAD: usize = 2 * MOST_KEPT;

/// Why a WebSocket stays with this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// No next generation takes connections, or none any more: the drain's deadline is near.
    #[error("there is no next generation that takes connections")]
    NoSuccessor,
    /// This process does not end, but was taken out by `portkeep drain`: its clients are to go elsewhere.
    #[error("the app was taken out: its clients are to go elsewhere")]
    TakenOut,
    /// The next generation has no handler of this name, does not understand the state (of this version), has no room, runs an
    /// older library, or died. Its log says which.
    #[error(
        "the next generation has not taken it: its log says why, unless it runs an older library or has died"
    )]
    NotTaken,
    /// The state, or the name of the handler, is too long. Nothing was sent.
    #[error(
        "a state of {bytes} bytes for a handler whose name has {name} is too much: {MOST_BYTES} and {MOST_NAME} may go along; keep \
         the rest where both generations find it"
    )]
    TooLarge {
        /// The length of the state.
        bytes: usize,
        /// The length of the handler's name.
        name: usize,
    },
    /// The connection cannot leave this process: it came over HTTP/2, through
    /// [`Server::accept_with`](crate::Server::accept_with), or from another server.
    #[error(
        "it came over HTTP/2, through an acceptor, or from another server, and cannot leave this process"
    )]
    CannotMove,
    /// A part of a message to the client is written. Flush the WebSocket library before its stream is taken out.
    #[error("a part of a message to the client is written: flush before the stream is taken out")]
    HalfWritten,
    /// More than 512 KiB of a message from the client have come, and its end has not: the message is not read again. Or a record
    /// of TLS stays half.
    #[error(
        "a message from the client has come in part, and is too long or too slow to go along so"
    )]
    HalfRead,
    /// One side has sent a close frame.
    #[error("it is being closed")]
    Closing,
    /// A frame belongs to an extension such as compression, whose context cannot go along.
    #[error("it has an extension, such as compression, whose context cannot go along")]
    Extension,
    /// The deadline of the drain has cut it. Reading and writing fail.
    #[error("the deadline of the drain has cut it")]
    Cut,
}

/// A WebSocket that was not handed over, as it was.
#[derive(Debug)]
#[non_exhaustive]
pub struct Refused {
    /// To be closed in good order: with code 1012 ("service restart") the client connects again, to the next generation.
    pub socket: RawWebSocket,
    /// Why it was not.
    pub reason: Refusal,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a WebSocket stays with this generation: {}", self.reason)
    }
}

impl std::error::Error for Refused {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.reason)
    }
}

/// Gives a WebSocket to the next generation, whose [handler](crate::Server::resume) of this name goes on with it and with
/// `state`. Its client notices nothing. `Ok` means that the next generation has it.
///
/// To be called when [`stream_ends`](crate::stream_ends) says so. It waits until the server knows whether there is a next
/// generation, which takes a second or two at most; in a process that does not drain it waits until that does. Before it, flush
/// what the WebSocket library has to send, and take the socket out of it.
///
/// Whose the socket is, is never in doubt: this process's until the next one has understood the state and has said so. What has
/// come of a message that has not ended goes along, and is read again there.
///
/// If this future is dropped before it is done, the socket moves or ends.
///
/// # Errors
///
/// The socket as it was, if it stays here; see [`Refusal`].
pub async fn hand_over(
    socket: RawWebSocket,
    handler: &str,
    state: SessionState,
) -> Result<(), Refused> {
    let (bytes, name) = (state.bytes().len(), handler.len());
    if bytes > MOST_BYTES || name > MOST_NAME {
        return Err(socket.refused(Refusal::TooLarge { bytes, name }));
    }
    let (io, unread) = socket.dismantle()?;
    let probe = io.probe();
    let shared = Arc::clone(&probe.shared);
    if shared.phases.current() == Phase::Serving && shared.taken_out().is_ending() {
        return Err(refused(Some(io), unread, Refusal::TakenOut));
    }
    shared.phases.reached(Phase::Moving).await;
    match shared.phases.current() {
        Phase::Serving | Phase::Moving => {}
        Phase::Draining => return Err(refused(Some(io), unread, Refusal::NoSuccessor)),
        Phase::Cut => return Err(refused(None, unread, Refusal::Cut)),
    }
    let (apart, identity) = tokio::select! {
        biased;
        apart = take_apart(io, unread, Instant::now() + shared.linger) => apart?,
        () = shared.phases.reached(Phase::Cut) => return Err(refused(None, Vec::new(), Refusal::Cut)),
    };
    let transfer = Transfer {
        socket: apart.socket,
        listener: Arc::clone(&probe.listener),
        unread: apart.unread,
        speaks: Speaks::WebSocket(AddressedState::encode(handler, &state)),
        transport: apart.transport,
        used: true,
        waited: identity.waited(),
        age: probe.age(Instant::now()),
    };
    let moving = async {
        let turn = shared.departures.turn().await;
        shared.departures.depart(transfer, turn).await
    };
    let outcome = tokio::select! {
        biased;
        outcome = moving => outcome,
        () = shared.phases.reached(Phase::Cut) => return Err(refused(None, Vec::new(), Refusal::Cut)),
    };
    match outcome {
        None => {
            count(&shared.counts.moved);
            count(&shared.counts.handed_over);
            Ok(())
        }
        Some(transfer) => Err(stays(transfer, identity)),
    }
}

impl RawWebSocket {
    fn refused(mut self, reason: Refusal) -> Refused {
        self.0.rewind();
        Refused {
            socket: self,
            reason,
        }
    }

    /// The connection, and the bytes to be read before its own.
    fn dismantle(self) -> Result<(Io, Vec<u8>), Refused> {
        let Inner {
            below,
            incoming,
            outgoing,
            kept,
            skips,
            ..
        } = &*self.0;
        let can_move = matches!(below, Underlying::Own(io) if io.can_leave());
        let reason = if !can_move {
            Refusal::CannotMove
        } else if incoming.closes() || outgoing.closes() {
            Refusal::Closing
        } else if incoming.is_extended() || outgoing.is_extended() {
            Refusal::Extension
        } else if !outgoing.is_between_messages() {
            Refusal::HalfWritten
        } else if *skips || matches!(kept, PartialMessage::TooMuch) {
            Refusal::HalfRead
        } else {
            let mut inner = *self.0;
            inner.rewind();
            return match inner.below {
                Underlying::Own(io) => Ok((*io, inner.ahead)),
                below => Err(Self::over(below).refused(Refusal::CannotMove)),
            };
        };
        Err(self.refused(reason))
    }
}

/// It stays, with these bytes to be read first.
fn refused(io: Option<Io>, unread: Vec<u8>, reason: Refusal) -> Refused {
    let below = io.map_or(Underlying::Gone, |io| Underlying::Own(Box::new(io)));
    let mut socket = RawWebSocket::over(below);
    socket.0.ahead = unread;
    socket.refused(reason)
}

/// Waits for the rest of a transport's record: nobody else reads.
async fn take_apart(
    mut io: Io,
    mut unread: Vec<u8>,
    deadline: Instant,
) -> Result<(TakenApart, Identity), Refused> {
    loop {
        match timeout_at(deadline, io.flush()).await {
            Ok(Ok(())) => {}
            // Its client sends nothing, or is gone: the app will notice.
            Ok(Err(_)) | Err(_) => return Err(refused(Some(io), unread, Refusal::HalfWritten)),
        }
        let (stream, before, identity) = io.dismantle();
        unread.extend(before);
        match stream.take_apart() {
            Ok(mut apart) => {
                unread.append(&mut apart.unread);
                apart.unread = unread;
                return Ok((apart, identity));
            }
            Err(StaysWhole::ForNow(stream)) => io = Io::assemble(stream, Vec::new(), identity),
            Err(StaysWhole::ForEver) => {
                // As for one behind an acceptor, which was checked before.
                return Err(refused(None, unread, Refusal::CannotMove));
            }
        }
        let mut bytes = [0; 1024];
        // What is read is kept, so no more is read than may be.
        let room = MOST_UNREAD.saturating_sub(unread.len()).min(bytes.len());
        if room == 0 {
            return Err(refused(Some(io), unread, Refusal::HalfRead));
        }
        match timeout_at(deadline, io.read(&mut bytes[..room])).await {
            Ok(Ok(length)) if length > 0 => unread.extend(&bytes[..length]),
            _ => return Err(refused(Some(io), unread, Refusal::HalfRead)),
        }
    }
}

/// Restores it, unless the runtime has lost its socket, or its transport cannot read its own state.
fn stays(transfer: Transfer, identity: Identity) -> Refused {
    let Transfer {
        socket,
        transport,
        unread,
        ..
    } = transfer;
    let stream = Stream::adopt(socket).and_then(|stream| match transport {
        None => Ok(stream),
        Some(state) => identity.put_together(stream, state),
    });
    match stream {
        Ok(stream) => {
            let io = Io::assemble(stream, Vec::new(), identity);
            refused(Some(io), unread, Refusal::NotTaken)
        }
        Err(error) => {
            tracing::warn!(%error, "a WebSocket is lost: its transport cannot read its own state");
            refused(None, unread, Refusal::NotTaken)
        }
    }
}
