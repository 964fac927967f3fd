//! Handshake of a session between two generations.

use std::io;
use std::time::Duration;

use rustix::net::SocketAddrUnix;
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout};

use super::packets::Packets;
use super::peer;
use super::wire::{Features, HEADER, Header, Kind, Malformed};

/// How long the other side may take for a greeting or an acknowledgement.
///
/// In unit tests both sides share two threads with all clients, and nobody hangs: a second would measure the machine.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(if cfg!(test) { 60 } else { 1 });
/// Number of sessions in a row that a process may close without a greeting before it counts as one that takes nothing.
const OFTEN: u32 = 100;

/// Asks the next generation whether it takes connections, and which features it has.
pub(super) async fn open(address: &SocketAddrUnix) -> io::Result<(Packets, Features)> {
    let packets = Packets::connect(address)?;
    let greeted = async {
        packets
            .send(&[&Header::of(Kind::Hello, Features::OWN.0).encode()], &[])
            .await?;
        greeting(&packets, Kind::Welcome).await
    };
    match timeout(ANSWER_TIMEOUT, greeted).await {
        Ok(Ok(Ok(features))) => Ok((packets, features)),
        Ok(Ok(Err(malformed))) => Err(io::Error::other(malformed)),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Answers an old generation. A process of another version or another user is refused: otherwise it would ask again and
/// again, and keep its clients meanwhile.
pub(super) async fn welcome(socket: UnixStream) -> io::Result<Packets> {
    let stranger = peer::check(&socket).err();
    let packets = Packets::new(socket);
    // The greeting is read even from a stranger: closing a socket with unread bytes resets it, and the answer would be
    // lost.
    let hello = timeout(ANSWER_TIMEOUT, greeting(&packets, Kind::Hello));
    let greeted = hello.await.map_err(io::Error::from).flatten();
    let (answer, result) = match (stranger, greeted) {
        (Some(stranger), _) => (Kind::Nak, Err(stranger)),
        // The other side sends nothing that it does not know.
        (None, Ok(Ok(_))) => (Kind::Welcome, Ok(())),
        (None, Ok(Err(malformed))) => (Kind::Nak, Err(io::Error::other(malformed))),
        (None, Err(error)) => return Err(error),
    };
    let answer = Header::of(answer, Features::OWN.0).encode();
    let answered = packets.send(&[&answer], &[]).await;
    // The reason of the refusal says more than that it did not wait for it.
    result.and_then(|()| answered.map(|()| packets))
}

/// The features of both sides.
async fn greeting(packets: &Packets, expected: Kind) -> io::Result<Result<Features, Malformed>> {
    let mut bytes = [0; HEADER];
    let received = packets.receive(&mut bytes).await?;
    if received.length == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(match Header::decode(&bytes[..received.length]) {
        Ok((header, _)) if header.kind == expected => {
            Ok(Features(header.sequence).shared_with(Features::OWN))
        }
        Ok((header, _)) if header.kind == Kind::Nak => {
            return Err(io::Error::other(
                "the next generation refuses: it is of another user, or of another version",
            ));
        }
        Ok((header, _)) => return Err(io::Error::other(format!("{:?} came", header.kind))),
        Err(malformed) => Err(malformed),
    })
}

/// Sessions without an answer since the last welcome.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusals {
    since: Instant,
    times: u32,
}

impl Refusals {
    /// Begins at the last welcome, or at the first moment at which there could have been one.
    pub(super) fn from(since: Instant) -> Self {
        Self { since, times: 0 }
    }

    /// Whether to ask again after a session that ended so.
    ///
    /// A process that closes may be ending itself, and the one after it will answer. A process that closes often and for a
    /// while takes nothing. Both are needed: on a busy machine a generation that is replaced at once needs a while for one
    /// answer.
    pub(super) fn may_ask_again(&mut self, ended: &io::Error, now: Instant) -> bool {
        self.times += 1;
        let for_long = now.saturating_duration_since(self.since) >= ANSWER_TIMEOUT;
        has_closed(ended) && !(for_long && self.times >= OFTEN)
    }
}

/// Whether the other side has closed the session.
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

    #[test]
    fn one_that_closes_is_asked_again_for_a_while_and_often() {
        let closed = io::Error::from(io::ErrorKind::ConnectionReset);
        let refused = io::Error::other("no");
        let began = Instant::now();
        let short = ANSWER_TIMEOUT - Duration::from_millis(1);
        for (ended, after, before, again) in [
            (&closed, Duration::ZERO, 0, true),
            (&closed, short, 10_000, true),
            (&closed, ANSWER_TIMEOUT, 98, true),
            // A machine with time for a few sessions a second.
            (&closed, 30 * ANSWER_TIMEOUT, 98, true),
            (&closed, ANSWER_TIMEOUT, 99, false),
            (&refused, Duration::ZERO, 0, false),
        ] {
            let mut unwelcome = Refusals {
                times: before,
                ..Refusals::from(began)
            };
            let found = unwelcome.may_ask_again(ended, began + after);
            assert_eq!(found, again, "{ended} after {after:?}, {before} times");
        }
    }

    #[tokio::test]
    async fn one_that_speaks_otherwise_is() {
        let [old, new] = pair();
        let old = Packets::new(old);
        old.send(&[b"hello"], &[]).await.unwrap();
        assert!(!has_closed(&welcome(new).await.err().unwrap()));
    }
}
