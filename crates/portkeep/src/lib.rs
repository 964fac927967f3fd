//! Serves HTTP on sockets that systemd holds, and ends without losing a request.
//!
//! ```no_run
//! #[tokio::main]
//! async fn main() -> Result<(), portkeep::Error> {
//!     let app = axum::Router::new().route("/", axum::routing::get(|| async { "Hello" }));
//!     portkeep::serve(app).await
//! }
//! ```
//!
//! # The model
//!
//! The port does not belong to the program. systemd (or systemfd, watchexec, devenv) opens the
//! listening socket, keeps it, and passes it to each *generation* of the program that it starts.
//! To replace a running generation, the next one is started beside it:
//!
//! 1. The new generation takes the passed sockets, but does not accept yet: all generations share
//!    one queue of connections, so whoever accepts is serving.
//! 2. It gets itself ready; [`Server::ready_when`] adds the app's own checks. If one fails, or the
//!    process does, nothing has happened: the old generation serves.
//! 3. It says `READY=1` and begins to accept in the same moment.
//! 4. The old generation gets SIGTERM and stops accepting. What is still in the queue is the new
//!    one's.
//! 5. It [drains](guide::draining): every connection that it has comes to a good end, until a
//!    deadline cuts the rest.
//! 6. [`serve`] returns `Ok`, and the process ends.
//!
//! At no moment is there nobody to accept. Where portkeep runs the program, HTTP/1 connections
//! [move](guide::draining#connections-move) to the new generation as they are, and clients notice
//! nothing. Elsewhere a client that sends requests hears in an answer that its connection ends;
//! only a connection that stays idle for longer than [`Server::linger`] is closed without a word.
//!
//! Without systemd the same program binds an address of its own and drains just as well;
//! everything that concerns the service manager then does nothing.
//!
//! # What is where
//!
//! - [`serve`] and [`Server`]: everything above, for an `axum::Router` or any tower service
//!   ([`App`]).
//! - [`Sockets`]: passed sockets by name, for those that you handle yourself.
//! - [`until_drain`], [`close_at_drain`], [`stream_ends`], [`shutdown`] and [`ShutdownToken`]: how an endless answer learns that it has
//!   to end.
//! - [`hand_over`] and [`Server::resume`]: WebSockets that go on in the next generation.
//! - [`Health`]: what load balancers are told, where the app has a health socket.
//! - [`Limits`]: what a connection may not do for ever, on by default.
//! - [`Peer`]: who sent a request.
//! - [`Transport`]: something between the socket and HTTP, such as TLS, whose connections move.
//! - [`ReleaseFiles`]: hashed assets of this release and of those before it, for pages that are still open.
//! - [`ready`]: for servers that do not use [`serve`].
//!
//! # Environment
//!
//! | variable | meaning |
//! |---|---|
//! | `LISTEN_FDS`, `LISTEN_FDNAMES`, `LISTEN_PID`, `LISTEN_PIDFDID`, `LISTEN_FDS_FIRST_FD` | passed sockets; see [`Sockets::from_env`] |
//! | `PORTKEEP_DRAIN` | `lossless` or `fresh`: see [`Policy`]; goes before [`Server::policy`] |
//! | `PORTKEEP_GENERATION` | the number of this generation: tells whether there is a next one to move connections to |
//! | `NOTIFY_SOCKET` | where `READY=1`, `STATUS=` and the rest go |
//! | `WATCHDOG_USEC`, `WATCHDOG_PID` | `WATCHDOG=1` is sent at half this interval, from inside the runtime |
//! | `PORTKEEP_LISTEN` | where to listen if no socket is passed; goes before [`Server::listen`] |
//! | `PORTKEEP_DEV`, `PORTKEEP_DEV_HOLD` | where `portkeep dev` listens for its pages, and whether requests wait for a build; see the feature `dev` |
//! | `PORTKEEP_DRAIN_TIMEOUT_USEC` | the spec's `drainTimeout`; goes before [`Server::drain_timeout`] |
//! | `PORTKEEP_DRAIN_FILES` | files that are there while whoever runs the app takes it out (`portkeep drain`) |
//! | `PORTKEEP_RELEASE_DIR` | the files that this release brings along (`files` in the spec); see [`ReleaseFiles`] |
//! | `PORTKEEP_KEPT_FILES` | a file that lists the files of all kept releases; see [`ReleaseFiles`] |
//! | `PORTKEEP_LINGER_USEC` | the spec's `linger`; goes before [`Server::linger`] |
//! | `PORTKEEP_IDLE_EXIT_USEC` | the spec's `idleExit`; goes before [`Server::idle_exit`]; 0: never |
//! | `PORTKEEP_LIMIT_…` | the spec's `limits`; they go before [`Server::limits`]: see [`Limits`] |
//!
//! # Features
//!
//! - `axum` (default): handlers can extract `axum::extract::ConnectInfo<SocketAddr>`, without a
//!   `into_make_service_with_connect_info`. Who does not use axum saves compiling it by
//!   `default-features = false`; the library needs nothing of it.
//! - `http2` (default): HTTP/2 by prior knowledge, on the same port as HTTP/1.
//! - `dev` (default): under `portkeep dev`, pages reload by themselves and show the compiler's
//!   errors: see [the guide](guide::developing). There is nothing of it in a build without debug assertions.
//! - `dev-in-release`: the same in a release build; for portkeep itself.
//!
//! To an app on axum and tokio the library adds 20 crates, itself included; 11 without the default features.
//!
//! Logs are `tracing` events. TLS is left to what stands in front, to [`Server::accept_with`], or to a [`Transport`] whose
//! connections move.

// Tests of its own are written as those of others.
#[cfg(test)]
extern crate self as portkeep;

mod accept;
mod accepted;
mod acceptor;
mod app;
mod close_at_drain;
mod connection;
#[cfg(all(feature = "dev", any(debug_assertions, feature = "dev-in-release")))]
mod dev;
mod drain;
mod drain_files;
mod ending;
mod error;
pub mod guide;
mod health;
mod health_in_app;
mod health_sockets;
mod limits;
mod listen;
mod listeners;
mod moving;
mod notify;
mod open_files;
mod release_files;
mod secret;
#[cfg(test)]
mod seeded_random;
mod sentences;
mod serve;
mod server;
mod shutdown;
mod signals;
mod sweeper;
mod task;
mod transport;
mod until_drain;
mod websocket;

pub use accepted::Accepted;
pub use app::App;
pub use close_at_drain::{CloseAtDrain, close_at_drain};
pub use connection::{Peer, RawWebSocket, Refusal, Refused, hand_over};
pub use error::{BoxError, Error};
pub use health::Health;
#[doc(hidden)]
pub use health::{HealthReport, Readiness, Source, is_taken_out};
#[doc(hidden)]
pub use health_sockets::answer_alone;
pub use hyper::body::Incoming;
pub use limits::Limits;
pub use listen::{ListenError, Passed, SocketInfo, SocketKind, Sockets, Which};
pub use notify::ready;
pub use release_files::{FileBody, ReleaseFiles, is_hashed};
pub use secret::Secret;
pub use serve::serve;
pub use server::{Policy, Server};
pub use shutdown::{ShutdownToken, shutdown, stream_ends};
pub use transport::{Parts, Transport};
pub use until_drain::{UntilDrain, until_drain};
pub use websocket::SessionState;
