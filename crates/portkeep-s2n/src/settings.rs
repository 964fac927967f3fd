//! Settings of TLS.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::{Error, certificate};

/// Source of a certificate or key.
#[derive(Clone)]
pub(crate) enum Place {
    File(PathBuf),
    /// The name of a credential.
    Credential(String),
    /// Bytes from the app.
    Memory(Arc<Zeroizing<Vec<u8>>>),
}

/// Without bytes in memory.
impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.fmt(f),
            Self::Credential(name) => name.fmt(f),
            Self::Memory(_) => f.write_str("Memory"),
        }
    }
}

/// What was read, and from where.
pub(crate) struct Read {
    pub(crate) path: PathBuf,
    pub(crate) contents: Arc<Zeroizing<Vec<u8>>>,
}

impl Place {
    pub(crate) fn read(&self) -> Result<Read, Error> {
        if let Self::Memory(contents) = self {
            return Ok(Read {
                path: "memory".into(),
                contents: Arc::clone(contents),
            });
        }
        let path = self.path()?;
        Ok(Read {
            contents: Arc::new(certificate::read(&path)?),
            path,
        })
    }

    fn path(&self) -> Result<PathBuf, Error> {
        match self {
            Self::Memory(_) => Ok("memory".into()),
            Self::File(path) => Ok(path.clone()),
            Self::Credential(name) => match std::env::var_os("CREDENTIALS_DIRECTORY") {
                Some(directory) => Ok(Path::new(&directory).join(name)),
                None => Err(Error::NoCredentials { name: name.clone() }),
            },
        }
    }
}

/// Which clients need a certificate.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ClientCertificates {
    /// Every client needs one that an authority in this file (PEM) has signed.
    Required(PathBuf),
    /// A client may have none; otherwise such an authority has signed it.
    Optional(PathBuf),
}

/// Settings of TLS.
///
/// Certificate and key are PEM; the certificate's file has those between it and the root behind it.
#[derive(Debug, Clone)]
pub struct Settings {
    pub(crate) certificate: Place,
    pub(crate) key: Place,
    pub(crate) protocols: Vec<String>,
    pub(crate) policy: String,
    pub(crate) clients: Option<ClientCertificates>,
    pub(crate) introduces: bool,
    pub(crate) accepts_expired: bool,
}

impl Settings {
    /// TLS 1.2 and 1.3, ECDHE only: what s2n-tls calls `default_tls13` today.
    pub(crate) const POLICY: &str = "20240503";

    fn new(certificate: Place, key: Place) -> Self {
        Self {
            certificate,
            key,
            protocols: ["h2", "http/1.1"].map(str::to_owned).to_vec(),
            policy: Self::POLICY.to_owned(),
            clients: None,
            introduces: false,
            accepts_expired: false,
        }
    }

    /// Certificate and key from files.
    #[must_use]
    pub fn from_files(certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self::new(Place::File(certificate.into()), Place::File(key.into()))
    }

    /// Certificate and key from systemd's credentials with these names: `credentials` in portkeep.json, `LoadCredential=`
    /// in a unit.
    #[must_use]
    pub fn from_credentials(certificate: impl Into<String>, key: impl Into<String>) -> Self {
        Self::new(
            Place::Credential(certificate.into()),
            Place::Credential(key.into()),
        )
    }

    /// Certificate and key from memory. They cannot be read again: [`Tls::reread`](crate::Tls::reread) reads only the
    /// authorities of clients.
    #[must_use]
    pub fn from_pem(certificate: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        let memory = |bytes: Vec<u8>| Place::Memory(Arc::new(Zeroizing::new(bytes)));
        Self::new(memory(certificate.into()), memory(key.into()))
    }

    /// The protocols that ALPN offers, best first (default `h2`, `http/1.1`). Without `h2`, all connections can move. With
    /// none, ALPN is not answered.
    #[must_use]
    pub fn protocols(mut self, protocols: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.protocols = protocols.into_iter().map(Into::into).collect();
        self
    }

    /// The numbered security policy of s2n-tls (default `20240503`: TLS 1.2 and 1.3, ECDHE). A name without a number may
    /// mean another policy in the next version, so that connections would not move.
    #[must_use]
    pub fn policy(mut self, policy: impl Into<String>) -> Self {
        self.policy = policy.into();
        self
    }

    /// Asks clients for a certificate (default: they are not asked). Handlers find it in the [`Session`](crate::Session).
    #[must_use]
    pub fn client_certificates(mut self, clients: ClientCertificates) -> Self {
        self.clients = Some(clients);
        self
    }

    /// Adds a [`Session`](crate::Session) to the extensions of each request (default: only if clients are asked for a
    /// certificate).
    #[must_use]
    pub fn introduce_sessions(mut self) -> Self {
        self.introduces = true;
        self
    }

    /// Serves with a certificate that has expired or is not valid yet, and warns (default: fails, so that a generation with
    /// an invalid certificate does not replace one with a valid one).
    #[must_use]
    pub fn accept_expired(mut self) -> Self {
        self.accepts_expired = true;
        self
    }
}
