//! Receiver of moved connections: the next generation.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt::socket_cookie;
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::layer_states::{self, List};
use super::limited_warnings::LimitedWarnings;
use super::overflow_file;
use super::packets::{Packets, Received};
use super::session::{self, has_closed};
use super::socket::MoveSocket;
use super::taken::{Claim, Taken};
use super::transfer::Speaks;
use super::wire::{Flags, Header, Kind, LONGEST, Times, name_and_inline};
use crate::acceptor::Acceptor;
use crate::app::ErasedApp;
use crate::connection::{self, Arrival, Moved, Resumed, Resumers};
use crate::drain::Shared;
use crate::listen::Stream;
use crate::secret::wiped;
use crate::{Secret, ShutdownToken, task};

/// The pause after an error that lasts, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// A listener that receives connections which the last generation has accepted.
#[derive(Debug, Clone)]
pub(crate) struct Destination {
    pub(crate) name: Arc<str>,
    /// Its acceptor.
    pub(crate) acceptor: Option<Acceptor>,
}

/// Takes connections of these listeners, until `closing`. Returns when no session is left: from then on connections can be
/// sent to the next generation without meeting this one. Returns the socket, which can be used again.
pub(crate) async fn receive(
    socket: MoveSocket,
    destinations: Vec<Destination>,
    app: ErasedApp,
    resumers: Resumers,
    shared: Arc<Shared>,
    closing: ShutdownToken,
) -> MoveSocket {
    let destinations: Arc<[Destination]> = destinations.into();
    let taken = Arc::clone(&socket.taken);
    let mut closed = pin!(closing.started());
    let mut sessions = JoinSet::new();
    let mut refused = LimitedWarnings::about("a session that moves connections was refused");
    let mut unaccepted = LimitedWarnings::about("cannot accept a session that moves connections");
    loop {
        let accepted = tokio::select! {
            biased;
            () = closed.as_mut() => break,
            Some(ended) = sessions.join_next() => {
                if let Ok(Err(error)) = ended {
                    refused.add(&error);
                }
                continue;
            }
            () = refused.due() => {
                refused.tell();
                continue;
            }
            () = unaccepted.due() => {
                unaccepted.tell();
                continue;
            }
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok(socket) => {
                let hold = Hold {
                    destinations: Arc::clone(&destinations),
                    taken: Arc::clone(&taken),
                    app: app.clone(),
                    resumers: resumers.clone(),
                    shared: Arc::clone(&shared),
                    refused: 0,
                };
                sessions.spawn(task::boxed(hold.session(socket, closing.clone())));
            }
            Err(error) => {
                unaccepted.add(&error);
                tokio::select! {
                    biased;
                    () = closed.as_mut() => break,
                    () = sleep(PAUSE) => {}
                }
            }
        }
    }
    while let Some(ended) = sessions.join_next().await {
        if let Ok(Err(error)) = ended {
            refused.add(&error);
        }
    }
    refused.tell();
    unaccepted.tell();
    socket
}

/// Shared state of the sessions.
struct Hold {
    destinations: Arc<[Destination]>,
    taken: Arc<Taken>,
    app: ErasedApp,
    resumers: Resumers,
    shared: Arc<Shared>,
    /// Number of connections that were not taken.
    refused: u64,
}

impl Hold {
    /// Fails if no connection can be taken: the client is not the last generation, or speaks another protocol.
    async fn session(mut self, socket: UnixStream, closing: ShutdownToken) -> io::Result<()> {
        let mut closed = pin!(closing.started());
        let ended = tokio::select! {
            biased;
            // Only between two messages: `unload` waits for nothing.
            () = closed.as_mut() => return Ok(()),
            ended = self.unload_all(socket) => ended,
        };
        let ended = match ended {
            // A process without connections may be gone before it is greeted, or before it has read the last answer.
            Err(error) if has_closed(&error) => {
                tracing::debug!(%error, "the generation before has ended its session");
                Ok(())
            }
            ended => ended,
        };
        if self.refused > 1 {
            tracing::warn!(
                connections = self.refused,
                "stay with the generation before, which ends them"
            );
        }
        ended
    }

    async fn unload_all(&mut self, socket: UnixStream) -> io::Result<()> {
        let packets = session::welcome(socket).await?;
        let mut bytes = vec![0; LONGEST];
        loop {
            let received = packets.receive(&mut bytes).await?;
            if received.length == 0 {
                return Ok(());
            }
            let message = &mut bytes[..received.length];
            let unloaded = self.unload(&packets, message, received).await;
            // It may have had keys.
            wiped(message);
            unloaded?;
        }
    }

    /// Serves one connection, or refuses it.
    async fn unload(
        &mut self,
        packets: &Packets,
        message: &[u8],
        received: Received,
    ) -> io::Result<()> {
        let (header, rest) = Header::decode(message).map_err(io::Error::other)?;
        if header.kind != Kind::Connection {
            return Err(io::Error::other(format!(
                "{:?} is no connection",
                header.kind
            )));
        }
        let answer = |kind| Header::of(kind, header.sequence).encode();
        match self.adopt(&header, rest, received) {
            Ok((arrival, claim, resumed)) => {
                // Before the first read. If it cannot be sent, the connection is not ours, and dropping it closes only our
                // copy.
                packets.send(&[&answer(Kind::Ack)], &[]).await?;
                if let Some(claim) = claim {
                    claim.keep();
                }
                match resumed {
                    Some(resumed) => resumed.spawn(arrival, &self.shared),
                    None => connection::spawn(arrival, self.app.clone(), &self.shared),
                }
            }
            Err(error) => {
                self.refused += 1;
                // There can be thousands, for one reason.
                match self.refused {
                    1 => tracing::warn!(%error, "a connection cannot be taken over"),
                    _ => tracing::debug!(%error, "another one cannot be taken over"),
                }
                packets.send(&[&answer(Kind::Nak)], &[]).await?;
            }
        }
        Ok(())
    }

    fn adopt(
        &self,
        header: &Header,
        rest: &[u8],
        received: Received,
    ) -> io::Result<(Arrival, Option<Claim>, Option<Resumed>)> {
        if self.shared.is_full() {
            // The last generation ends it, and loses nothing.
            return Err(io::Error::other("as many connections as may be are here"));
        }
        let (times, rest) = Times::decode(header, rest).map_err(io::Error::other)?;
        let (list, rest) = List::decode(header, rest).map_err(io::Error::other)?;
        let states_length = list.as_ref().map_or(0, List::total);
        let (name, inline) =
            name_and_inline(header, states_length, rest).map_err(io::Error::other)?;
        let in_file = header.flags.has(Flags::IN_FILE);
        let mut descriptors = received.descriptors.into_iter();
        let (socket, file) = match (descriptors.next(), descriptors.next()) {
            (Some(socket), file) if file.is_some() == in_file && !received.truncated => {
                (socket, file)
            }
            _ => {
                return Err(io::Error::other(
                    "its descriptor was lost: too many open files?",
                ));
            }
        };
        let destination = self.destinations.iter().find(|known| *known.name == *name);
        let destination = destination
            .ok_or_else(|| io::Error::other(format!("its listener {name:?} is not served here")))?;
        let spilled = file
            .map(|file| overflow_file::from_file(file, states_length + header.unread as usize))
            .transpose()?;
        let contents = spilled.as_ref().map_or(inline, Secret::expose);
        let Unpacked {
            transport,
            speaks,
            unread,
        } = unpack(header, list.as_ref(), contents)?;
        // Before anything is touched: only the app knows whether it understands.
        let resumed = match &speaks {
            Speaks::WebSocket(state) => Some(self.resumers.ask(state)?),
            Speaks::Unknown | Speaks::Http1 | Speaks::Http2(_) => None,
        };
        let claim = match list {
            Some(list) if socket_cookie(&socket)? != list.cookie => {
                return Err(io::Error::other("what it takes along is another one's"));
            }
            Some(list) => Some(self.taken.claim(list.cookie)?),
            None => None,
        };
        let moved = Moved {
            stream: Stream::adopt(socket)?,
            listener: Arc::clone(&destination.name),
            unread,
            speaks,
            used: header.flags.has(Flags::USED),
            waited: times.waited,
            age: times.age,
        };
        let acceptor = destination.acceptor.as_ref();
        let arrival = Arrival::moved(moved, acceptor, transport, &self.shared)?;
        Ok((arrival, claim, resumed))
    }
}

/// The states and unread bytes of a connection.
struct Unpacked {
    transport: Option<Secret>,
    speaks: Speaks,
    unread: Vec<u8>,
}

fn unpack(header: &Header, list: Option<&List>, mut contents: &[u8]) -> io::Result<Unpacked> {
    let mut transport = None;
    let mut speaks = match header.flags.has(Flags::HTTP1) {
        true => Speaks::Http1,
        false => Speaks::Unknown,
    };
    for entry in list.into_iter().flat_map(|list| &list.entries) {
        let (state, rest) = contents
            .split_at_checked(entry.length)
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        contents = rest;
        let state = Secret::from(state.to_vec());
        match (entry.kind, &speaks) {
            (layer_states::Kind::Transport, _) => transport = Some(state),
            (layer_states::Kind::Http2, Speaks::Unknown) => speaks = Speaks::Http2(state),
            (layer_states::Kind::WebSocket, Speaks::Unknown) => speaks = Speaks::WebSocket(state),
            (layer_states::Kind::Http2 | layer_states::Kind::WebSocket, _) => {
                return Err(io::Error::other("it speaks two protocols at once"));
            }
        }
    }
    Ok(Unpacked {
        transport,
        speaks,
        unread: contents.to_vec(),
    })
}
