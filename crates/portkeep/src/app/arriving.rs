//! Observer of a request's body.

use std::sync::Arc;

/// Observes how a request's body arrives.
pub(crate) trait BodyObserver: Send + Sync {
    /// The app waits for more of it.
    #[cfg_attr(not(feature = "axum"), allow(dead_code))]
    fn waits(&self);
    /// More of it has come, or is not wanted any more.
    #[cfg_attr(not(feature = "axum"), allow(dead_code))]
    fn goes_on(&self, came: bool);
}

/// An extension of a request with a body.
#[derive(Clone)]
pub(crate) struct Arriving(
    #[cfg_attr(
        not(feature = "axum"),
        allow(dead_code, reason = "only axum's body can be watched")
    )]
    pub(crate) Arc<dyn BodyObserver>,
);
