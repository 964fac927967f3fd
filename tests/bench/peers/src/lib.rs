//! The app of all peers: what it answers, how long it starts, and whether this release is a bad one.
//!
//! How long a start takes is in `START_MS` (milliseconds, default 0), the address in `BENCH_LISTEN`. Which release it is
//! stands behind the program, in its own file: a new release is a copy with another last line, so that every tool sees
//! what it sees after a build.

mod release;
mod routes;

pub use release::{Mode, Release};
pub use routes::{Told, never_told, pages, router};
