//! Sockets that were passed to this process.

use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::adopt::{self, Adopted, Slot};
use super::{ListenError, Passed, SocketInfo, SocketKind, Which};

/// A process has one set of passed descriptors, so there is one table. `None` before the first use.
static TABLE: Mutex<Option<Vec<Slot>>> = Mutex::new(None);

/// The sockets that systemd (or systemfd, watchexec, devenv …) passed to this process.
///
/// This is a view of one process-wide table: every `Sockets` sees the same sockets, and each
/// can be taken once. [`serve`](crate::serve) serves the stream listeners that are left, so an
/// app takes what it wants to handle itself before it calls `serve`:
///
/// ```no_run
/// # async fn example(app: axum::Router) -> Result<(), Box<dyn std::error::Error>> {
/// let sockets = portkeep::Sockets::from_env()?;
/// let metrics = tokio::net::UdpSocket::from_std(sockets.udp("metrics")?)?;
/// # drop(metrics);
/// portkeep::serve(app).await?;
/// # Ok(())
/// # }
/// ```
///
/// Everything taken is non-blocking and closed on exec.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Sockets {}

impl Sockets {
    /// Looks at `LISTEN_FDS`, `LISTEN_FDNAMES`, `LISTEN_PID`, `LISTEN_PIDFDID` and
    /// `LISTEN_FDS_FIRST_FD`, and adopts the descriptors at the first call. `LISTEN_PID` may be
    /// right, absent or empty.
    ///
    /// Whoever passes descriptors leaves them open for child processes. From the first call on
    /// none inherits them, also those that are no sockets. [`serve`](crate::serve) makes it; an app
    /// that starts processes before makes it itself, first.
    ///
    /// The environment is not changed, because other threads may be reading it. What a child
    /// inherits of it says by `LISTEN_PID` that the descriptors are not the child's; where the
    /// launcher sets no `LISTEN_PID` (systemfd, watchexec, devenv), remove `LISTEN_FDS` from the
    /// environment of a child that looks at it (`Command::env_remove`).
    ///
    /// # Errors
    ///
    /// If one of the variables has a value that cannot be meant, or a descriptor cannot be made
    /// non-blocking. No sockets at all is not an error.
    pub fn from_env() -> Result<Self, ListenError> {
        let mut table = lock();
        if table.is_none() {
            *table = Some(adopt::from_env()?);
        }
        Ok(Self {})
    }

    /// What was passed, in order, with the taken ones marked.
    #[must_use]
    pub fn list(&self) -> Vec<SocketInfo> {
        lock()
            .iter()
            .flatten()
            .map(|slot| slot.info.clone())
            .collect()
    }

    /// Whether no socket was passed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        lock().as_ref().is_none_or(Vec::is_empty)
    }

    /// Takes a TCP listener.
    ///
    /// # Errors
    ///
    /// If there is no such socket (any more) or it is of another kind. The error lists what was
    /// passed.
    pub fn tcp(&self, which: impl Into<Which>) -> Result<TcpListener, ListenError> {
        self.take(
            which.into(),
            SocketKind::TcpListener,
            |socket| match socket {
                Adopted::Tcp(socket) => Ok(socket),
                other => Err(other),
            },
        )
    }

    /// Takes a Unix stream listener.
    ///
    /// # Errors
    ///
    /// As for [`Sockets::tcp`].
    pub fn unix(&self, which: impl Into<Which>) -> Result<UnixListener, ListenError> {
        self.take(
            which.into(),
            SocketKind::UnixListener,
            |socket| match socket {
                Adopted::Unix(socket) => Ok(socket),
                other => Err(other),
            },
        )
    }

    /// Takes a UDP socket.
    ///
    /// # Errors
    ///
    /// As for [`Sockets::tcp`].
    pub fn udp(&self, which: impl Into<Which>) -> Result<UdpSocket, ListenError> {
        self.take(which.into(), SocketKind::Udp, |socket| match socket {
            Adopted::Udp(socket) => Ok(socket),
            other => Err(other),
        })
    }

    /// Takes a Unix datagram socket.
    ///
    /// # Errors
    ///
    /// As for [`Sockets::tcp`].
    pub fn unix_datagram(&self, which: impl Into<Which>) -> Result<UnixDatagram, ListenError> {
        self.take(
            which.into(),
            SocketKind::UnixDatagram,
            |socket| match socket {
                Adopted::UnixDatagram(socket) => Ok(socket),
                other => Err(other),
            },
        )
    }

    /// Takes a Unix sequential-packet socket.
    ///
    /// # Errors
    ///
    /// As for [`Sockets::tcp`].
    pub fn unix_seqpacket(&self, which: impl Into<Which>) -> Result<OwnedFd, ListenError> {
        self.take(
            which.into(),
            SocketKind::UnixSeqpacket,
            |socket| match socket {
                Adopted::UnixSeqpacket(socket) => Ok(socket),
                other => Err(other),
            },
        )
    }

    fn take<T>(
        &self,
        which: Which,
        expected: SocketKind,
        pick: impl FnOnce(Adopted) -> Result<T, Adopted>,
    ) -> Result<T, ListenError> {
        let mut table = lock();
        let slots = table.as_deref_mut().unwrap_or_default();
        let passed = passed(slots);
        let matching = |slot: &&mut Slot| slot.info.is(&which) && !slot.info.taken;
        let Some(slot) = slots.iter_mut().find(matching) else {
            return Err(ListenError::NotFound {
                wanted: which,
                passed,
            });
        };
        match slot.socket.take().map(pick) {
            Some(Ok(socket)) => {
                slot.info.taken = true;
                Ok(socket)
            }
            refused => {
                slot.socket = refused.and_then(Result::err);
                Err(ListenError::WrongKind {
                    wanted: which,
                    found: slot.info.kind,
                    expected,
                    passed,
                })
            }
        }
    }

    /// The list in error messages.
    pub(crate) fn passed(self) -> Passed {
        passed(lock().as_deref().unwrap_or_default())
    }

    /// The remaining stream listeners, with these names or all.
    pub(super) fn stream_listeners(self, names: &[String]) -> Vec<SocketInfo> {
        self.list()
            .into_iter()
            .filter(|socket| !socket.taken)
            .filter(|socket| {
                matches!(
                    socket.kind,
                    SocketKind::TcpListener | SocketKind::UnixListener
                )
            })
            .filter(|socket| {
                names.is_empty()
                    || socket
                        .name
                        .as_ref()
                        .is_some_and(|name| names.contains(name))
            })
            .collect()
    }
}

fn passed(slots: &[Slot]) -> Passed {
    Passed(slots.iter().map(|slot| slot.info.clone()).collect())
}

/// A panic while the table was locked cannot have left it half changed.
fn lock() -> MutexGuard<'static, Option<Vec<Slot>>> {
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}
