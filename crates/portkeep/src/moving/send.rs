//! Sender of moved connections: the old generation.

mod manifest;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::SocketAddrUnix;
use rustix::net::sockopt::socket_cookie;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::layer_states::{self, Entry, List};
use super::overflow_file;
use super::packets::Packets;
use super::session::{self, ANSWER_TIMEOUT, Refusals, has_closed};
use super::successor;
use super::transfer::{Departure, Inbox, Speaks, Transfer};
use super::wire::{Features, Flags, HEADER, Header, Kind, Times};
use crate::Secret;
use crate::drain::{Phase, Shared};

use manifest::Manifest;

/// Most connections without an answer. It is far below the number of descriptors that a user may have in transit, the limit
/// of open files.
const WINDOW: usize = 64;
/// The pause between two sessions.
const PAUSE: Duration = Duration::from_millis(1);

/// Moves departing connections as long as a next generation takes them; then announces that nothing moves any more. Never
/// returns: a connection can depart as long as there is one.
pub(crate) async fn send(next: SocketAddrUnix, mut inbox: Inbox, shared: Arc<Shared>) {
    let mut manifest = Manifest::default();
    give_away(&next, &mut manifest, &mut inbox, &shared).await;
    shared.phases.advance(Phase::Draining);
    tracing::debug!("the connections that are left end here");
    manifest.all_stay();
    while let Some(departure) = inbox.recv().await {
        departure.stays();
    }
    std::future::pending::<()>().await;
}

async fn give_away(
    address: &SocketAddrUnix,
    manifest: &mut Manifest,
    inbox: &mut Inbox,
    shared: &Shared,
) {
    let mut unwelcome = Refusals::from(Instant::now());
    while shared.phases.current() < Phase::Draining {
        if !successor::exists(address) {
            tracing::debug!("no next generation to move connections to");
            return;
        }
        let ended = match session::open(address).await {
            Ok((packets, features)) => {
                shared.phases.advance(Phase::Moving);
                let Err(error) = exchange(&packets, features, manifest, inbox).await;
                settle(&packets, manifest);
                unwelcome = Refusals::from(Instant::now());
                error
            }
            Err(error) => error,
        };
        if !unwelcome.may_ask_again(&ended, Instant::now()) {
            tracing::info!(error = %ended, moved = manifest.moved(), "connections cannot be moved");
            return;
        }
        // A generation that is replaced itself ends its sessions, and the one after it takes over. After a crash nobody
        // answers until it has been started again.
        sleep(PAUSE).await;
    }
}

/// Sends connections and receives answers until the session is over.
async fn exchange(
    packets: &Packets,
    features: Features,
    manifest: &mut Manifest,
    inbox: &mut Inbox,
) -> io::Result<std::convert::Infallible> {
    let mut bytes = [0; HEADER];
    let mut crowded = false;
    loop {
        while !crowded && manifest.on_the_way() < WINDOW {
            let Some(departure) = manifest.next() else {
                break;
            };
            match timeout(
                ANSWER_TIMEOUT,
                send_one(packets, features, manifest.number(), &departure),
            )
            .await
            {
                Ok(Ok(())) => manifest.sent(departure),
                Ok(Err(error)) if has_closed(&error) => {
                    manifest.again(departure);
                    return Err(error);
                }
                Ok(Err(error)) if is_crowded(&error) && manifest.on_the_way() > 0 => {
                    manifest.again(departure);
                    crowded = true;
                }
                // This one cannot be sent; the next may.
                Ok(Err(error)) => {
                    tracing::debug!(%error, "a connection cannot be moved");
                    departure.stays();
                }
                Err(elapsed) => {
                    manifest.again(departure);
                    return Err(elapsed.into());
                }
            }
        }
        let overdue = overdue(manifest.oldest());
        tokio::select! {
            // An answer that has arrived counts, however late this process reads it.
            biased;
            received = packets.receive(&mut bytes) => {
                let length = received?.length;
                manifest.answered(&bytes[..length])?;
                crowded = false;
            }
            Some(departure) = inbox.recv(), if manifest.on_the_way() < WINDOW => {
                manifest.add(departure);
            }
            () = overdue => return Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

/// Whether the system has no room for more descriptors in transit: one has to arrive first.
fn is_crowded(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::TOOMANYREFS)
}

/// Resolves when the connection that was sent at `oldest` should have been answered.
async fn overdue(oldest: Option<Instant>) {
    match oldest {
        Some(sent) => sleep_until(sent + ANSWER_TIMEOUT).await,
        None => std::future::pending().await,
    }
}

async fn send_one(
    packets: &Packets,
    features: Features,
    sequence: u64,
    departure: &Departure,
) -> io::Result<()> {
    let transfer = &departure.transfer;
    let states = states(transfer);
    let list = list(&transfer.socket, &states)?;
    let list = list.encode(features).map_err(io::Error::other)?;
    let with_times = features.has(Features::TIMES);
    let times = Times {
        waited: transfer.waited,
        age: transfer.age,
    };
    let times = times.encode();
    let times: &[u8] = if with_times { &times } else { &[] };
    let mut contents: Vec<_> = states.iter().map(|(_, state)| state.expose()).collect();
    contents.push(&transfer.unread);
    let file = overflow_file::to_file(&contents)?;
    let header = Header {
        kind: Kind::Connection,
        flags: Flags::HTTP1
            .when(matches!(transfer.speaks, Speaks::Http1))
            .and(Flags::USED.when(transfer.used))
            .and(Flags::IN_FILE.when(file.is_some()))
            .and(Flags::TIMES.when(with_times))
            .and(Flags::LAYER_STATES.when(!list.is_empty())),
        unread: u32::try_from(transfer.unread.len()).map_err(io::Error::other)?,
        sequence,
    };
    let name = transfer.listener.as_bytes();
    let length = u8::try_from(name.len()).map_err(io::Error::other)?;
    let mut descriptors = vec![transfer.socket.as_fd()];
    descriptors.extend(file.as_ref().map(AsFd::as_fd));
    let header = header.encode();
    let mut parts = vec![&header, times, &list, std::slice::from_ref(&length), name];
    if file.is_none() {
        parts.append(&mut contents);
    }
    packets.send(&parts, &descriptors).await
}

/// Its states.
fn states(transfer: &Transfer) -> Vec<(layer_states::Kind, &Secret)> {
    let transport = transfer.transport.as_ref();
    let transport = transport.map(|state| (layer_states::Kind::Transport, state));
    let protocol = match &transfer.speaks {
        Speaks::Http2(state) => Some((layer_states::Kind::Http2, state)),
        Speaks::WebSocket(state) => Some((layer_states::Kind::WebSocket, state)),
        Speaks::Unknown | Speaks::Http1 => None,
    };
    transport.into_iter().chain(protocol).collect()
}

fn list(socket: &OwnedFd, states: &[(layer_states::Kind, &Secret)]) -> io::Result<List> {
    if states.is_empty() {
        return Ok(List::default());
    }
    let entries = states.iter().map(|(kind, state)| Entry {
        kind: *kind,
        length: state.expose().len(),
    });
    Ok(List {
        cookie: socket_cookie(socket)?,
        entries: entries.collect(),
    })
}

/// Afterwards, all unacknowledged connections belong to this process for good.
fn settle(packets: &Packets, manifest: &mut Manifest) {
    packets.fence();
    let mut bytes = [0; HEADER];
    let mut resets = 0;
    while manifest.on_the_way() > 0 {
        match packets.receive_now(&mut bytes) {
            Ok(received) if received.length > 0 => {
                if manifest.answered(&bytes[..received.length]).is_err() {
                    break;
                }
            }
            // The kernel reports once that a process died, before its last messages.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset && resets == 0 => {
                resets += 1;
            }
            _ => break,
        }
    }
    manifest.take_back();
}
