//! Guides: text only.

#[doc = include_str!("docs/draining.md")]
pub mod draining {}
