//! Starts, switches and drains generations of an app.
//!
//! A *handover* replaces the current generation by a new one, overlapping:
//!
//! ```text
//! lock ─ survey ─ capture ─────────── start N+1 ─ READY? ─ switch `current` ─ drain all others ─ record
//!                     │ refused              │ no: report why, abandon N+1
//!                     └──────────────────────┴──▶ the current generation serves on
//!                                                 or, if none does: the last good release, else the holding page
//! ```
//!
//! [`handover::Handover`] is the pure machine that decides the steps; [`execute`](mod@execute) carries them out against a
//! [`Backend`] (systemd over D-Bus, or child processes) and a [`Store`] (files). The old generation serves until the new
//! one is READY; every step can be killed, and the next handover looks at what is really running and repairs.

pub mod app_directories;
pub mod backend;
mod capture;
pub mod decision;
pub mod diagnosis;
mod directories;
mod end;
mod error;
pub mod execute;
pub mod failpoint;
mod generation;
pub mod handover;
pub mod health;
pub mod helper;
mod installed;
pub mod journal;
pub mod maintenance;
pub mod metrics;
mod moment;
pub mod move_socket;
mod prerequisites;
pub mod process;
pub mod release;
pub mod release_command;
mod remedy;
mod resolve_path;
pub mod retry;
pub mod secrets;
pub mod settle;
mod signal;
mod socket_file;
mod socket_use;
mod status_counts;
pub mod stop_limits;
pub mod store;
pub mod taken_out;
pub mod trace;
pub mod units;
mod user;

pub use backend::{Backend, BackendError, Blame, HandleState, HandleUnit, JobResult, StartFailure};
pub use capture::{CaptureError, Executable, FilesError, NotForOwner, executable_of};
pub use directories::{
    Directories, DirectoriesError, Place, Untrusted, check_trusted, make, user_runtime_directory,
};
pub use end::{Cause, End, Step};
pub use error::EngineError;
pub use execute::{Cancel, Handovers, Outcome, Request, Wanted, hand_over};
pub use generation::{Generation, Phase, Running};
pub use installed::{Comparison, Mismatch, compare, compare_to};
pub use moment::Moment;
pub use prerequisites::Prerequisites;
pub use release::{Digest, HoldingPage, Release};
pub use release_command::ReleaseCommand;
pub use socket_file::{bind_private, is_own_peer, listen_private};
pub use socket_use::{
    Listening, Misuse, SocketUse, Taking, accepts, listening_at, says_in_use, socket_use,
    still_listening,
};
pub use store::Store;
pub use user::{RunsAs, user_name};
