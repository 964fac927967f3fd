//! Observer of a request's body.

use std::sync::Arc;

/// Whoever wants to know how the body of a request comes along.
pub(crate) trait BodyObserver: Send + Sync {
    /// The app asked for more, and nothing is there.
    #[cfg_attr(not(feature = "axum"), allow(dead_code))]
    fn waits(&self);
    /// What it asked for is there, or not wanted any more.
    #[cfg_attr(not(feature = "axum"), allow(dead_code))]
    fn goes_on(&self, came: bool);
}

/// Among the extensions of a request with a body.
#[derive(Clone)]
pub(crate) struct Arriving(
    #[cfg_attr(
        not(feature = "axum"),
        allow(dead_code, reason = "only axum's body can be watched")
    )]
    pub(crate) Arc<dyn BodyObserver>,
);
