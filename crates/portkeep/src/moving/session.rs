//! The beginning of a session between two generations.

use std::io;
use std::time::Duration;

use rustix::net::SocketAddrUnix;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::packets::Packets;
use super::socket::check_peer;
use super::wire::{HEADER, Header, Kind, Malformed};

/// How long the other side may take for its greeting, or for an acknowledgement.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// Asks the next generation whether it takes connections.
pub(super) async fn open(address: &SocketAddrUnix) -> io::Result<Packets> {
    let packets = Packets::connect(address)?;
    let greeted = async {
        packets
            .send(&[&Header::of(Kind::Hello, 0).encode()], &[])
            .await?;
        greeting(&packets, Kind::Welcome).await
    };
    match timeout(ANSWER_TIMEOUT, greeted).await {
        Ok(Ok(Ok(()))) => Ok(packets),
        Ok(Ok(Err(malformed))) => Err(io::Error::other(malformed)),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Answers an old generation that asks. One of another version is told no.
pub(super) async fn welcome(socket: UnixStream) -> io::Result<Packets> {
    let packets = check_peer(socket)?;
    let hello = timeout(ANSWER_TIMEOUT, greeting(&packets, Kind::Hello));
    let (answer, result) = match hello.await.map_err(io::Error::from)?? {
        Ok(()) => (Kind::Welcome, Ok(())),
        Err(malformed) => (Kind::Nak, Err(io::Error::other(malformed))),
    };
    packets
        .send(&[&Header::of(answer, 0).encode()], &[])
        .await?;
    result.map(|()| packets)
}

async fn greeting(packets: &Packets, expected: Kind) -> io::Result<Result<(), Malformed>> {
    let mut bytes = [0; HEADER];
    let received = packets.receive(&mut bytes).await?;
    if received.length == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(match Header::decode(&bytes[..received.length]) {
        Ok((header, _)) if header.kind == expected => Ok(()),
        Ok((header, _)) => return Err(io::Error::other(format!("{:?} came", header.kind))),
        Err(malformed) => Err(malformed),
    })
}

/// The other side has closed the session.
pub(super) fn has_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected
    )
}

#[cfg(test)]
mod tests {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    use super::*;

    fn pair() -> [UnixStream; 2] {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (old, new) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        [old, new].map(|end| UnixStream::from_std(end.into()).unwrap())
    }

    #[tokio::test]
    async fn an_old_generation_that_is_gone_is_no_refusal() {
        let [old, new] = pair();
        drop(old);
        assert!(has_closed(&welcome(new).await.err().unwrap()));

        // It has greeted, and does not wait for the answer.
        let [old, new] = pair();
        let old = Packets::new(old);
        old.send(&[&Header::of(Kind::Hello, 0).encode()], &[])
            .await
            .unwrap();
        drop(old);
        assert!(has_closed(&welcome(new).await.err().unwrap()));
    }

    #[tokio::test]
    async fn one_that_speaks_otherwise_is() {
        let [old, new] = pair();
        let old = Packets::new(old);
        old.send(&[b"hello"], &[]).await.unwrap();
        assert!(!has_closed(&welcome(new).await.err().unwrap()));
    }
}
