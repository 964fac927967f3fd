//! Who is on the other side.

use std::net::SocketAddr;

use crate::listen::Stream;

/// The other side of the connection that a request came over. Every request has it among its
/// extensions:
///
/// ```
/// use axum::Extension;
///
/// async fn whoami(Extension(peer): Extension<portkeep::Peer>) -> String {
///     match peer.address() {
///         Some(address) => address.to_string(),
///         None => "somebody on this machine".to_owned(),
///     }
/// }
/// # let _: axum::Router = axum::Router::new().route("/", axum::routing::get(whoami));
/// ```
///
/// axum's own `ConnectInfo<SocketAddr>` works too, for connections over TCP (feature `axum`).
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

    /// Of a connection that only exists in a test of ours.
    pub(super) fn nobody() -> Self {
        Self { address: None }
    }

    pub(super) fn of(stream: &Stream) -> Self {
        let address = match stream {
            // Fails when the client is gone already.
            Stream::Tcp(stream) => stream.peer_addr().ok(),
            // What is wrapped is asked before.
            Stream::Unix(_) | Stream::Wrapped(_) => None,
        };
        Self { address }
    }
}
