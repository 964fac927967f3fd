//! Guides: text only.

#[doc = include_str!("docs/draining.md")]
pub mod draining {}

#[doc = include_str!("docs/developing.md")]
pub mod developing {}
