//! TLS that ends in the app: it cannot move, and drains without losing an answer.

use std::fs;
use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned,
};

use crate::client::get;
use crate::manager::{Process, Setup, listener};
use crate::probe;

/// Of the process under test.
pub(crate) fn acceptor(directory: &Path) -> TlsAcceptor {
    let certificate = CertificateDer::from(fs::read(directory.join("certificate")).unwrap());
    let key = PrivatePkcs8KeyDer::from(fs::read(directory.join("key")).unwrap());
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key.into())
        .unwrap();
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
