//! The listening sockets that `portkeep dev` holds.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use portkeep_spec::{Address, Listen, contract};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::socket_file::bind_private;

/// How long one wait may keep a thread, so that nobody waits for it at the end.
const POLL_STEP: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};

/// How many sessions may wait: one for each generation that drains.
const MOVE_BACKLOG: i32 = 128;

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct BindError {
    /// As the spec has it.
    pub address: Address,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

/// The sockets of an app: those of its spec, in their order, and the one over which connections move.
#[derive(Debug)]
pub struct Sockets {
    sockets: Vec<(String, OwnedFd)>,
    /// How many of them clients connect to.
    listeners: usize,
    /// Files of Unix sockets that we made, and so remove.
    files: Vec<PathBuf>,
}

impl Sockets {
    /// Listens on every address, or on none.
    ///
    /// # Errors
    /// The first address that is taken or not allowed.
    pub fn bind(listen: &[Listen]) -> Result<Self, BindError> {
        let mut bound = Self {
            sockets: Vec::new(),
            listeners: listen.len(),
            files: Vec::new(),
        };
        for one in listen {
            let fail = |source| BindError {
                address: one.address.clone(),
                source,
            };
            let socket = bind(&one.address, one.backlog).map_err(fail)?;
            bound
                .sockets
                .push((one.name.to_string(), OwnedFd::from(socket)));
            if let Some(path) = unix_path(&one.address) {
                bound.files.push(path.to_owned());
            }
        }
        Ok(bound)
    }

    /// Adds the socket over which connections move from generation to generation.
    pub(super) fn add_move_socket(&mut self, directory: &Path) -> io::Result<()> {
        let path = directory.join(contract::MOVE_FILE);
        let socket = bind_private(&path, Type::SEQPACKET)?;
        socket.listen(MOVE_BACKLOG)?;
        self.sockets
            .push((contract::MOVE_SOCKET.to_owned(), socket.into()));
        self.files.push(path);
        Ok(())
    }

    /// The value of `LISTEN_FDNAMES`.
    pub(super) fn names(&self) -> String {
        self.sockets
            .iter()
            .map(|(name, _)| name.as_str())
            .collect::<Vec<_>>()
            .join(":")
    }

    /// Waits until a client can be accepted.
    pub(super) async fn readable(&self) -> io::Result<()> {
        loop {
            let descriptors = self
                .descriptors()
                .take(self.listeners)
                .map(|one| one.try_clone_to_owned())
                .collect::<io::Result<Vec<_>>>()?;
            // By poll(2) and not by the runtime's own reactor: that wants the sockets for itself, and they are the app's.
            let ready = tokio::task::spawn_blocking(move || {
                let mut polled: Vec<_> = descriptors
                    .iter()
                    .map(|one| PollFd::new(one, PollFlags::IN))
                    .collect();
                poll(&mut polled, Some(&POLL_STEP))
            });
            if ready.await.map_err(io::Error::other)?? > 0 {
                return Ok(());
            }
        }
    }

    pub(super) fn descriptors(&self) -> impl ExactSizeIterator<Item = BorrowedFd<'_>> {
        self.sockets.iter().map(|(_, socket)| socket.as_fd())
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        for file in &self.files {
            let _ = fs::remove_file(file);
        }
    }
}

fn unix_path(address: &Address) -> Option<&Path> {
    match address {
        Address::UnixStream(path) | Address::UnixDatagram(path) | Address::UnixSeqpacket(path) => {
            Some(path)
        }
        _ => None,
    }
}

/// Never blocking, as in the units: the flag belongs to the socket and not to a process, so that a new generation that
/// changed it would stop the old one in the middle of its work.
fn bind(address: &Address, backlog: u32) -> io::Result<Socket> {
    let inet = |address: &std::net::SocketAddr, kind, protocol| {
        let socket = Socket::new(Domain::for_address(*address), kind, Some(protocol))?;
        // As systemd does it: an address in TIME_WAIT can be listened on, and `[::]` means IPv6 and IPv4.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SockAddr::from(*address))?;
        Ok::<_, io::Error>(socket)
    };
    let unix = |path: &Path, kind| {
        remove_stale(path)?;
        let socket = Socket::new(Domain::UNIX, kind, None)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SockAddr::unix(path)?)?;
        Ok::<_, io::Error>(socket)
    };
    let socket = match address {
        Address::Tcp(address) => inet(address, Type::STREAM, Protocol::TCP)?,
        Address::Udp(address) => return inet(address, Type::DGRAM, Protocol::UDP),
        Address::UnixStream(path) => unix(path, Type::STREAM)?,
        Address::UnixDatagram(path) => return unix(path, Type::DGRAM),
        Address::UnixSeqpacket(path) => unix(path, Type::SEQPACKET)?,
        other => {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!("{other} is not supported here"),
            ));
        }
    };
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket)
}

/// Removes the file of a Unix socket that nobody listens on any more.
fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_socket() => match UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
            _ => Err(io::ErrorKind::AddrInUse.into()),
        },
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "a file that is no socket is there",
        )),
        Err(_) => Ok(()),
    }
}
