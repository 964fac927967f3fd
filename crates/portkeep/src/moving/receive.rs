//! The next generation: takes connections.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::complaints::Complaints;
use super::packets::{Packets, Received};
use super::session::{self, has_closed};
use super::socket::MoveSocket;
use super::spill;
use super::wire::{Flags, Header, Kind, LONGEST, Times, name_and_unread};
use crate::app::ErasedApp;
use crate::connection::{self, Arrival};
use crate::drain::Shared;
use crate::listen::Stream;
use crate::{ShutdownToken, task};

/// The pause after an error that will not go away at once, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// Takes connections of listeners with these names, until `closing`. Returns when no session is
/// left: from then on connections can be given to the generation after this one, without meeting
/// ourselves. The socket comes back: it can be used again.
pub(crate) async fn receive(
    socket: MoveSocket,
    names: Vec<Arc<str>>,
    app: ErasedApp,
    shared: Arc<Shared>,
    closing: ShutdownToken,
) -> MoveSocket {
    let names: Arc<[Arc<str>]> = names.into();
    let mut closed = pin!(closing.started());
    let mut sessions = JoinSet::new();
    let mut refused = Complaints::about("a session that moves connections was refused");
    let mut unaccepted = Complaints::about("cannot accept a session that moves connections");
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
                    names: Arc::clone(&names),
                    app: app.clone(),
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

/// Where connections arrive.
struct Hold {
    names: Arc<[Arc<str>]>,
    app: ErasedApp,
    shared: Arc<Shared>,
    /// How many were not taken.
    refused: u64,
}

impl Hold {
    /// Fails if nothing of it can be taken: whoever connected is not the generation before, or speaks another language.
    async fn session(mut self, socket: UnixStream, closing: ShutdownToken) -> io::Result<()> {
        let mut closed = pin!(closing.started());
        let ended = tokio::select! {
            biased;
            // Between two messages only: `unload` does not wait for anything.
            () = closed.as_mut() => return Ok(()),
            ended = self.unload_all(socket) => ended,
        };
        let ended = match ended {
            // One that has nothing to move may be gone before it is greeted, or before it has read the last answer.
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
            let length = received.length;
            self.unload(&packets, &bytes[..length], received).await?;
        }
    }

    /// Serves one connection, or says that it cannot.
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
            Ok(arrival) => {
                // Before the first read. If it cannot be sent, the connection is not ours, and
                // dropping it closes only our copy.
                packets.send(&[&answer(Kind::Ack)], &[]).await?;
                connection::spawn(arrival, self.app.clone(), &self.shared);
            }
            Err(error) => {
                self.refused += 1;
                // There can be thousands, and they have one reason.
                match self.refused {
                    1 => tracing::warn!(%error, "a connection cannot be taken over"),
                    _ => tracing::debug!(%error, "another one cannot be taken over"),
                }
                packets.send(&[&answer(Kind::Nak)], &[]).await?;
            }
        }
        Ok(())
    }

    fn adopt(&self, header: &Header, rest: &[u8], received: Received) -> io::Result<Arrival> {
        if self.shared.is_full() {
            // The generation before ends it, and loses nothing by that.
            return Err(io::Error::other("as many connections as may be are here"));
        }
        let (times, rest) = Times::decode(header, rest).map_err(io::Error::other)?;
        let (name, inline) = name_and_unread(header, rest).map_err(io::Error::other)?;
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
        let listener = self.names.iter().find(|known| ***known == *name);
        let listener = listener
            .ok_or_else(|| io::Error::other(format!("its listener {name:?} is not served here")))?;
        Ok(Arrival {
            stream: Stream::adopt(socket)?,
            listener: Arc::clone(listener),
            unread: match file {
                Some(file) => spill::from_file(file, header.unread as usize)?,
                None => inline.to_vec(),
            },
            http1: header.flags.has(Flags::HTTP1),
            used: header.flags.has(Flags::USED),
            waited: times.waited,
            age: times.age,
            // It was read from before, and cannot have been wrapped.
            acceptor: None,
        })
    }
}
