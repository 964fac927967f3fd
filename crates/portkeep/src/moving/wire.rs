//! Encoding of the messages between generations. Pure.

use std::time::Duration;

use super::layer_states::List;

/// Version of the protocol: the first byte of every message, in every version.
pub(super) const VERSION: u8 = 1;
/// The length of a header.
pub(super) const HEADER: usize = 16;
/// More states and unread bytes together than this are sent in a file, so that a message stays far below the size of a
/// socket's buffer and is never split.
pub(super) const INLINE: usize = 64 * 1024;
/// More unread bytes are refused. hyper keeps less than half of it.
pub(super) const MOST_UNREAD: usize = 1024 * 1024;
/// The longest message: a header, two times, a list of states, the listener's name with its length, then states and unread
/// bytes.
pub(super) const LONGEST: usize = HEADER + TIMES + List::LONGEST + 1 + 255 + INLINE;
/// The length of two times.
pub(super) const TIMES: usize = 16;

/// What a process can do beyond the first edition of this version.
///
/// Greetings have it in place of the sequence number, which they do not need: a process that does not know of it writes 0
/// there, and does not read it. Both sides use their common features.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Features(pub(super) u64);

impl Features {
    /// Connections may have their waiting time and age.
    pub(super) const TIMES: Self = Self(1);
    /// Connections may have the state of a transport.
    pub(super) const TRANSPORT: Self = Self(2);
    /// Connections may have the state of HTTP/2.
    pub(super) const HTTP2: Self = Self(4);
    /// Connections may have the state of a WebSocket.
    pub(super) const WEBSOCKET: Self = Self(8);
    /// All features of this process.
    pub(super) const OWN: Self = {
        let http2 = if cfg!(feature = "http2") {
            Self::HTTP2.0
        } else {
            0
        };
        Self(Self::TIMES.0 | Self::TRANSPORT.0 | Self::WEBSOCKET.0 | http2)
    };

    pub(super) fn shared_with(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// Kind of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The first message of the old process.
    Hello,
    /// The answer to it.
    Welcome,
    /// A connection: its descriptor, the name of its listener, its unread bytes.
    Connection,
    /// The new process owns the connection with this number.
    Ack,
    /// The new process refuses it.
    Nak,
}

/// What is known about a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Flags(u16);

impl Flags {
    /// It speaks HTTP/1: this must not be guessed from its next bytes, which a client chooses.
    pub(super) const HTTP1: Self = Self(1);
    /// It had a request already.
    pub(super) const USED: Self = Self(2);
    /// States and unread bytes are in a file, the second descriptor.
    pub(super) const IN_FILE: Self = Self(4);
    /// Two times follow the header: see [`Times`]. Only for a receiver with [`Features::TIMES`].
    pub(super) const TIMES: Self = Self(8);
    /// A list of states follows them: see [`List`]. Only for a receiver that knows all their kinds.
    pub(super) const LAYER_STATES: Self = Self(16);
    const ALL: u16 = 1 | 2 | 4 | 8 | 16;

    pub(super) fn when(self, condition: bool) -> Self {
        if condition { self } else { Self(0) }
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// The beginning of every message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) flags: Flags,
    /// Number of unread bytes, wherever they are.
    pub(super) unread: u32,
    /// Number of the connection; an answer has the number of what it answers.
    pub(super) sequence: u64,
}

/// Why a message cannot be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    #[error("it speaks version {0} of the protocol, not {VERSION}")]
    Version(u8),
    #[error("a message of unknown kind {0}")]
    Kind(u8),
    #[error("a message with unknown flags {0:#x}")]
    Flags(u16),
    #[error("a message of {0} bytes is too short")]
    Short(usize),
    #[error("a message whose length is not what it says")]
    Length,
    #[error(
        "something of kind {0} goes along with a connection, which one of the two generations does not know"
    )]
    LayerState(u8),
    #[error("what goes along of kind {0} is there twice")]
    Twice(u8),
    #[error("what goes along of kind {0} has {1} bytes, which is too much")]
    Heavy(u8, usize),
}

impl Header {
    pub(super) fn of(kind: Kind, sequence: u64) -> Self {
        Self {
            kind,
            flags: Flags::default(),
            unread: 0,
            sequence,
        }
    }

    pub(super) fn encode(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[0] = VERSION;
        bytes[1] = match self.kind {
            Kind::Hello => 1,
            Kind::Welcome => 2,
            Kind::Connection => 3,
            Kind::Ack => 4,
            Kind::Nak => 5,
        };
        bytes[2..4].copy_from_slice(&self.flags.0.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.unread.to_le_bytes());
        bytes[8..].copy_from_slice(&self.sequence.to_le_bytes());
        bytes
    }

    /// The header, and the bytes after it.
    pub(super) fn decode(message: &[u8]) -> Result<(Self, &[u8]), Malformed> {
        // The version first: the rest of a message of another version is unknown.
        let version = *message.first().ok_or(Malformed::Short(0))?;
        if version != VERSION {
            return Err(Malformed::Version(version));
        }
        let Some((bytes, rest)) = message.split_first_chunk::<HEADER>() else {
            return Err(Malformed::Short(message.len()));
        };
        let [_, kind, f0, f1, u0, u1, u2, u3, sequence @ ..] = *bytes;
        let flags = u16::from_le_bytes([f0, f1]);
        if flags & !Flags::ALL != 0 {
            return Err(Malformed::Flags(flags));
        }
        let header = Self {
            kind: match kind {
                1 => Kind::Hello,
                2 => Kind::Welcome,
                3 => Kind::Connection,
                4 => Kind::Ack,
                5 => Kind::Nak,
                other => return Err(Malformed::Kind(other)),
            },
            flags: Flags(flags),
            unread: u32::from_le_bytes([u0, u1, u2, u3]),
            sequence: u64::from_le_bytes(sequence),
        };
        Ok((header, rest))
    }
}

/// How long a connection has been in its state, and its age, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Times {
    pub(super) waited: Duration,
    pub(super) age: Duration,
}

impl Times {
    pub(super) fn encode(self) -> [u8; TIMES] {
        let mut bytes = [0; TIMES];
        for (place, time) in [(0..8, self.waited), (8..16, self.age)] {
            let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            bytes[place].copy_from_slice(&millis.to_le_bytes());
        }
        bytes
    }

    /// The times, if there are any, and the bytes after them.
    pub(super) fn decode<'a>(
        header: &Header,
        rest: &'a [u8],
    ) -> Result<(Self, &'a [u8]), Malformed> {
        if !header.flags.has(Flags::TIMES) {
            return Ok((Self::default(), rest));
        }
        let (waited, rest) = rest.split_first_chunk().ok_or(Malformed::Length)?;
        let (age, rest) = rest.split_first_chunk().ok_or(Malformed::Length)?;
        let time = |millis: &[u8; 8]| Duration::from_millis(u64::from_le_bytes(*millis));
        let times = Self {
            waited: time(waited),
            age: time(age),
        };
        Ok((times, rest))
    }
}

/// The listener's name, and the parts of the `states_length` bytes of states and of the unread bytes that are in the
/// message; `rest` follows the list.
pub(super) fn name_and_inline<'a>(
    header: &Header,
    states_length: usize,
    rest: &'a [u8],
) -> Result<(&'a str, &'a [u8]), Malformed> {
    let (length, rest) = rest.split_first().ok_or(Malformed::Length)?;
    let (name, inline) = rest
        .split_at_checked(usize::from(*length))
        .ok_or(Malformed::Length)?;
    let unread = header.unread as usize;
    if unread > MOST_UNREAD {
        return Err(Malformed::Length);
    }
    let expected = if header.flags.has(Flags::IN_FILE) {
        0
    } else {
        states_length + unread
    };
    if inline.len() != expected {
        return Err(Malformed::Length);
    }
    let name = std::str::from_utf8(name).map_err(|_| Malformed::Length)?;
    Ok((name, inline))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for (kind, flags) in [
            (Kind::Hello, Flags::default()),
            (Kind::Welcome, Flags::default()),
            (Kind::Connection, Flags::HTTP1.and(Flags::USED)),
            (Kind::Ack, Flags::default()),
            (Kind::Nak, Flags::IN_FILE),
        ] {
            let header = Header {
                kind,
                flags,
                unread: 70_000,
                sequence: u64::MAX - 3,
            };
            let mut message = header.encode().to_vec();
            message.extend(b"rest");
            assert_eq!(Header::decode(&message), Ok((header, &b"rest"[..])));
        }
    }

    #[test]
    fn times_are_what_they_were_or_as_good_as_for_ever() {
        let header = Header {
            flags: Flags::TIMES,
            ..Header::of(Kind::Connection, 0)
        };
        let times = Times {
            waited: Duration::from_millis(1500),
            age: Duration::from_secs(1 << 40),
        };
        let mut message = times.encode().to_vec();
        message.extend(b"rest");
        assert_eq!(Times::decode(&header, &message), Ok((times, &b"rest"[..])));
        assert_eq!(
            Times::decode(&header, &message[..15]),
            Err(Malformed::Length)
        );
        let longest = Times {
            waited: Duration::MAX,
            ..times
        };
        let decoded = Times::decode(&header, &longest.encode()).unwrap().0;
        assert_eq!(decoded.waited, Duration::from_millis(u64::MAX));
        let without = Header::of(Kind::Connection, 0);
        assert_eq!(
            Times::decode(&without, b"rest"),
            Ok((Times::default(), &b"rest"[..]))
        );
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let good = Header::of(Kind::Connection, 1).encode();
        let with = |place: usize, byte: u8| {
            let mut bad = good;
            bad[place] = byte;
            Header::decode(&bad).map(|_| ()).unwrap_err()
        };
        assert_eq!(with(0, 2), Malformed::Version(2));
        assert_eq!(with(1, 9), Malformed::Kind(9));
        assert_eq!(with(2, 0x80), Malformed::Flags(0x80));
        assert_eq!(Header::decode(&good[..15]), Err(Malformed::Short(15)));
        assert_eq!(Header::decode(&[]), Err(Malformed::Short(0)));
        // One byte of another version is enough to know.
        assert_eq!(Header::decode(&[7]), Err(Malformed::Version(7)));
    }

    #[test]
    fn lengths_have_to_be_right() {
        let header = Header {
            unread: 3,
            ..Header::of(Kind::Connection, 0)
        };
        assert_eq!(
            name_and_inline(&header, 0, b"\x04httpGET"),
            Ok(("http", &b"GET"[..]))
        );
        assert_eq!(
            name_and_inline(&header, 2, b"\x04http..GET"),
            Ok(("http", &b"..GET"[..]))
        );
        for bad in [&b""[..], b"\x09httpGET", b"\x04httpGE", b"\x04httpGETT"] {
            assert_eq!(name_and_inline(&header, 0, bad), Err(Malformed::Length));
        }
        let huge = Header {
            unread: u32::MAX,
            flags: Flags::IN_FILE,
            ..header
        };
        assert_eq!(name_and_inline(&huge, 0, b"\x00"), Err(Malformed::Length));
    }
}
