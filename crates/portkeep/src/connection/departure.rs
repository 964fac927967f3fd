//! Moves an idle connection to the next generation.

use std::sync::Arc;

use tokio::time::Instant;

use super::io::{Identity, Io};
use crate::drain::{Phase, count};
use crate::limits::Watched;
use crate::listen::{StaysWhole, Stream, TakenApart};
use crate::moving::{Speaks, Transfer};

/// Returns the connection if it cannot be moved: if it was only the wrong moment, it is tried again
/// [later](super::retry_pause), otherwise it is served to its end here.
pub(super) async fn depart(io: Io, speaks: Speaks) -> Option<(Io, Speaks)> {
    let (stream, mut unread, identity) = io.dismantle();
    let probe = identity.probe();
    let shared = Arc::clone(&probe.shared);
    let TakenApart {
        socket,
        transport,
        unread: more,
    } = match stream.take_apart() {
        Ok(apart) => apart,
        Err(StaysWhole::ForNow(stream)) => {
            tracing::debug!("a connection cannot be taken apart now");
            probe.try_later(Instant::now());
            return Some((Io::assemble(stream, unread, identity), speaks));
        }
        Err(StaysWhole::ForEver) => return None,
    };
    unread.extend(more);
    let transfer = Transfer {
        socket,
        listener: Arc::clone(&probe.listener),
        unread,
        speaks,
        transport,
        used: probe.was_used(),
        waited: identity.waited(),
        age: probe.age(Instant::now()),
    };
    let outcome = tokio::select! {
        biased;
        outcome = shared.departures.depart(transfer) => outcome,
        () = shared.phases.reached(Phase::Cut) => {
            probe.count_cut();
            return None;
        }
    };
    let Some(transfer) = outcome else {
        count(&shared.counts.moved);
        return None;
    };
    probe.stay();
    stays(transfer, identity)
}

/// Restores the connection. Fails only if the runtime has lost its socket, or its transport cannot read its own state: then
/// the connection is over.
fn stays(transfer: Transfer, identity: Identity) -> Option<(Io, Speaks)> {
    let stream = Stream::adopt(transfer.socket).ok()?;
    let stream = match transfer.transport {
        None => stream,
        Some(state) => match identity.put_together(stream, state) {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection is lost: its transport cannot read its own state");
                identity.probe().count_cut();
                return None;
            }
        },
    };
    Some((
        Io::assemble(stream, transfer.unread, identity),
        transfer.speaks,
    ))
}
