//! What Nix and the spec agree on, and what a switch does with the units: checked without Nix.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod package;
mod schema;
mod switch;
