//! What Nix and the spec agree on, and what a switch does with the units: checked without Nix.

mod schema;
mod switch;
