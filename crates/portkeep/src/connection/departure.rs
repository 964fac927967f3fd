//! Moves an idle connection to the next generation.

use std::sync::Arc;

use tokio::time::Instant;

use super::io::{Identity, Io};
use crate::drain::{Phase, count};
use crate::limits::Watched;
use crate::listen::{StaysWhole, Stream, TakenApart};
use crate::moving::{Speaks, Transfer, Turn};

/// Returns the connection if it cannot be moved: if it was only the wrong moment, it is tried again
/// [later](super::retry_pause), otherwise it is served to its end here.
pub(super) async fn depart(io: Io, speaks: Speaks, turn: Turn) -> Option<(Io, Speaks)> {
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
        outcome = shared.departures.depart(transfer, turn) => outcome,
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixStream;
    use tokio::time::{sleep, timeout};

    use super::*;
    use crate::Secret;
    use crate::app::ErasedApp;
    use crate::connection::test_transport::{KEYS, behind};
    use crate::connection::{Arrival, spawn};
    use crate::drain::Shared;
    use crate::moving::{AT_ONCE, departures};

    const PATIENCE: Duration = Duration::from_secs(60);
    const ALL: usize = 3 * AT_ONCE;

    /// An answer, or none of one that is elsewhere.
    async fn ask(client: &mut UnixStream) -> Option<String> {
        let request = b"GET / HTTP/1.1\r\nhost: test\r\n\r\n";
        client.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"here") {
            if client.read_buf(&mut answer).await.unwrap() == 0 {
                return None;
            }
        }
        Some(String::from_utf8(answer).unwrap())
    }

    /// The next generation takes nothing for a while. Only those that are on their way wait for it.
    #[tokio::test]
    async fn who_waits_for_its_turn_is_answered_meanwhile() {
        let (departures, mut inbox) = departures();
        let shared = Arc::new(Shared::new(PATIENCE, departures));
        let app = ErasedApp::new(axum::Router::new().route("/", get(|| async { "here" })));
        let mut clients = Vec::new();
        for _ in 0..ALL {
            let (mut client, server) = UnixStream::pair().unwrap();
            let arrival = Arrival::rehearsed(Stream::Unix(server));
            spawn(arrival, app.clone(), &shared);
            ask(&mut client).await.unwrap();
            clients.push(client);
        }
        shared.phases.advance(Phase::Moving);
        timeout(PATIENCE, async {
            while inbox.len() < AT_ONCE {
                sleep(Duration::from_millis(1)).await;
            }
        })
        .await
        .unwrap();
        let answered = Arc::new(AtomicUsize::new(0));
        let asks = clients.into_iter().map(|mut client| {
            let answered = Arc::clone(&answered);
            tokio::spawn(async move {
                if let Some(answer) = ask(&mut client).await {
                    assert!(!answer.contains("connection: close"), "{answer}");
                    answered.fetch_add(1, Ordering::SeqCst);
                }
                client
            })
        });
        let asks: Vec<_> = asks.collect();
        let others = async {
            while answered.load(Ordering::SeqCst) < ALL - AT_ONCE {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(PATIENCE, others).await.unwrap();
        assert_eq!(inbox.len(), AT_ONCE);
        // When it takes them, all leave.
        for _ in 0..ALL {
            let departure = timeout(PATIENCE, inbox.recv()).await.unwrap();
            departure.unwrap().arrived();
        }
        drop(asks);
    }

    fn protocols() -> [Speaks; 3] {
        let http2 = Speaks::Http2(Secret::from(b"http2".to_vec()));
        [Speaks::Unknown, Speaks::Http1, http2]
    }

    /// Whatever it speaks.
    #[tokio::test]
    async fn the_state_of_a_transport_goes_along() {
        for speaks in protocols() {
            let (departures, mut inbox) = departures();
            let shared = Arc::new(Shared::new(PATIENCE, departures));
            let (server, _client) = UnixStream::pair().unwrap();
            let (io, _) = behind(server, &shared).await;
            let turn = shared.departures.turn().await;
            let expected = format!("{speaks:?}");
            let leaving = tokio::spawn(async { depart(io, speaks, turn).await.is_some() });
            let departure = timeout(PATIENCE, inbox.recv()).await.unwrap().unwrap();
            let transfer = departure.transfer();
            let transport = transfer.transport.as_ref();
            assert_eq!(transport.map(|state| state.expose()), Some(KEYS));
            assert_eq!(format!("{:?}", transfer.speaks), expected);
            departure.arrived();
            assert!(!leaving.await.unwrap(), "it is still here");
        }
    }

    #[tokio::test]
    async fn one_that_nobody_takes_goes_on_behind_its_transport() {
        for speaks in protocols() {
            // The inbox is gone.
            let shared = Arc::new(Shared::new(PATIENCE, departures().0));
            let (server, mut client) = UnixStream::pair().unwrap();
            let (io, moments) = behind(server, &shared).await;
            let turn = shared.departures.turn().await;
            let expected = format!("{speaks:?}");
            let (mut io, speaks) = depart(io, speaks, turn).await.unwrap();
            assert_eq!(format!("{speaks:?}"), expected);
            assert_eq!(moments.reassembled.load(Ordering::SeqCst), 1);
            client.write_all(b"more").await.unwrap();
            let mut got = [0; 4];
            io.read_exact(&mut got).await.unwrap();
            assert_eq!(&got, b"more");
        }
    }
}
