//! Name of the listener that a request came through.

use std::sync::Arc;

/// The listener's name, as an extension of a request; empty if it was passed without one.
///
/// Only if `portkeep dev` may ask for it: an extension costs every request an allocation.
#[derive(Debug, Clone)]
pub(crate) struct ListenerName(pub(crate) Arc<str>);
