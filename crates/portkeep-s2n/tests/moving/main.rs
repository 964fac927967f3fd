//! TLS connections that outlive their process, with clients of several kinds and real processes.

#![allow(
    clippy::unwrap_used,
    reason = "helpers too: a failed one is a failed test"
)]

mod bad;
mod client;
mod clients;
mod counting;
mod growth;
#[path = "../../../portkeep/tests/lifecycle/manager.rs"]
#[allow(dead_code, reason = "not all of it is needed here")]
mod manager;
mod plain;
mod probe;
mod programs;
mod random;
#[path = "../../../portkeep/src/seeded_random.rs"]
#[allow(dead_code, reason = "not all of it is needed here")]
mod seeded_random;
mod states;
mod storm;
mod websockets;
mod world;
