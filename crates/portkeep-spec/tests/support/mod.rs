//! Shared parts of the tests: the golden cases, and a reader of units that is independent of the renderer.

#![allow(dead_code, unreachable_pub)] // each test uses its part

pub mod arbitrary;
pub mod expected_units;
pub mod golden;
pub mod message;
pub mod reader;
