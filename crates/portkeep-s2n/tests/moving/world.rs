//! Generations that share a port and a move socket, and an authority that clients trust.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use rcgen::{CertificateParams, Issuer, KeyPair};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with,
};
use tempfile::TempDir;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

use crate::manager::{Process, Setup, listener};
use crate::probe;

pub(crate) struct World {
    listener: TcpListener,
    pub(crate) address: SocketAddr,
    pub(crate) move_socket: OwnedFd,
    pub(crate) directory: TempDir,
    authority: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
}

impl World {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        let address = SocketAddrUnix::new(directory.path().join("move")).unwrap();
        bind(&socket, &address).unwrap();
        listen(&socket, 128).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        // Another name than the certificates that it signs: otherwise those would seem to be self-signed.
        authority
            .distinguished_name
            .push(rcgen::DnType::CommonName, "authority");
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let root = authority.self_signed(&key).unwrap();
        fs::write(directory.path().join("ca.pem"), root.pem()).unwrap();
        let (listener, address) = listener();
        let world = Self {
            listener,
            address,
            move_socket: socket,
            directory,
            authority: Issuer::new(authority, key),
            root: root.der().clone(),
        };
        world.place(|_| {});
        world
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    /// A certificate for `localhost`, and its key, in PEM.
    pub(crate) fn certify(&self, change: impl FnOnce(&mut CertificateParams)) -> (String, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.authority).unwrap();
        (certificate.pem(), key)
    }

    /// Writes certificate and key to the place where generations read them.
    pub(crate) fn place(&self, change: impl FnOnce(&mut CertificateParams)) {
        let (certificate, key) = self.certify(change);
        write(&self.path("cert.pem"), &certificate);
        write(&self.path("key.pem"), &key.serialize_pem());
    }

    pub(crate) fn setup(&self) -> Setup {
        Setup::http(&self.listener)
            .socket("portkeep-move", &self.move_socket)
            .set(probe::FILES, self.directory.path().display())
    }

    pub(crate) fn start(&self) -> Process {
        self.setup().start_ready()
    }

    pub(crate) fn config(&self, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        ClientConfig::builder_with_protocol_versions(versions)
            .with_root_certificates(roots)
            .with_no_client_auth()
    }

    /// A client with a certificate of the same authority.
    pub(crate) fn config_of_one_known(&self) -> Arc<ClientConfig> {
        let (certificate, key) = self.certify(|_| {});
        let certificate = pem(&certificate);
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        let config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_client_auth_cert(
                vec![certificate],
                PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            );
        Arc::new(config.unwrap())
    }
}

pub(crate) fn write(path: &Path, text: &str) {
    // As a person replaces them: in one step.
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(&new, path).unwrap();
}

fn pem(text: &str) -> CertificateDer<'static> {
    use tokio_rustls::rustls::pki_types::pem::PemObject;
    CertificateDer::from_pem_slice(text.as_bytes()).unwrap()
}

/// Waits for the end of a generation whose connections have all moved or ended by themselves, and returns how many moved.
pub(crate) fn only_moved(old: &mut Process) -> u64 {
    let report = old.report();
    assert!(
        report.contains(" 0 idle closed, nothing cut"),
        "{report}\n{}",
        old.story()
    );
    let before = report.split(" moved").next().unwrap();
    before.rsplit(' ').next().unwrap().parse().unwrap()
}
