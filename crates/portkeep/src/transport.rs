//! Transport: what an app puts between the socket and HTTP, where its connections move.

use std::io;

use http::Extensions;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::Secret;
use crate::accepted::Accepted;

/// Something between the socket and HTTP whose connections can go on in another process, such as a TLS library that can export
/// a session. For [`Server::transport`](crate::Server::transport).
///
/// A connection that moves is taken apart in the process that has it ([`take_apart`](Self::take_apart)), sent to the next
/// generation, and put together there ([`reassemble`](Self::reassemble)). Whose it is, is decided between the two processes: the
/// old one touches it no more once it has taken it apart, and the next one not before it has told that it has it. If the
/// next one refuses, the *old* process puts it together again, from the same state, and serves on.
///
/// What is sent goes over a socket on which both sides have made sure that the other one is of the same user.
pub trait Transport: Send + Sync + 'static {
    /// A connection behind this transport. hyper reads and writes it.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Lets in a connection that was just accepted: a handshake. It has as long as [the head of a
    /// request](crate::Limits::head).
    ///
    /// # Errors
    ///
    /// If it is not to be served. It is closed.
    fn accept(&self, connection: Accepted)
    -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// Takes apart a connection that is between two requests and flushed. It sends nothing and reads nothing from the socket,
    /// and does not wait.
    ///
    /// # Errors
    ///
    /// The connection as it was, if this is not the moment: a part of a record has arrived, or something is still to be sent.
    /// It is asked again some milliseconds later; after the [linger](crate::Server::linger) time the connection stays, and
    /// ends with this process.
    fn take_apart(&self, stream: Self::Stream) -> Result<Parts, Self::Stream>;

    /// Puts together what this method's counterpart has taken apart, here or in another process, perhaps of another version of
    /// the app. The state comes from the same user and may be of any length up to 32 KiB, but its content is to be checked.
    ///
    /// It must not touch the connection, neither here nor when what it returns is dropped unused: until this process has
    /// acknowledged, the connection is the other one's.
    ///
    /// # Errors
    ///
    /// If it cannot. The connection stays with the process that had it.
    fn reassemble(&self, connection: Accepted, state: Secret) -> io::Result<Self::Stream>;

    /// What handlers are to know of a connection, such as the certificate of its client: put among the extensions of each of
    /// its requests. Asked once for a connection in each process; nothing by default, and that costs nothing.
    fn introduce(&self, stream: &Self::Stream) -> Extensions {
        let _ = stream;
        Extensions::new()
    }
}

/// A connection that [`Transport::take_apart`] has taken apart.
#[derive(Debug)]
pub struct Parts {
    /// As it was when it was accepted, but for what was read and written since.
    pub connection: Accepted,
    /// What [`Transport::reassemble`] needs to go on; at most 32 KiB, else it does not move.
    pub state: Secret,
    /// What was read, is meant for HTTP, and was not read by it. The server keeps it; it is not in `state`.
    pub unread: Vec<u8>,
}
