//! Peer of a connection.

use std::net::SocketAddr;

use http::Extensions;

use crate::listen::Stream;

/// The other side of the connection that a request came over. Every request that portkeep serves has
/// it, see [`Peer::of`]; in axum's handlers it is an extractor (feature `axum`):
///
/// ```
/// async fn whoami(peer: portkeep::Peer) -> String {
///     match peer.address() {
///         Some(address) => address.to_string(),
///         None => "somebody on this machine".to_owned(),
///     }
/// }
/// # let _: axum::Router = axum::Router::new().route("/", axum::routing::get(whoami));
/// ```
///
/// axum's own `ConnectInfo<SocketAddr>` works too, for connections over TCP.
///
/// A connection that moves from process to process keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    address: Option<SocketAddr>,
}

impl Peer {
    /// Its address; none if it came over a Unix socket.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Of the request that has these extensions; none if portkeep does not serve it, as in a test
    /// that calls the app directly.
    ///
    /// ```
    /// fn is_local<B>(request: &http::Request<B>) -> bool {
    ///     let peer = portkeep::Peer::of(request.extensions());
    ///     peer.and_then(|peer| peer.address())
    ///         .is_none_or(|address| address.ip().is_loopback())
    /// }
    /// # assert!(is_local(&http::Request::new(())));
    /// ```
    #[must_use]
    pub fn of(extensions: &Extensions) -> Option<Self> {
        #[cfg(feature = "axum")]
        if let Some(axum::extract::ConnectInfo(address)) = extensions.get() {
            return Some(Self {
                address: Some(*address),
            });
        }
        extensions.get().copied()
    }

    /// Adds it to the extensions of a request: as axum's type if that is enough, because every extension costs every
    /// request an allocation.
    #[inline]
    pub(super) fn introduce(self, extensions: &mut Extensions) {
        #[cfg(feature = "axum")]
        if let Some(address) = self.address {
            extensions.insert(axum::extract::ConnectInfo(address));
            return;
        }
        extensions.insert(self);
    }

    pub(super) fn behind(stream: &Stream) -> Self {
        let address = match stream {
            // Fails if the client is gone already.
            Stream::Tcp(stream) => stream.peer_addr().ok(),
            // A wrapped stream was asked before.
            Stream::Unix(_) | Stream::Wrapped(_) | Stream::Movable(_) => None,
        };
        Self { address }
    }
}

/// Answers 500 with the reason if portkeep does not serve the request.
#[cfg(feature = "axum")]
impl<S: Sync> axum::extract::FromRequestParts<S> for Peer {
    type Rejection = (http::StatusCode, &'static str);

    async fn from_request_parts(
        parts: &mut http::request::Parts,
        _state: &S,
    ) -> Result<Self, Self::Rejection> {
        Self::of(&parts.extensions).ok_or((
            http::StatusCode::INTERNAL_SERVER_ERROR,
            "this request did not come through portkeep, so nobody knows its peer",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_introduced_is_found() {
        let mut extensions = Extensions::new();
        assert_eq!(Peer::of(&extensions), None);
        for address in [None, Some(SocketAddr::from(([127, 0, 0, 1], 80)))] {
            let peer = Peer { address };
            extensions.clear();
            peer.introduce(&mut extensions);
            assert_eq!(Peer::of(&extensions), Some(peer));
        }
    }
}
