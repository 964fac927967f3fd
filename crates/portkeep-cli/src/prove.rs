//! Loads a server while it is reloaded, and reports what its clients saw.
//!
//! ```text
//! Pace ─ tickets, each due at its time ─▶ clients ─ samples ─▶ statistics ─▶ Report ─▶ lines, JSON, charts
//!                              reloads ─ windows ───────────────▲
//! ```
//!
//! The load is open: requests are due at a fixed rate, whatever the server does, and the latency of a request counts from
//! when it was due. So a stalled server does not slow down its own measurement. No request is sent twice.

pub(crate) mod chart;
mod client;
mod failure;
mod pace;
mod plan;
mod progress;
mod releases;
mod reloads;
mod report;
mod run;
mod sample;
mod statistics;

pub(crate) use plan::{Mode, Plan, Target, VersionIn};
pub(crate) use run::run;
