//! What the tests against the real thing share.
//!
//! A scenario installs an [`App`] whose executable is a stamped copy of the `probe` fixture
//! ([`stamp`]), disturbs it through the real command line ([`Manager`], [`command`]), and watches it
//! from outside: by a client that never retries ([`Watcher`]) and by a load generator ([`Load`]).
#![allow(
    clippy::missing_panics_doc,
    reason = "test support: a panic is how a test fails"
)]

mod app;
mod client;
pub mod command;
mod http2;
mod load;
pub mod machine;
mod manager;
mod measure;
mod moment;
mod neighbour;
mod observation;
mod other_user;
mod paced;
mod publish;
pub mod stamp;
mod steady;
mod wait;
pub mod websocket;

pub use app::{App, AppBuilder, probe};
pub use client::{Answer, Asked, Outcome, ask, request, whole_answer};
pub use http2::{Http2Load, Http2Report};
pub use load::{Connections, Load, LoadReport, RunningLoad};
pub use manager::Manager;
pub use measure::Measurement;
pub use moment::Moment;
pub use neighbour::Neighbour;
pub use observation::{Observation, Sample, Watcher};
pub use other_user::OtherUser;
pub use paced::paced;
pub use publish::Publish;
pub use stamp::{Behaviour, Mode};
pub use steady::{Kept, Steady};
pub use wait::wait_until;
