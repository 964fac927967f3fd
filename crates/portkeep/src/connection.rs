//! One accepted connection, from its first byte to its end.

mod answering;
mod arrival;
#[cfg(feature = "http2")]
mod batching;
mod body;
mod departure;
#[cfg(feature = "http2")]
mod goaway_grace;
mod head_timer;
mod http1;
#[cfg(feature = "http2")]
mod http2;
mod idle_linger;
mod in_flight;
mod io;
mod lingering_close;
#[cfg(all(feature = "dev", any(debug_assertions, feature = "dev-in-release")))]
mod listener_name;
mod orders;
mod peer;
mod probe;
#[cfg(feature = "http2")]
mod protocol;
mod refusal;
mod resume;
mod retry_pause;
mod self_test;
#[cfg(test)]
mod test_transport;
mod upload;
mod websocket;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::app::ErasedApp;
use crate::drain::{Phase, Shared, Task};
use crate::limits::Reason;
use crate::moving::{Speaks, Turn};
use crate::{Secret, task};

pub(crate) use self::arrival::{Arrival, Moved};
use self::departure::depart;
use self::io::Io;
use self::probe::Stage;
#[cfg(feature = "http2")]
pub(crate) use http2::can_move as http2_can_move;
#[cfg(all(feature = "dev", any(debug_assertions, feature = "dev-in-release")))]
pub(crate) use listener_name::ListenerName;
pub use peer::Peer;
pub(crate) use resume::{Resumed, Resumers};
pub(crate) use self_test::hyper_is_as_expected;
pub use websocket::{RawWebSocket, Refusal, Refused, hand_over};

/// Serves one connection in a task of its own. It counts from this call on, not from the task's first run: otherwise a
/// drain that begins in between would not wait for it.
pub(crate) fn spawn(mut arrival: Arrival, app: ErasedApp, shared: &Arc<Shared>) {
    let task = Task::new(shared);
    let speaks = std::mem::replace(&mut arrival.speaks, Speaks::Unknown);
    let is_let_in = !arrival.is_to_be_let_in;
    let io = Io::new(arrival, shared);
    task::spawn(async move {
        let io = if is_let_in {
            Some(io)
        } else {
            let_in(io).await
        };
        if let Some(io) = io {
            serve(io, speaks, app).await;
        }
        drop(task);
    });
}

/// Passes it through the app's acceptor. A drain that begins meanwhile does not end this: an accepted client gets an
/// answer.
async fn let_in(io: Io) -> Option<Io> {
    let (stream, unread, identity) = io.dismantle();
    let acceptor = identity.acceptor()?;
    let probe = identity.probe();
    if !acceptor.moves() {
        probe.stay();
    }
    probe.enter(Stage::Apps);
    let time = probe.shared.limits.head_time();
    let wrapped = tokio::select! {
        biased;
        wrapped = acceptor.wrap(stream) => wrapped,
        () = after(time) => {
            probe.shared.counts.ended.count(Reason::Head);
            return None;
        }
        () = probe.shared.phases.reached(Phase::Cut) => {
            probe.count_cut();
            return None;
        }
    };
    match wrapped {
        Ok((stream, known)) => {
            probe.enter(Stage::Beginning);
            probe.learn(known);
            Some(Io::assemble(stream, unread, identity))
        }
        Err(error) => {
            tracing::debug!(%error, "a connection was not accepted by the app's acceptor");
            None
        }
    }
}

/// Resolves after `time`; never, if there is none.
async fn after(time: Option<Duration>) {
    match time {
        Some(time) => sleep(time).await,
        None => std::future::pending().await,
    }
}

/// Serves until the connection is over, or another process has it.
async fn serve(mut io: Io, mut speaks: Speaks, app: ErasedApp) {
    loop {
        let idle = match speaks {
            Speaks::Http1 => {
                let idle = http1::serve(io, app.clone()).await;
                idle.map(|(io, turn)| (io, Speaks::Http1, turn))
            }
            Speaks::Http2(state) => go_on(io, &state, app.clone()).await,
            // WebSockets are not served, but resumed.
            Speaks::WebSocket(_) => return,
            Speaks::Unknown => match begin(io, app.clone()).await {
                Begun::Http1(begun) => {
                    (io, speaks) = (begun, Speaks::Http1);
                    continue;
                }
                Begun::Idle(idle, speaks, turn) => Some((idle, speaks, turn)),
                Begun::Over => return,
            },
        };
        let Some((idle, spoke, turn)) = idle else {
            return;
        };
        match depart(idle, spoke, turn).await {
            Some(stays) => (io, speaks) = stays,
            None => return,
        }
    }
}

/// What follows from the first bytes of a connection.
enum Begun {
    Http1(Io),
    /// It is to move: the protocol is undecided, or everything is answered.
    #[cfg_attr(not(feature = "http2"), allow(dead_code))]
    Idle(Io, Speaks, Turn),
    #[cfg_attr(not(feature = "http2"), allow(dead_code))]
    Over,
}

#[cfg(feature = "http2")]
async fn begin(mut io: Io, app: ErasedApp) -> Begun {
    match protocol::detect(&mut io).await {
        protocol::Detected::Http1 => Begun::Http1(io),
        protocol::Detected::Http2 => {
            let idle = http2::serve(io, None, app).await;
            idle.map_or(Begun::Over, |(io, state, turn)| {
                Begun::Idle(io, speaks(&state), turn)
            })
        }
        protocol::Detected::Undecided(turn) => Begun::Idle(io, Speaks::Unknown, turn),
        protocol::Detected::Over => Begun::Over,
    }
}

/// Continues an HTTP/2 connection of another process.
#[cfg(feature = "http2")]
async fn go_on(io: Io, state: &Secret, app: ErasedApp) -> Option<(Io, Speaks, Turn)> {
    let state = http2::State::decode(state.expose())?;
    let (io, state, turn) = http2::serve(io, Some(state), app).await?;
    Some((io, speaks(&state), turn))
}

#[cfg(feature = "http2")]
fn speaks(state: &http2::State) -> Speaks {
    Speaks::Http2(state.encode().into())
}

/// Nobody sends a state that this process has not announced.
#[cfg(not(feature = "http2"))]
#[allow(clippy::unused_async, reason = "the same as with the feature")]
async fn go_on(_: Io, _: &Secret, _: ErasedApp) -> Option<(Io, Speaks, Turn)> {
    None
}

#[cfg(not(feature = "http2"))]
#[allow(clippy::unused_async, reason = "the same as with the feature")]
async fn begin(io: Io, _app: ErasedApp) -> Begun {
    Begun::Http1(io)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::Instant;

    use super::*;
    use crate::acceptor::Acceptor;
    use crate::limits::Limits;
    use crate::listen::Stream;
    use crate::moving::departures;

    /// A handshake has the time limit of a head, however slowly it drips.
    #[tokio::test(start_paused = true)]
    async fn a_handshake_that_comes_a_byte_a_minute_does_not_come() {
        const HEAD: Duration = Duration::from_secs(200);
        let (mut client, server) = duplex(64);
        let shared = Shared::new(HEAD, departures().0);
        let shared = Arc::new(shared.limited(Limits::new().head(HEAD), usize::MAX));
        let acceptor = Acceptor::new(|mut accepted| async {
            accepted.read_exact(&mut [0; 1000]).await?;
            Ok(accepted)
        });
        let arrival = Arrival {
            acceptor: Some(acceptor),
            is_to_be_let_in: true,
            ..Arrival::rehearsed(Stream::Wrapped(Box::new(server)))
        };
        spawn(arrival, ErasedApp::new(axum::Router::new()), &shared);
        let began = Instant::now();
        while client.write_all(b"x").await.is_ok() {
            sleep(Duration::from_secs(60)).await;
            assert!(began.elapsed() < 2 * HEAD, "it goes on");
        }
        assert!(began.elapsed() >= HEAD);
        assert_eq!(
            shared.counts.ended.now().to_string(),
            "limits ended 1: 1 head"
        );
    }
}
