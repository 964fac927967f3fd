//! The two servers.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use std::time::Duration;

use axum::serve::ListenerExt as _;
use axum::{Router, routing::get};
use command_fds::{CommandFdExt, FdMapping};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, socket_with};
use tempfile::TempDir;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Portkeep,
    /// One whose HTTP/2 connections stay.
    Still,
    /// One without limits of connections.
    Unlimited,
    Axum,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Portkeep, Self::Still, Self::Unlimited, Self::Axum];

    pub(crate) fn named(name: &str) -> Self {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == name);
        found.unwrap_or_else(|| panic!("{name:?} is no server"))
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Portkeep => "portkeep",
            Self::Still => "still",
            Self::Unlimited => "unlimited",
            Self::Axum => "axum",
        }
    }

    /// As a table calls it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Portkeep => "`portkeep::serve`",
            Self::Still => "`portkeep::serve`, `move_http2(false)`",
            Self::Unlimited => "`portkeep::serve`, no limits",
            Self::Axum => "`axum::serve`",
        }
    }
}

/// What a generation is passed: where it serves, and without which nothing can move.
#[derive(Debug)]
pub(crate) struct Passed {
    address: SocketAddr,
    _directory: TempDir,
}

impl Passed {
    /// Has the command pass both to what it starts.
    pub(crate) fn to(command: &mut Command) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        // std's own is short.
        rustix::net::listen(&listener, 4096).unwrap();
        let address = listener.local_addr().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
        let moving = socket_with(family, kind, SocketFlags::CLOEXEC, None).unwrap();
        bind(
            &moving,
            &SocketAddrUnix::new(directory.path().join("move")).unwrap(),
        )
        .unwrap();
        rustix::net::listen(&moving, 128).unwrap();
        let sockets = [OwnedFd::from(listener), moving];
        let mappings = (3..).zip(sockets);
        let mappings = mappings.map(|(child_fd, parent_fd)| FdMapping {
            parent_fd,
            child_fd,
        });
        command
            .env_remove("PORTKEEP_LISTEN")
            .env_remove("LISTEN_PID")
            .env_remove("LISTEN_PIDFDID")
            .env("LISTEN_FDS", "2")
            .env("LISTEN_FDNAMES", "http:portkeep-move")
            .fd_mappings(mappings.collect())
            .unwrap();
        Self {
            address,
            _directory: directory,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// The process that is measured.
#[tokio::main]
pub(crate) async fn serve(kind: Kind) {
    let app = Router::new().route("/", get(|| async { "Hello" }));
    match kind {
        Kind::Portkeep | Kind::Still => {
            let server = portkeep::Server::new().move_http2(kind == Kind::Portkeep);
            server.serve(app).await.unwrap();
        }
        Kind::Unlimited => {
            let server = portkeep::Server::new().limits(unlimited());
            server.serve(app).await.unwrap();
        }
        Kind::Axum => {
            let sockets = portkeep::Sockets::from_env().unwrap();
            let listener = sockets.tcp("http").unwrap();
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            // As the library does, so that the same packets are sent: with Nagle's algorithm, which axum leaves on, answers to
            // several streams wait for each other, and sending costs half as much.
            let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
            axum::serve(listener, app).await.unwrap();
        }
    }
}

fn unlimited() -> portkeep::Limits {
    portkeep::Limits::new()
        .idle(None)
        .head(None)
        .body(None)
        .answer(None)
        .ping(None)
        .connections(None)
        .tcp_keepalive(None)
        .tcp_user_timeout(None)
}

/// A server in a process of its own.
pub(crate) struct Running {
    kind: Kind,
    passed: Passed,
    child: Child,
}

impl Running {
    pub(crate) fn start(kind: Kind) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let passed = Passed::to(&mut command);
        let child = command.args(["serve", kind.name()]).spawn().unwrap();
        Self {
            kind,
            passed,
            child,
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.passed.address()
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
