//! State that moves with a connection besides its socket, its listener and its unread bytes: that of each layer between the
//! socket and the app. Pure.
//!
//! The receiver has announced each kind, gets each at most once, and limits its length. The list names its socket by the
//! cookie that the kernel gives each socket once, so that it cannot be applied to another by mistake.

use super::wire::{Features, Flags, Header, Malformed};
use crate::websocket;

/// The layer that a state belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A [`Transport`](crate::Transport).
    Transport,
    /// HTTP/2.
    Http2,
    /// The app's WebSocket.
    WebSocket,
}

/// One state, which follows the listener's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    pub(super) length: usize,
}

/// All states of a connection, in the order in which they follow.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct List {
    /// The socket's cookie.
    pub(super) cookie: u64,
    pub(super) entries: Vec<Entry>,
}

/// Length of the cookie and the number of entries.
const HEAD: usize = 8 + 1;
/// Length of a kind and a length.
const ENTRY: usize = 1 + 4;

impl Kind {
    const ALL: [Self; 3] = [Self::Transport, Self::Http2, Self::WebSocket];

    fn number(self) -> u8 {
        match self {
            Self::Transport => 1,
            Self::Http2 => 2,
            Self::WebSocket => 3,
        }
    }

    /// The feature that the receiver must have.
    pub(super) fn feature(self) -> Features {
        match self {
            Self::Transport => Features::TRANSPORT,
            Self::Http2 => Features::HTTP2,
            Self::WebSocket => Features::WEBSOCKET,
        }
    }

    /// The longest state. A transport's fits into a message, so that keys are never in a file.
    pub(super) fn most(self) -> usize {
        match self {
            Self::Transport => 32 * 1024,
            Self::Http2 => 1024,
            Self::WebSocket => websocket::AddressedState::MOST,
        }
    }
}

impl List {
    /// The length of the longest list.
    pub(super) const LONGEST: usize = HEAD + Kind::ALL.len() * ENTRY;

    /// Length of all states, wherever they are.
    pub(super) fn total(&self) -> usize {
        self.entries.iter().map(|entry| entry.length).sum()
    }

    /// Encodes the list for a receiver with these features; empty without states.
    ///
    /// # Errors
    ///
    /// If the receiver does not know a kind, or would refuse it.
    pub(super) fn encode(&self, features: Features) -> Result<Vec<u8>, Malformed> {
        if self.entries.is_empty() {
            return Ok(Vec::new());
        }
        let mut bytes = self.cookie.to_le_bytes().to_vec();
        bytes.push(u8::try_from(self.entries.len()).map_err(|_| Malformed::Length)?);
        for &Entry { kind, length } in &self.entries {
            if !features.has(kind.feature()) {
                return Err(Malformed::LayerState(kind.number()));
            }
            if length > kind.most() {
                return Err(Malformed::Heavy(kind.number(), length));
            }
            bytes.push(kind.number());
            let length = u32::try_from(length).map_err(|_| Malformed::Length)?;
            bytes.extend(length.to_le_bytes());
        }
        Ok(bytes)
    }

    /// The list, if there is one, and the bytes after it.
    pub(super) fn decode<'a>(
        header: &Header,
        rest: &'a [u8],
    ) -> Result<(Option<Self>, &'a [u8]), Malformed> {
        if !header.flags.has(Flags::LAYER_STATES) {
            return Ok((None, rest));
        }
        let (cookie, rest) = rest.split_first_chunk().ok_or(Malformed::Length)?;
        let (count, mut rest) = rest.split_first().ok_or(Malformed::Length)?;
        let mut list = Self {
            cookie: u64::from_le_bytes(*cookie),
            entries: Vec::new(),
        };
        for _ in 0..*count {
            let (entry, after) = rest.split_first_chunk::<ENTRY>().ok_or(Malformed::Length)?;
            let [number, length @ ..] = *entry;
            rest = after;
            let kind = Kind::ALL.into_iter().find(|kind| kind.number() == number);
            let kind = kind
                .filter(|kind| Features::OWN.has(kind.feature()))
                .ok_or(Malformed::LayerState(number))?;
            let length = u32::from_le_bytes(length) as usize;
            if length > kind.most() {
                return Err(Malformed::Heavy(number, length));
            }
            if list.entries.iter().any(|entry| entry.kind == kind) {
                return Err(Malformed::Twice(number));
            }
            list.entries.push(Entry { kind, length });
        }
        Ok((Some(list), rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moving::wire;

    fn header() -> Header {
        Header {
            flags: Flags::LAYER_STATES,
            ..Header::of(wire::Kind::Connection, 0)
        }
    }

    fn transport(length: usize) -> List {
        List {
            cookie: 77,
            entries: vec![Entry {
                kind: Kind::Transport,
                length,
            }],
        }
    }

    fn bytes(cookie: u64, entries: &[(u8, u32)]) -> Vec<u8> {
        let mut bytes = cookie.to_le_bytes().to_vec();
        bytes.push(entries.len() as u8);
        for (kind, length) in entries {
            bytes.push(*kind);
            bytes.extend(length.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn what_is_written_is_read() {
        let list = transport(174);
        let mut message = list.encode(Features::OWN).unwrap();
        assert_eq!(message, bytes(77, &[(1, 174)]));
        assert!(message.len() <= List::LONGEST);
        message.extend(b"rest");
        let read = List::decode(&header(), &message);
        assert_eq!(read, Ok((Some(list), &b"rest"[..])));
        // No state: the message of the first edition.
        assert_eq!(List::default().encode(Features(0)), Ok(Vec::new()));
        let plain = Header::of(wire::Kind::Connection, 0);
        assert_eq!(List::decode(&plain, b"rest"), Ok((None, &b"rest"[..])));
    }

    #[test]
    fn nobody_is_sent_what_it_does_not_know() {
        let refused = transport(1).encode(Features::TIMES);
        assert_eq!(refused, Err(Malformed::LayerState(1)));
        let heavy = transport(32 * 1024 + 1).encode(Features::OWN);
        assert_eq!(heavy, Err(Malformed::Heavy(1, 32 * 1024 + 1)));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let refused = |message: &[u8]| List::decode(&header(), message).unwrap_err();
        let good = bytes(1, &[(1, 9)]);
        for cut in 0..good.len() {
            assert_eq!(refused(&good[..cut]), Malformed::Length, "{cut}");
        }
        assert_eq!(refused(&bytes(1, &[(9, 1)])), Malformed::LayerState(9));
        assert_eq!(refused(&bytes(1, &[(1, 1), (1, 1)])), Malformed::Twice(1));
        let huge = u32::MAX;
        assert_eq!(
            refused(&bytes(1, &[(1, huge)])),
            Malformed::Heavy(1, huge as usize)
        );
        // More entries than follow, and than there are kinds.
        let mut many = bytes(1, &[(1, 1)]);
        many[8] = 255;
        assert_eq!(refused(&many), Malformed::Length);
    }
}
