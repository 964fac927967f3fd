//! Transport: the app's layer between the socket and HTTP, if its connections move.

use std::io;

use http::Extensions;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::Secret;
use crate::accepted::Accepted;

/// A layer between the socket and HTTP whose connections can continue in another process, such as a TLS library that can
/// export a session. For [`Server::transport`](crate::Server::transport).
///
/// A connection that moves is taken apart in its process ([`take_apart`](Self::take_apart)), sent to the next generation,
/// and put together there ([`reassemble`](Self::reassemble)). The two processes agree on its owner: the old one does not
/// touch it after taking it apart, and the next one not before it has acknowledged it. If the next one refuses, the *old*
/// process puts it together again, from the same state, and serves on.
///
/// Both sides of the socket for moves have checked that the other is the same user.
pub trait Transport: Send + Sync + 'static {
    /// A connection behind this transport. hyper reads and writes it.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Accepts a new connection: a handshake. It has as long as [the head of a request](crate::Limits::head).
    ///
    /// # Errors
    ///
    /// If it must not be served. It is closed.
    fn accept(&self, connection: Accepted)
    -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Takes apart a connection that is between two requests and flushed. It sends nothing and reads nothing from the socket,
    /// and does not wait.
    ///
    /// # Errors
    ///
    /// The connection as it was, if this is the wrong moment: a part of a record has arrived, or something is still to be
    /// sent. It is tried again some milliseconds later; after the [linger](crate::Server::linger) time the connection
    /// stays, and ends with this process.
    fn take_apart(&self, stream: Self::Stream) -> Result<Parts, Self::Stream>;

    /// Puts together what [`take_apart`](Self::take_apart) returned, here or in another process, perhaps of another version
    /// of the app. The state comes from the same user and may have any length up to 32 KiB, but its content has to be
    /// checked.
    ///
    /// It must not touch the connection, neither here nor when its result is dropped unused: until this process has
    /// acknowledged, the other one owns the connection.
    ///
    /// # Errors
    ///
    /// If it cannot. The connection stays with the process that had it.
    fn reassemble(&self, connection: Accepted, state: Secret) -> io::Result<Self::Stream>;

    /// Extensions for each request of a connection, such as the certificate of its client. Called once for a connection in
    /// each process; by default there are none, which costs nothing.
    fn introduce(&self, stream: &Self::Stream) -> Extensions {
        let _ = stream;
        Extensions::new()
    }
}

/// The parts of a connection that was [taken apart](Transport::take_apart).
#[derive(Debug)]
pub struct Parts {
    /// The connection as it was accepted, except for what was read and written since.
    pub connection: Accepted,
    /// The state for [`Transport::reassemble`]; at most 32 KiB, otherwise the connection does not move.
    pub state: Secret,
    /// Decrypted bytes for HTTP that were not read yet. The server keeps them; they are not in `state`.
    pub unread: Vec<u8>,
}
