//! Messages with descriptors over a Unix sequential-packet socket.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, Shutdown, SocketAddrUnix, SocketFlags,
    SocketType, connect, recvmsg, sendmsg, shutdown, socket_with,
};
use tokio::io::Interest;
use tokio::net::UnixStream;

/// The most descriptors in a message: a connection, and a file with its unread bytes.
const MOST_DESCRIPTORS: usize = 2;

/// One end of a connection that keeps the bounds of messages.
///
/// The runtime has no type for these. Its type for streams registers any Unix socket, and only `async_io` of it is used.
#[derive(Debug)]
pub(super) struct Packets(UnixStream);

/// A message that was received, except for its bytes.
#[derive(Debug, Default)]
pub(super) struct Received {
    /// 0 means the end of the connection: nobody sends empty messages.
    pub(super) length: usize,
    pub(super) descriptors: Vec<OwnedFd>,
    /// A part did not fit; a process with too many open files loses descriptors.
    pub(super) truncated: bool,
}

impl Packets {
    pub(super) fn new(socket: UnixStream) -> Self {
        Self(socket)
    }

    /// Fails at once if nobody listens, or the queue is full.
    pub(super) fn connect(address: &SocketAddrUnix) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        connect(&socket, address)?;
        let socket = std::os::unix::net::UnixStream::from(socket);
        UnixStream::from_std(socket).map(Self)
    }

    /// Waits for room. Dropping the future sends nothing.
    pub(super) async fn send(
        &self,
        parts: &[&[u8]],
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let parts: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
        self.0
            .async_io(Interest::WRITABLE, || {
                let mut space =
                    [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
                let mut control = SendAncillaryBuffer::new(&mut space);
                if !descriptors.is_empty()
                    && !control.push(SendAncillaryMessage::ScmRights(descriptors))
                {
                    return Err(io::ErrorKind::InvalidInput.into());
                }
                sendmsg(&self.0, &parts, &mut control, SendFlags::NOSIGNAL)?;
                Ok(())
            })
            .await
    }

    /// Waits for a message. Dropping the future loses none.
    pub(super) async fn receive(&self, bytes: &mut [u8]) -> io::Result<Received> {
        self.0
            .async_io(Interest::READABLE, || Ok(receive(&self.0, bytes)?))
            .await
    }

    /// Ends the other side's sending. What it has sent already can still be received, with [`Packets::receive_now`].
    pub(super) fn fence(&self) {
        // Fails if the connection is over, and is not needed then.
        let _ = shutdown(&self.0, Shutdown::Read);
    }

    /// A message that has arrived already.
    pub(super) fn receive_now(&self, bytes: &mut [u8]) -> io::Result<Received> {
        Ok(receive(&self.0, bytes)?)
    }
}

fn receive(socket: impl AsFd, bytes: &mut [u8]) -> rustix::io::Result<Received> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = recvmsg(
        socket,
        &mut [IoSliceMut::new(bytes)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let mut descriptors = Vec::new();
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = part {
            descriptors.extend(rights);
        }
    }
    Ok(Received {
        length: message.bytes,
        descriptors,
        truncated: message
            .flags
            .intersects(ReturnFlags::CTRUNC | ReturnFlags::TRUNC),
    })
}

#[cfg(test)]
mod tests {
    use rustix::net::socketpair;

    use super::*;

    /// This makes it safe to serve what was not acknowledged.
    #[tokio::test]
    async fn after_a_fence_nothing_more_is_sent_and_nothing_is_lost() {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (old, new) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        let [old, new] =
            [old, new].map(|end| Packets::new(UnixStream::from_std(end.into()).unwrap()));
        new.send(&[b"before"], &[]).await.unwrap();
        old.fence();
        let late = new.send(&[b"late"], &[]).await.unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::BrokenPipe);
        let mut bytes = [0; 16];
        assert_eq!(old.receive_now(&mut bytes).unwrap().length, 6);
        assert_eq!(old.receive_now(&mut bytes).unwrap().length, 0);
    }
}
