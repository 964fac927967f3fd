//! One accepted connection, from its first byte to its end.

mod answering;
mod body;
#[cfg(all(feature = "dev", any(debug_assertions, feature = "dev-in-release")))]
mod entrance;
mod farewell;
mod head_timer;
mod http1;
#[cfg(feature = "http2")]
mod http2;
mod in_flight;
mod io;
#[cfg(feature = "http2")]
mod late_pong;
mod patience;
mod peer;
mod probe;
#[cfg(feature = "http2")]
mod protocol;
mod refusal;
mod self_test;
mod told;
mod upload;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::acceptor::Acceptor;
use crate::app::ErasedApp;
use crate::drain::{Phase, Shared, Task, count};
use crate::limits::{Reason, Watched};
use crate::listen::{Listener, Stream};
use crate::moving::Cargo;
use crate::task;

use self::io::Io;
use self::probe::Stage;
#[cfg(all(feature = "dev", any(debug_assertions, feature = "dev-in-release")))]
pub(crate) use entrance::Entrance;
pub use peer::Peer;
pub(crate) use self_test::hyper_is_as_expected;

/// A connection that this process has just got.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) stream: Stream,
    /// The name of the listener that accepted it.
    pub(crate) listener: Arc<str>,
    /// Bytes to read before those of the socket.
    pub(crate) unread: Vec<u8>,
    /// It is known to speak HTTP/1.
    pub(crate) http1: bool,
    /// It had a request already.
    pub(crate) used: bool,
    /// For how long it has waited for what it waits for, and how old it is: it may have been in other processes before.
    pub(crate) waited: Duration,
    pub(crate) age: Duration,
    /// What it has to go through before it is read.
    pub(crate) acceptor: Option<Acceptor>,
}

impl Arrival {
    /// An HTTP/1 connection that no listener accepted: a rehearsal's or a test's.
    fn rehearsed(stream: Stream) -> Self {
        Self {
            stream,
            listener: "".into(),
            unread: Vec::new(),
            http1: true,
            used: false,
            waited: Duration::ZERO,
            age: Duration::ZERO,
            acceptor: None,
        }
    }

    pub(crate) fn accepted(stream: Stream, listener: &Listener) -> Self {
        Self {
            stream,
            listener: Arc::clone(&listener.name),
            unread: Vec::new(),
            http1: false,
            used: false,
            waited: Duration::ZERO,
            age: Duration::ZERO,
            acceptor: listener.acceptor.clone(),
        }
    }
}

/// Serves one connection in a task of its own. It counts from this call on, not from the first
/// time the task runs: else a drain that begins in between would not wait for it.
pub(crate) fn spawn(mut arrival: Arrival, app: ErasedApp, shared: &Arc<Shared>) {
    let task = Task::new(shared);
    let http1 = arrival.http1;
    let acceptor = arrival.acceptor.take();
    let io = Io::new(arrival, shared);
    task::spawn(async move {
        let io = match acceptor {
            Some(acceptor) => wrap(io, acceptor).await,
            None => Some(io),
        };
        if let Some(io) = io {
            serve(io, http1, app).await;
        }
        drop(task);
    });
}

/// Lets the app's acceptor have it. A drain that has begun does not end this: who was accepted gets an
/// answer.
async fn wrap(io: Io, acceptor: Acceptor) -> Option<Io> {
    let (stream, unread, identity) = io.dismantle();
    let probe = identity.probe();
    // What the acceptor knows of the connection cannot be told to another process.
    probe.stay();
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
        Ok(stream) => {
            probe.enter(Stage::Beginning);
            Some(Io::assemble(stream, unread, identity))
        }
        Err(error) => {
            tracing::debug!(%error, "a connection was not accepted by the app's acceptor");
            None
        }
    }
}

/// Never, without a time.
async fn after(time: Option<Duration>) {
    match time {
        Some(time) => sleep(time).await,
        None => std::future::pending().await,
    }
}

/// Until the connection is over, or another process has it.
async fn serve(mut io: Io, mut http1: bool, app: ErasedApp) {
    loop {
        let idle = if http1 {
            http1::serve(io, app.clone()).await
        } else {
            match begin(io, app.clone()).await {
                Begun::Http1(begun) => {
                    (io, http1) = (begun, true);
                    continue;
                }
                Begun::Quiet(quiet) => Some(quiet),
                Begun::Over => return,
            }
        };
        let Some(idle) = idle else { return };
        match depart(idle, http1).await {
            Some(stays) => io = stays,
            None => return,
        }
    }
}

/// What the first bytes of a connection have led to.
enum Begun {
    Http1(Io),
    /// Nothing that decides has come, and it is time to move.
    #[cfg_attr(not(feature = "http2"), allow(dead_code))]
    Quiet(Io),
    #[cfg_attr(not(feature = "http2"), allow(dead_code))]
    Over,
}

#[cfg(feature = "http2")]
async fn begin(mut io: Io, app: ErasedApp) -> Begun {
    match protocol::detect(&mut io).await {
        protocol::First::Http1 => Begun::Http1(io),
        protocol::First::Http2 => {
            http2::serve(io, None, app).await;
            Begun::Over
        }
        protocol::First::Quiet => Begun::Quiet(io),
        protocol::First::Over => Begun::Over,
    }
}

#[cfg(not(feature = "http2"))]
#[allow(clippy::unused_async, reason = "the same as with the feature")]
async fn begin(io: Io, _app: ErasedApp) -> Begun {
    Begun::Http1(io)
}

/// Gives an idle connection to the next generation. It comes back if it cannot be moved, and is
/// then served to its end here.
async fn depart(io: Io, http1: bool) -> Option<Io> {
    let (stream, unread, identity) = io.dismantle();
    let probe = identity.probe();
    let shared = Arc::clone(&probe.shared);
    let cargo = Cargo {
        // It can only fail for a socket that the runtime has lost: that one is over.
        socket: stream.into_socket().ok()?,
        listener: Arc::clone(&probe.listener),
        unread,
        http1,
        used: probe.was_used(),
        waited: identity.waited(),
        age: probe.age(Instant::now()),
    };
    let outcome = tokio::select! {
        biased;
        outcome = shared.departures.depart(cargo) => outcome,
        () = shared.phases.reached(Phase::Cut) => {
            probe.count_cut();
            return None;
        }
    };
    let Some(cargo) = outcome else {
        count(&shared.counts.moved);
        return None;
    };
    probe.stay();
    let stream = Stream::adopt(cargo.socket).ok()?;
    Some(Io::assemble(stream, cargo.unread, identity))
}
