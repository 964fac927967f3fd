//! The two servers.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use axum::{Router, routing::get};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with,
};
use tempfile::TempDir;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Portkeep,
    /// One whose HTTP/2 connections stay.
    Still,
    Axum,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Portkeep, Self::Still, Self::Axum];

    pub(crate) fn named(name: &str) -> Self {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == name);
        found.unwrap_or_else(|| panic!("{name:?} is no server"))
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Portkeep => "portkeep",
            Self::Still => "still",
            Self::Axum => "axum",
        }
    }

    /// As a table calls it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Portkeep => "`portkeep::serve`",
            Self::Still => "`portkeep::serve`, `move_http2(false)`",
            Self::Axum => "`axum::serve`",
        }
    }
}

/// What a generation is passed, without which nothing can move.
#[derive(Debug)]
pub(crate) struct MoveSocket {
    socket: OwnedFd,
    _directory: TempDir,
}

impl MoveSocket {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        // Inherited by whatever is started.
        let flags = SocketFlags::empty();
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        let address = SocketAddrUnix::new(directory.path().join("move")).unwrap();
        bind(&socket, &address).unwrap();
        listen(&socket, 128).unwrap();
        Self {
            socket,
            _directory: directory,
        }
    }

    pub(crate) fn pass_to(&self, command: &mut Command) {
        command
            .env_remove("PORTKEEP_LISTEN")
            .env_remove("LISTEN_PID")
            .env_remove("LISTEN_PIDFDID")
            .env("LISTEN_FDS", "1")
            .env("LISTEN_FDNAMES", "portkeep-move")
            .env("LISTEN_FDS_FIRST_FD", self.socket.as_raw_fd().to_string());
    }
}

/// The process that is measured.
#[tokio::main]
pub(crate) async fn serve(kind: Kind, address: &str) {
    let app = Router::new().route("/", get(|| async { "Hello" }));
    match kind {
        Kind::Portkeep | Kind::Still => {
            let server = portkeep::Server::new().listen(address);
            let server = server.move_http2(kind == Kind::Portkeep);
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
    _move_socket: MoveSocket,
}

impl Running {
    pub(crate) fn start(kind: Kind) -> Self {
        let address = free_address();
        let move_socket = MoveSocket::new();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["serve", kind.name(), &address.to_string()]);
        move_socket.pass_to(&mut command);
        let child = command.spawn().unwrap();
        wait_for(address, kind);
        Self {
            kind,
            address,
            child,
            _move_socket: move_socket,
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
