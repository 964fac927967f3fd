//! A channel of tonic's, as gRPC services have it, while generations replace one another.

#![allow(
    clippy::unwrap_used,
    reason = "helpers too: a failed one is a failed test"
)]

#[path = "../../../../crates/portkeep/tests/lifecycle/manager.rs"]
#[allow(dead_code, reason = "not all of it is needed here")]
mod manager;
mod probe;
mod streams;
mod unary;
mod world;
