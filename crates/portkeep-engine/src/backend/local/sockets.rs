//! Listening sockets that `portkeep dev` holds.

mod bind;

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use portkeep_spec::{Address, Listen, contract};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{Shutdown, shutdown};
use socket2::Type;

use crate::socket_file::bind_private;

/// How long one wait may keep a thread, so that the end does not wait for it.
const POLL_STEP: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};

/// Number of sessions that may wait: one for each draining generation.
const MOVE_BACKLOG: i32 = 128;

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct BindError {
    /// The address in the spec.
    pub address: Address,
    /// The system's error.
    #[source]
    pub source: io::Error,
}

/// The sockets of an app: those of its spec, in order, and the move socket.
#[derive(Debug)]
pub struct Sockets {
    sockets: Vec<(String, OwnedFd)>,
    /// Number of sockets that clients connect to.
    listeners: usize,
    /// Files of Unix sockets that this process made, and removes.
    files: Mutex<Vec<PathBuf>>,
}

impl Sockets {
    /// Listens on all addresses, or on none.
    ///
    /// # Errors
    /// The first address that is taken or not allowed.
    pub fn bind(listen: &[Listen]) -> Result<Self, BindError> {
        let mut bound = Self {
            sockets: Vec::new(),
            listeners: listen.len(),
            files: Mutex::default(),
        };
        for one in listen {
            let fail = |source| BindError {
                address: one.address.clone(),
                source,
            };
            let socket = bind::bind(one, listen).map_err(fail)?;
            bound
                .sockets
                .push((one.name.to_string(), OwnedFd::from(socket)));
            bound.files().extend(one.address.path().map(Path::to_owned));
        }
        Ok(bound)
    }

    /// Adds the move socket.
    pub(super) fn add_move_socket(&mut self, directory: &Path) -> io::Result<()> {
        let path = directory.join(contract::MOVE_FILE);
        let socket = bind_private(&path, Type::SEQPACKET)?;
        socket.listen(MOVE_BACKLOG)?;
        self.sockets
            .push((contract::MOVE_SOCKET.to_owned(), socket.into()));
        self.files().push(path);
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
            // By poll(2) and not by the runtime's reactor, which would have to own the sockets, and they are the app's.
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

    /// Nobody can connect any more, and other sockets may listen at these addresses. Whoever still has a copy, as a wait for a
    /// client that nobody waits for any more, keeps nothing.
    pub(super) fn close(&self) {
        for file in std::mem::take(&mut *self.files()) {
            let _ = fs::remove_file(file);
        }
        for socket in self.descriptors() {
            // One that does not listen has nobody to turn away.
            let _ = shutdown(socket, Shutdown::Both);
        }
    }

    fn files(&self) -> MutexGuard<'_, Vec<PathBuf>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn descriptors(&self) -> impl ExactSizeIterator<Item = BorrowedFd<'_>> {
        self.sockets.iter().map(|(_, socket)| socket.as_fd())
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        for file in std::mem::take(&mut *self.files()) {
            let _ = fs::remove_file(file);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use portkeep_spec::Spec;

    use super::*;

    #[tokio::test]
    async fn what_is_closed_can_be_opened_again_at_once_though_somebody_still_waits_for_a_client() {
        let directory = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let tcp = port.local_addr().unwrap();
        drop(port);
        let unix = directory.path().join("socket");
        let listen = format!(
            r#"{{"name": "hello", "exec": ["/x"], "listen": [{{"name": "http", "stream": "{tcp}"}}, {{"name": "unix", "stream": "{}"}}]}}"#,
            unix.display()
        );
        let listen = Spec::from_json(&listen).unwrap().listen;
        for _ in 0..20 {
            let sockets = Sockets::bind(&listen).unwrap();
            {
                // It has copies of the sockets, in a thread that cannot be cancelled.
                let waits = tokio::time::timeout(Duration::from_millis(5), sockets.readable());
                waits.await.unwrap_err();
            }
            sockets.close();
            std::net::TcpStream::connect(tcp).unwrap_err();
            let again = Sockets::bind(&listen).unwrap();
            drop(sockets);
            std::net::TcpStream::connect(tcp).unwrap();
            std::os::unix::net::UnixStream::connect(&unix).unwrap();
            again.close();
        }
    }
}
