//! A certificate that clients believe in.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

pub(crate) const CERTIFICATE: &str = "cert.pem";
pub(crate) const KEY: &str = "key.pem";

/// Where servers find it, and a client's configuration: TLS 1.3 only.
pub(crate) struct World {
    directory: TempDir,
    pub(crate) client: Arc<ClientConfig>,
}

impl World {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let key = KeyPair::generate()?;
        let mut authority = CertificateParams::new(Vec::new())?;
        authority
            .distinguished_name
            .push(DnType::CommonName, "authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = authority.self_signed(&key)?;
        let issuer = Issuer::new(authority, key);
        let key = KeyPair::generate()?;
        let certificate =
            CertificateParams::new(vec!["localhost".to_owned()])?.signed_by(&key, &issuer)?;
        fs::write(directory.path().join(CERTIFICATE), certificate.pem())?;
        fs::write(directory.path().join(KEY), key.serialize_pem())?;
        let mut roots = RootCertStore::empty();
        roots.add(root.der().clone())?;
        let client = ClientConfig::builder_with_protocol_versions(&[&TLS13])
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            directory,
            client: Arc::new(client),
        })
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }
}
