//! Name of the listener that a request came through.

use std::sync::Arc;

/// The name of that listener, among the extensions of a request; empty if it was passed without one.
///
/// Only where `portkeep dev` may ask: every extension is memory of its own, for every request.
#[derive(Debug, Clone)]
pub(crate) struct ListenerName(pub(crate) Arc<str>);
