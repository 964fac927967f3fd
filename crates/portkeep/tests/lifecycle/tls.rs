//! TLS that ends in the app: it cannot move, and drains without losing an answer.

use std::fs;
use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use tokio_rustls::rustls::server::ProducesTickets;
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, ServerConfig, StreamOwned,
};

use crate::client::get;
use crate::keys::SharedKeys;
use crate::manager::{Process, Setup, listener};
use crate::probe;

/// Of the process under test.
pub(crate) fn acceptor(directory: &Path) -> TlsAcceptor {
    let certificate = CertificateDer::from(fs::read(directory.join("certificate")).unwrap());
    let key = PrivatePkcs8KeyDer::from(fs::read(directory.join("key")).unwrap());
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key.into())
        .unwrap();
    if let Some(directory) = std::env::var_os(probe::TICKETS) {
        config.ticketer = Arc::new(SharedKeys::open(directory).unwrap());
    }
    TlsAcceptor::from(Arc::new(config))
}

/// A certificate, and who believes in it.
struct Trust {
    directory: TempDir,
    config: Arc<ClientConfig>,
}

impl Trust {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(directory.path().join("certificate"), made.cert.der()).unwrap();
        fs::write(
            directory.path().join("key"),
            made.signing_key.serialize_der(),
        )
        .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            directory,
            config: Arc::new(config),
        }
    }

    fn setup(&self, listener: &std::net::TcpListener) -> Setup {
        Setup::http(listener).set(probe::TLS, self.directory.path().display())
    }

    fn client(&self, address: SocketAddr) -> Client {
        let socket = TcpStream::connect(address).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let session = ClientConnection::new(Arc::clone(&self.config), name).unwrap();
        Client(BufReader::new(StreamOwned::new(session, socket)))
    }
}

struct Client(BufReader<StreamOwned<ClientConnection, TcpStream>>);

impl Client {
    fn send(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// The head and the body of the next answer, if the connection has one.
    fn answer(&mut self) -> io::Result<(String, Vec<u8>)> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if io::BufRead::read_line(&mut self.0, &mut head)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let head = head.to_ascii_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        Ok((head, body))
    }

    /// In good order: rustls takes an end without `close_notify` for an error.
    fn ended(&mut self) {
        assert_eq!(self.0.read(&mut [0; 1]).unwrap(), 0);
    }
}

#[test]
fn what_runs_is_answered_and_then_it_ends_in_good_order() {
    let (listener, address) = listener();
    let trust = Trust::new();
    let mut process = trust.setup(&listener).start_ready();
    let mut idle = trust.client(address);
    idle.send(&get("/peer"));
    assert!(idle.answer().unwrap().1.starts_with(b"127.0.0.1:"));
    let mut busy = trust.client(address);
    busy.send(&get("/slow/500"));
    // More than any buffer takes.
    let mut big = trust.client(address);
    big.send(&get("/big"));
    let mut last = trust.client(address);
    last.send(&get("/"));
    last.answer().unwrap();

    process.drain();
    // Idle ones may ask once more.
    idle.send(&get("/"));
    for client in [&mut idle, &mut busy] {
        let (head, _) = client.answer().unwrap();
        assert!(head.contains("connection: close"), "{head}");
        client.ended();
    }
    thread::sleep(Duration::from_millis(300));
    assert_eq!(big.answer().unwrap().1.len(), 4 << 20);
    drop((big, last, idle, busy));
    let report = process.report();
    assert!(report.contains("nothing cut"), "{report}");
}

/// Connects once and asks, and says whether the session was resumed and how long the handshake took.
fn handshake(trust: &Trust, address: SocketAddr) -> (bool, Duration) {
    let began = Instant::now();
    let mut client = trust.client(address);
    client.send(&get("/"));
    let took = began.elapsed();
    // With it come tickets.
    client.answer().unwrap();
    let kind = client.0.get_ref().conn.handshake_kind();
    (kind == Some(HandshakeKind::Resumed), took)
}

/// Generations with the keys of one directory take the tickets of one another; without it nobody takes those of others.
#[test]
fn sessions_are_resumed_with_the_next_generation() {
    for shared in [true, false] {
        let (listener, address) = listener();
        let trust = Trust::new();
        let keys = tempfile::tempdir().unwrap();
        let start = || {
            let setup = trust.setup(&listener);
            let setup = match shared {
                true => setup.set(probe::TICKETS, keys.path().display()),
                false => setup,
            };
            setup.start_ready()
        };
        let mut old = start();
        handshake(&trust, address);
        let (resumed, _) = handshake(&trust, address);
        assert!(resumed, "with the same one it always is");
        let _new = start();
        old.drain();
        old.report();
        let (resumed, _) = handshake(&trust, address);
        assert_eq!(resumed, shared);
        if shared {
            let mut config = (*trust.config).clone();
            config.resumption = Resumption::disabled();
            let stranger = Trust {
                directory: tempfile::tempdir().unwrap(),
                config: Arc::new(config),
            };
            let median = |trust: &Trust, expected: bool| {
                let handshakes = (0..101).map(|_| handshake(trust, address));
                let mut times: Vec<_> = handshakes
                    .map(|(resumed, took)| {
                        assert_eq!(resumed, expected);
                        took
                    })
                    .collect();
                times.sort();
                times[50]
            };
            let (full, again) = (median(&stranger, false), median(&trust, true));
            println!(
                "measured: a full handshake {full:?}, a resumed one {again:?} (client and server, debug build)"
            );
            let file = keys.path().join("ticket-keys");
            assert_eq!(
                fs::metadata(&file).unwrap().permissions().mode() & 0o777,
                0o600
            );
        }
    }
}

/// A file that others may read is not used, nor one that is no file.
#[test]
fn ticket_keys_are_the_apps_own() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ticket-keys");
    let open = || SharedKeys::open(directory.path());
    let ticket = open().unwrap().encrypt(b"session").unwrap();
    assert_eq!(open().unwrap().decrypt(&ticket).unwrap(), b"session");
    for cut in [0, 16, 27, ticket.len() - 1] {
        assert_eq!(open().unwrap().decrypt(&ticket[..cut]), None);
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(open().unwrap_err().to_string().contains("0600"));
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
    assert!(open().is_err());
    fs::remove_file(&path).unwrap();
    // Rubbish is replaced.
    let shut = || fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    for rubbish in [vec![1; 20], vec![1; 57], vec![0xff; 100_000]] {
        fs::write(&path, rubbish).unwrap();
        shut();
        let keys = open().unwrap();
        assert_eq!(keys.decrypt(&ticket), None);
        assert!(keys.encrypt(b"").is_some());
    }
    // Rotated: one that is too old encrypts no more and decrypts for a while, and one that is older is forgotten.
    let age = |hours: u64| {
        let mut bytes = fs::read(&path).unwrap();
        let made = u64::from_le_bytes(bytes[..8].try_into().unwrap()) - hours * 3600;
        bytes[..8].copy_from_slice(&made.to_le_bytes());
        fs::write(&path, bytes).unwrap();
    };
    let old = open().unwrap().encrypt(b"old").unwrap();
    age(13);
    let keys = open().unwrap();
    assert_eq!(keys.decrypt(&old).unwrap(), b"old");
    assert_ne!(keys.encrypt(b"new").unwrap()[..16], old[..16]);
    fs::remove_file(&path).unwrap();
    let old = open().unwrap().encrypt(b"old").unwrap();
    age(25);
    assert_eq!(open().unwrap().decrypt(&old), None);
}

/// Clients that connect all the time, through handovers: whoever gets through is answered, however
/// far its handshake was.
#[test]
fn nobody_loses_an_answer_however_new_the_connection_is() {
    let (listener, address) = listener();
    let trust = Trust::new();
    let start = || -> Process { trust.setup(&listener).start_ready() };
    let mut current = start();
    let end = Instant::now() + Duration::from_secs(6);
    let answered = thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut answered = 0;
                    while Instant::now() < end {
                        let mut client = trust.client(address);
                        client.send(&get("/"));
                        client.answer().unwrap();
                        answered += 1;
                    }
                    answered
                })
            })
            .collect();
        for _ in 0..8 {
            thread::sleep(Duration::from_millis(400));
            let mut old = std::mem::replace(&mut current, start());
            old.drain();
            let report = old.report();
            assert!(report.contains("nothing cut"), "{report}");
        }
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .sum::<u32>()
    });
    println!("measured: {answered} TLS connections through 8 handovers, 0 failed");
    // Load at all: a busy machine answers fewer.
    assert!(answered > 40, "{answered}");
}
