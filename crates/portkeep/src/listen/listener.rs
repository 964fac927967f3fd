//! Listeners of a server: passed ones, or one that is bound here.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::Path;
use std::sync::Arc;

use portkeep_contract::PORTKEEP_LISTEN;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};

use crate::acceptor::Acceptor;

use super::{Address, ListenError, Passed, SocketInfo, SocketKind, Sockets, Stream, Which};

/// Length of the queue of a listener that tokio binds.
const QUEUE: usize = 1024;

/// A socket that accepts connections, registered with the runtime but not accepting yet.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: Socket,
    /// The name that it was passed with; empty if it has none.
    pub(crate) name: Arc<str>,
    label: String,
    /// Whether other processes hold the same socket and will accept what this one leaves.
    pub(crate) shared: bool,
    /// Its acceptor.
    pub(crate) acceptor: Option<Acceptor>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// The passed stream listeners with these names (all, if no name is given) that the app has not taken; if nothing was
/// passed, one that is bound to `PORTKEEP_LISTEN` or `fallback`.
pub(crate) async fn open(
    names: &[String],
    fallback: &str,
    reuse_port: bool,
) -> Result<Vec<Listener>, ListenError> {
    let sockets = Sockets::from_env()?;
    if sockets.is_empty() {
        let address = std::env::var(PORTKEEP_LISTEN).unwrap_or_default();
        let address = if address.is_empty() {
            fallback
        } else {
            &address
        };
        return Ok(vec![Listener::bind(address.parse()?, reuse_port).await?]);
    }
    for name in names {
        if sockets
            .stream_listeners(std::slice::from_ref(name))
            .is_empty()
        {
            return Err(missing(sockets, name));
        }
    }
    let found = sockets.stream_listeners(names);
    if found.is_empty() {
        // Beside a manager that passes sockets, nobody would connect to another address, or it would conflict with the next
        // generation.
        return Err(ListenError::NothingToServe {
            passed: sockets.passed(),
        });
    }
    found
        .iter()
        .map(|info| Listener::adopt(sockets, info))
        .collect()
}

/// The passed stream listeners of this name, if there are some.
pub(crate) fn passed_as(name: &str) -> Result<Vec<Listener>, ListenError> {
    let sockets = Sockets::from_env()?;
    let found = sockets.stream_listeners(&[name.to_owned()]);
    let found = found.iter().map(|info| Listener::adopt(sockets, info));
    found.collect()
}

/// Why there is no stream listener with this name.
fn missing(sockets: Sockets, name: &str) -> ListenError {
    let Passed(list) = sockets.passed();
    let other = list
        .iter()
        .find(|socket| socket.name.as_deref() == Some(name) && !socket.taken);
    match other {
        Some(socket) => ListenError::WrongKind {
            wanted: name.into(),
            found: socket.kind,
            expected: SocketKind::TcpListener,
            passed: Passed(list),
        },
        None => ListenError::NotFound {
            wanted: name.into(),
            passed: Passed(list),
        },
    }
}

impl Listener {
    fn adopt(sockets: Sockets, info: &SocketInfo) -> Result<Self, ListenError> {
        let index = Which::Index(info.index);
        let socket = match info.kind {
            SocketKind::UnixListener => {
                UnixListener::from_std(sockets.unix(index)?).map(Socket::Unix)
            }
            _ => TcpListener::from_std(sockets.tcp(index)?).map(Socket::Tcp),
        };
        let socket = socket.map_err(|source| ListenError::Adopt {
            socket: info.clone(),
            source,
        })?;
        let label = match &info.name {
            Some(name) => format!("{} ({name})", info.address),
            None => info.address.clone(),
        };
        Ok(Self {
            socket,
            name: info.name.as_deref().unwrap_or_default().into(),
            label,
            shared: true,
            acceptor: None,
        })
    }

    /// A listener that others hold as well.
    #[cfg(test)]
    pub(crate) fn of(socket: std::net::TcpListener, name: &str) -> Self {
        let socket = Socket::Tcp(TcpListener::from_std(socket).unwrap());
        Self {
            socket,
            name: name.into(),
            label: name.to_owned(),
            shared: true,
            acceptor: None,
        }
    }

    pub(crate) async fn bind(address: Address, reuse_port: bool) -> Result<Self, ListenError> {
        let bound = match &address {
            Address::Tcp(address) if reuse_port => bind_reused(*address).map(Socket::Tcp),
            Address::Tcp(address) => TcpListener::bind(address).await.map(Socket::Tcp),
            Address::Unix(path) => bind_unix(path).map(Socket::Unix),
        };
        let socket = bound.map_err(|source| ListenError::Bind {
            address: address.to_string(),
            source,
        })?;
        // Port 0 became a real one.
        let label = match &socket {
            Socket::Tcp(socket) => socket
                .local_addr()
                .map_or_else(|_| address.to_string(), |address| address.to_string()),
            Socket::Unix(_) => address.to_string(),
        };
        Ok(Self {
            socket,
            name: "".into(),
            label,
            shared: false,
            acceptor: None,
        })
    }

    pub(crate) async fn accept(&self) -> io::Result<Stream> {
        match &self.socket {
            Socket::Tcp(socket) => {
                let (stream, _) = socket.accept().await?;
                // Answers are written whole; waiting for more data only adds delay. It can only fail if the connection is
                // gone already.
                let _ = stream.set_nodelay(true);
                Ok(Stream::Tcp(stream))
            }
            Socket::Unix(socket) => Ok(Stream::Unix(socket.accept().await?.0)),
        }
    }

    /// The clients that are in the queue now.
    ///
    /// Asks the kernel and not the runtime, which may not know of them yet.
    pub(crate) fn queued(&self) -> impl Iterator<Item = Stream> {
        // Any error means the end of the queue; an empty one would block. The limit is the length of the queue, in case
        // clients arrive as fast as they are accepted.
        std::iter::from_fn(|| self.accept_now().ok()).take(QUEUE)
    }

    fn accept_now(&self) -> io::Result<Stream> {
        let listener = match &self.socket {
            Socket::Tcp(socket) => SockRef::from(socket),
            Socket::Unix(socket) => SockRef::from(socket),
        };
        let (accepted, _) = listener.accept()?;
        accepted.set_nonblocking(true)?;
        Ok(match &self.socket {
            Socket::Tcp(_) => {
                let _ = accepted.set_tcp_nodelay(true);
                Stream::Tcp(TcpStream::from_std(accepted.into())?)
            }
            Socket::Unix(_) => Stream::Unix(UnixStream::from_std(accepted.into())?),
        })
    }
}

/// Binds an address that others may bind too.
fn bind_reused(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    socket.listen(QUEUE as u32)
}

/// Binds a path; a leftover socket file of a killed process is replaced.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            match StdUnixStream::connect(path) {
                // A file that is no socket refuses connections too: that one is not ours.
                Err(refused)
                    if refused.kind() == io::ErrorKind::ConnectionRefused
                        && std::fs::symlink_metadata(path)?.file_type().is_socket() =>
                {
                    std::fs::remove_file(path)?;
                    UnixListener::bind(path)
                }
                _ => Err(error),
            }
        }
        bound => bound,
    }
}

/// The address, and the name if there is one.
impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)
    }
}
