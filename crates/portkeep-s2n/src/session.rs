//! Facts about a TLS session.

use std::sync::Arc;

use http::Extensions;

/// The TLS session that a request came over, if [`introduce_sessions`](crate::Settings::introduce_sessions) or
/// [`client_certificates`](crate::Settings::client_certificates) was called. It goes along when a connection moves.
///
/// ```
/// fn who(request: &http::Request<()>) -> Option<&[u8]> {
///     let session = portkeep_s2n::Session::of(request.extensions())?;
///     session.client_certificates().next()
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Session(pub(crate) Arc<Facts>);

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Facts {
    pub(crate) server_name: Option<String>,
    pub(crate) protocol: Option<String>,
    /// DER.
    pub(crate) client_certificates: Vec<Vec<u8>>,
}

impl Session {
    /// The session of a request, from its extensions.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    /// The name that the client requested (SNI).
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        self.0.server_name.as_deref()
    }

    /// The protocol that ALPN chose.
    #[must_use]
    pub fn protocol(&self) -> Option<&str> {
        self.0.protocol.as_deref()
    }

    /// The certificate that the client sent, and its chain up to the authority, in DER; none if it sent none.
    pub fn client_certificates(&self) -> impl Iterator<Item = &[u8]> {
        self.0.client_certificates.iter().map(Vec::as_slice)
    }
}
