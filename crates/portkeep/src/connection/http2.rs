//! An HTTP/2 connection.
//!
//! GOAWAY can end an HTTP/2 connection in good order at any time, unlike HTTP/1. But a client has one HTTP/2 connection
//! instead of many of HTTP/1, and each one that ends at a reload costs a handshake, a cold window and perhaps a retry. So
//! it moves, if that is safe.
//!
//! # How it moves
//!
//! h2 can neither tell its state nor be given one. So a connection moves only between streams, where that state is small;
//! [`Follower`] knows it from the bytes on the wire ([`State`]), and the next generation makes a new h2 whose state is the same
//! by talking to it in the client's place ([`Prologue`]), before it reads a byte from the client. Everything after that is
//! between the client and h2: nothing is rewritten or held back, and nothing thrown away but what answers our own settings.
//!
//! The prologue is what a client could say, so that h2 needs to be no more than a server that keeps to RFC 9113:
//!
//! | the client's part | h2's part, which is not sent |
//! |---|---|
//! | preface, empty SETTINGS, an acknowledgement | its SETTINGS, its acknowledgement, the window of the connection |
//! | a request with the number of the client's last stream | its answer, as many bytes long as the client's window lacks |
//! | WINDOW_UPDATE, if the client's window is larger than in the beginning | |
//! | SETTINGS: a table of size 0 for answers; then the client's settings, all of them | two acknowledgements |
//!
//! # Why it is right
//!
//! What two sides of a connection without streams know of each other (RFC 9113):
//!
//! - **Stream numbers** (5.1.1). The prologue's request has the last number that the client had. So the next one has to be
//!   larger, as for the client, and whatever comes late for older ones is for h2 what it was before: of a stream that is closed.
//! - **Window for what the server sends** (6.9). It begins with 65,535 for h2. If the client's is smaller, the answer to the
//!   prologue's request is as long as the difference: h2 has sent that much. If it is larger, a WINDOW_UPDATE says so. From then
//!   on both have the same number, so all of h2's own flow control is right.
//! - **Window for what the client sends.** h2 announces at once how large it wants this to be. The client is told the difference
//!   between that and what it has, in one WINDOW_UPDATE of our own; so it does not matter whether h2 sends one (it does not, for
//!   65,535). If the client has more than the new h2 would bear, the connection does not move.
//! - **Windows of streams.** There are no streams. New ones begin with what the settings say.
//! - **Settings** (6.5). The client's are replayed, each with its last value; those that h2 does not know are left out. h2's own
//!   are compared with those that the client has acknowledged: if they differ, because the two generations have different
//!   versions of hyper or of this library, the next generation does not take the connection. A connection does not move while a
//!   SETTINGS frame is not acknowledged, in either direction: if the client never does, it ends as it did before.
//! - **Compression of requests** (RFC 7541). The client's table cannot be known without decoding everything. So when a connection
//!   is to move, and not before, the client is told that its table is of size 0, by a SETTINGS frame of ours between two of h2's;
//!   its acknowledgement is taken out of what h2 reads ([`Sieve`](sieve::Sieve)). A connection moves after that, or if the client
//!   *has said* that its table is of size 0: a compressor that had more must begin its next block with that (4.2, 6.3). In the
//!   next generation the first block of a client that has not said so yet is looked at before h2 reads it. If it does not begin
//!   with that, the client gets GOAWAY with the number before that request, so that it may ask again elsewhere: nothing is lost
//!   by a client that ignores the setting. The prologue's request says that the table is of size 0, so that the new h2's is, too.
//!   When the client has said so, it may keep a table again, and is told that in the same way. So what a request costs is what it
//!   costs without any of this, but for the first one after a move.
//!   Nothing is told while another SETTINGS frame has no acknowledgement: they come in order, so it is known which are h2's.
//! - **Compression of answers.** The new compressor begins with an empty table. It is told that the client allows 0 bytes and
//!   then what the client allows, so that its first block says both: the client throws its table away, and both are empty.
//! - **Blocks of header fields** may be padded, have a priority, or go on in CONTINUATION frames: a stream is open from its first
//!   frame on, and a connection does not move in the middle of a block.
//! - **Half a frame** from the client is read again by the next h2, which has not seen it. Of a request's body no copy is kept,
//!   because its stream is open; if the server resets it in this moment, the next frame is waited for.
//! - **Half a frame** from the server is never left: everything has to be flushed, and the last frame complete.
//! - **PING**: not while one is without its answer, in either direction. Those of the keep-alive begin anew.
//! - **GOAWAY**: whoever has sent one ends the connection; it does not move any more. Of one that has moved, h2 names the last
//!   number that it has seen, which is never smaller than that of the prologue's request.
//! - **Late frames.** h2 ignores what comes for a stream that it has reset for a second, and complains after that. A connection
//!   does not move in this second.
//! - **PUSH_PROMISE**: hyper sends none. A connection on which one is seen does not move.
//! - **Counters against abuse** (rapid resets, errors) begin anew with each generation. Limits of idle time and age travel along.
//!
//! A frame counts when all of it has come, as for h2. What h2 has read and not looked at yet cannot be missed: a request has
//! opened its stream, PING and SETTINGS have no answer yet, and everything else has been counted.
//!
//! At the start of a process [`rehearsal`] does all of this once with the hyper and h2 that the app was built with. If anything is
//! otherwise, no HTTP/2 connection moves.

mod followed;
mod follower;
mod frames;
mod prologue;
mod rehearsal;
mod settings;
mod sieve;
mod state;
mod streams;
mod table_size;

use std::future::pending;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::Executor;
use hyper::server::conn::http2::Builder;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::answering::Answering;
use super::batching::Batching;
use super::goaway_grace::GoawayGrace;
use super::io::Io;
use super::lingering_close::lingering_close;
use super::probe::{Probe, Stage};
use super::retry_pause::RetryPause;
use crate::app::ErasedApp;
use crate::drain::{Phase, Shared, count};
use crate::limits::{Order, Reason};
use crate::moving::{Queue, Turn};
use crate::task;

use self::followed::{Followed, Socket};
use self::prologue::Prologue;
pub(super) use self::state::State;
pub(crate) use rehearsal::can_move;

/// How long h2 remembers a stream that it has reset, and accepts frames for it.
const FORGETS: Duration = Duration::from_secs(1);
/// How long a client may take to acknowledge an empty table.
const ANSWERS: Duration = Duration::from_secs(5);
/// How long a connection without requests may take until it can move.
const SETTLES: Duration = Duration::from_secs(2);

/// Whether a connection in this state can continue here.
///
/// # Errors
///
/// The reason, if it cannot.
pub(super) fn check(state: &[u8]) -> io::Result<()> {
    let state = State::decode(state)
        .ok_or_else(|| io::Error::other("the state of its HTTP/2 is of another version"))?;
    match rehearsal::can_resume(&state) {
        true => Ok(()),
        false => Err(io::Error::other(
            "it was promised other settings of HTTP/2 than there are here",
        )),
    }
}

/// Each stream is a task.
#[derive(Clone, Default)]
struct Tasks(Option<Rehearsed>);

/// Tasks that a rehearsal polls by hand.
type Rehearsed = Arc<Mutex<Vec<task::Boxed<()>>>>;

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Tasks {
    fn execute(&self, stream: F) {
        match &self.0 {
            None => {
                task::spawn(stream);
            }
            Some(rehearsed) => {
                let mut tasks = rehearsed.lock().unwrap_or_else(PoisonError::into_inner);
                tasks.push(task::boxed(stream));
            }
        }
    }
}

/// The only type of connection: each further type would link all of hyper's HTTP/2 into every app again.
type Connection = hyper::server::conn::http2::Connection<
    TokioIo<GoawayGrace<Batching<Socket>>>,
    Answering,
    Tasks,
>;

fn connection(
    socket: Socket,
    answering: Answering,
    pings: Option<(Duration, Duration)>,
    ending: &Arc<AtomicBool>,
    tasks: Tasks,
) -> Connection {
    let socket = Batching::new(socket, answering.probe());
    let mut builder = Builder::new(tasks);
    // WebSockets over HTTP/2.
    builder.enable_connect_protocol();
    if let Some((ping, pong)) = pings {
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(ping)
            .keep_alive_timeout(pong);
    }
    let io = TokioIo::new(GoawayGrace::new(socket, Arc::clone(ending)));
    builder.serve_connection(io, answering)
}

/// What happens to a connection next.
enum Next {
    Over(hyper::Result<()>),
    /// It can go to the next generation, and it is its turn.
    Move(Box<(Io, State, Turn)>),
    /// It is told to end.
    End,
}

/// Serves until the connection is over, or can go to the next generation. With a `state`, another process served it before.
pub(super) async fn serve(
    io: Io,
    state: Option<State>,
    app: ErasedApp,
) -> Option<(Io, State, Turn)> {
    let probe = io.probe();
    let shared = Arc::clone(&probe.shared);
    probe.enter(Stage::Http2);
    let ending = Arc::new(AtomicBool::new(false));
    let mut answering = Answering::new(app, Arc::clone(&probe));
    if let Some(state) = &state {
        answering.begin_with(Prologue::debt(state));
        probe.goes_on();
    }
    let (socket, followed) = if state.is_some() || (shared.moves_http2() && !probe.stays()) {
        let followed = Followed::new(io, state);
        (Socket::Followed(followed.clone()), Some(followed))
    } else {
        (Socket::Plain(io), None)
    };
    let pings = shared.limits.pings();
    let mut connection = pin!(connection(
        socket,
        answering,
        pings,
        &ending,
        Tasks::default()
    ));

    let told = tokio::select! {
        next = until_quiet(connection.as_mut(), followed.as_ref(), &probe) => match next {
            Next::Over(result) => {
                over(result, &shared);
                // Its client has to be told to ask elsewhere.
                if let Some(followed) = followed.filter(Followed::was_refused)
                    && let Some(io) = followed.take_anyway()
                {
                    lingering_close(io, true).await;
                }
                return None;
            }
            // hyper has nothing of it any more, and is dropped.
            Next::Move(parts) => return Some(*parts),
            Next::End => None,
        },
        order = probe.ordered() => Some(order),
    };
    // "No new streams soon" with a ping, and after its answer "no streams from here on": requests on their way are still
    // served. If this end must not be waited for, there are no such streams, or the app does not want them.
    ending.store(told.is_some() || !shared.is_hurried(), Ordering::SeqCst);
    connection.as_mut().graceful_shutdown();
    let reason = told.and_then(|order| match order {
        Order::End(reason) => Some(reason),
        Order::Look | Order::Last => None,
    });
    if let Some(reason) = reason {
        shared.counts.ended.count(reason);
        tracing::debug!(%reason, "a connection ends by a limit");
    }
    tokio::select! {
        result = connection.as_mut() => {
            let in_good_order = result.is_ok();
            over(result, &shared);
            // Bytes that the client has sent meanwhile must not turn the end into a reset.
            if in_good_order && let Some(io) = followed.and_then(|followed| followed.take_anyway()) {
                lingering_close(io, true).await;
            }
        }
        () = too_late(&probe, reason) => {}
        () = shared.phases.reached(Phase::Cut) => count(&shared.counts.cut.http2),
    }
    None
}

/// Waits for the end of the connection, for a moment to move it once that is requested, or until it has to end here.
async fn until_quiet(
    mut connection: Pin<&mut Connection>,
    followed: Option<&Followed>,
    probe: &Probe,
) -> Next {
    let mut watch = pin!(probe.shared.phases.watch());
    let mut waiting = MoveAttempt::new(probe);
    std::future::poll_fn(|cx| {
        // Before the connection: if the phase ends in between, the task is woken again.
        let phase = probe.sees(watch.as_mut().poll_phase(cx));
        if let Poll::Ready(result) = connection.as_mut().poll(cx) {
            return Poll::Ready(Next::Over(result));
        }
        if phase != Phase::Moving {
            waiting.queue.leave();
        }
        match (phase, followed) {
            (Phase::Serving, _) => Poll::Pending,
            (Phase::Moving, Some(followed)) => waiting.poll(cx, followed, probe),
            // h2 has to know its position first: it names the last stream when it ends a connection.
            (Phase::Draining, Some(followed)) if !followed.has_begun() => Poll::Pending,
            (Phase::Moving | Phase::Draining | Phase::Cut, _) => Poll::Ready(Next::End),
        }
    })
    .await
}

/// An attempt to move a connection, right after it was polled.
struct MoveAttempt {
    pause: RetryPause,
    queue: Queue,
    /// Number of streams that were reset, and when that was seen.
    cut_off: Option<(u64, Instant)>,
    /// Since when no stream is open.
    calm: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl MoveAttempt {
    fn new(probe: &Probe) -> Self {
        Self {
            pause: RetryPause::new(probe),
            queue: Queue::default(),
            cut_off: None,
            calm: None,
            timer: None,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>, followed: &Followed, probe: &Probe) -> Poll<Next> {
        followed.prepare(cx, probe);
        let turn = || probe.shared.departures.turn();
        if followed.is_busy() {
            self.calm = None;
            self.queue.poll(cx, false, turn);
            return Poll::Pending;
        }
        if followed.is_over() {
            return Poll::Ready(Next::End);
        }
        let now = Instant::now();
        let cut_off = followed.cut_off();
        if self.cut_off.is_none_or(|(seen, _)| seen != cut_off) {
            self.cut_off = Some((cut_off, now));
        }
        let (cut_off, seen) = self.cut_off.unwrap_or((0, now));
        let forgotten = seen + FORGETS;
        let can = (cut_off == 0 || forgotten <= now)
            && probe.is_clean()
            && self.pause.poll(cx).is_ready()
            && followed.can_be_taken();
        if let Some(turn) = self.queue.poll(cx, can, turn)
            && let Some((io, state)) = followed.take()
        {
            return Poll::Ready(Next::Move(Box::new((io, state, turn))));
        }
        if can {
            // That others are before it is not its client's fault.
            self.calm = None;
            return Poll::Pending;
        }
        let patience = match followed.is_certain() {
            true => SETTLES,
            false if probe.shared.is_hurried() => ANSWERS / 10,
            false => ANSWERS,
        };
        let settled = *self.calm.get_or_insert(now) + patience;
        if settled <= now {
            return Poll::Ready(Next::End);
        }
        // All other causes wake the connection.
        let until = if forgotten > now { forgotten } else { settled };
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(until)));
        timer.as_mut().reset(until);
        if timer.as_mut().poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}
/// How long a client may take to learn that its connection ends.
const GOODBYE: Duration = Duration::from_secs(2);

/// Waits until the end of a connection that a limit ends is no longer waited for.
async fn too_late(probe: &Probe, reason: Option<Reason>) {
    match reason {
        // A drain has its deadline.
        None => pending().await,
        // Open streams end; what is sent keeps it from being idle.
        Some(Reason::Age) => while let Order::End(Reason::Age) = probe.ordered().await {},
        // There was no stream, but one may have begun in this moment.
        Some(Reason::Idle | Reason::Crowded) => loop {
            sleep(GOODBYE).await;
            if probe.has_no_stream() {
                return;
            }
        },
        Some(Reason::Head | Reason::Body | Reason::Answer | Reason::Ping) => sleep(GOODBYE).await,
    }
}

fn over(result: hyper::Result<()>, shared: &Shared) {
    if let Err(error) = result {
        if error.is_timeout() {
            shared.counts.ended.count(Reason::Ping);
        }
        tracing::debug!(%error, "connection ended");
    }
}
