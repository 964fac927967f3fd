//! The two servers.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use axum::{Router, routing::get};

#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Portkeep,
    Axum,
}

impl Kind {
    pub(crate) const BOTH: [Self; 2] = [Self::Portkeep, Self::Axum];

    pub(crate) fn named(name: &str) -> Self {
        match name {
            "portkeep" => Self::Portkeep,
            "axum" => Self::Axum,
            other => panic!("{other:?} is neither portkeep nor axum"),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Portkeep => "portkeep",
            Self::Axum => "axum",
        }
    }
}

/// The process that is measured.
#[tokio::main]
pub(crate) async fn serve(kind: Kind, address: &str) {
    let app = Router::new().route("/", get(|| async { "Hello" }));
    match kind {
        Kind::Portkeep => {
            let server = portkeep::Server::new().listen(address);
            server.serve(app).await.unwrap();
        }
        Kind::Axum => {
            let listener = tokio::net::TcpListener::bind(address).await.unwrap();
            axum::serve(listener, app).await.unwrap();
        }
    }
}

/// Of a port that nobody has.
pub(crate) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

pub(crate) fn wait_for(address: SocketAddr, kind: Kind) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(address).is_err() {
        assert!(Instant::now() < deadline, "{kind:?} does not listen");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A server in a process of its own.
pub(crate) struct Running {
    kind: Kind,
    address: SocketAddr,
    child: Child,
}

impl Running {
    pub(crate) fn start(kind: Kind) -> Self {
        let address = free_address();
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["serve", kind.name(), &address.to_string()])
            .env_remove("PORTKEEP_LISTEN")
            .env_remove("LISTEN_FDS")
            .spawn()
            .unwrap();
        wait_for(address, kind);
        Self {
            kind,
            address,
            child,
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the process has used so far, of its own and of the kernel's time: it says more than the
    /// clock on a machine that others use too.
    pub(crate) fn processor_time(&self) -> Duration {
        // Summed over its threads, in nanoseconds; `stat` counts in hundredths of a second.
        let threads = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let nanoseconds = threads.map(|thread| {
            let path = thread.unwrap().path().join("schedstat");
            let text = fs::read_to_string(path).unwrap();
            let first = text.split(' ').next().unwrap();
            first.parse::<u64>().unwrap()
        });
        Duration::from_nanos(nanoseconds.sum())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
