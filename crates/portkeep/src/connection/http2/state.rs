//! State of an idle HTTP/2 connection that another process needs to continue it.

use super::settings::{self, Settings};

/// The version of what follows it.
const VERSION: u8 = 2;
/// The version, three numbers, the flag of the empty table, and the length of the first settings.
const FIXED: usize = 1 + 3 * 4 + 1 + 1;
/// No window may be larger.
pub(super) const MOST_WINDOW: u32 = (1 << 31) - 1;

/// A connection without open streams. The page of the module says why this is all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::connection) struct State {
    /// The largest stream number of the client.
    pub(super) last: u32,
    /// Bytes that the server may send on the connection.
    pub(super) send_window: u32,
    /// Bytes that the client may send on the connection.
    pub(super) receive_window: u32,
    /// Whether the client has announced an empty table; otherwise it will in its next block.
    pub(super) said: bool,
    /// The server's settings that the client has acknowledged.
    pub(super) ours: Settings,
    /// The client's settings that the server has acknowledged.
    pub(super) theirs: Settings,
}

impl State {
    pub(in crate::connection) fn encode(&self) -> Vec<u8> {
        let (ours, theirs) = (self.ours.payload(), self.theirs.payload());
        let mut bytes = Vec::with_capacity(FIXED + ours.len() + theirs.len());
        bytes.push(VERSION);
        for number in [self.last, self.send_window, self.receive_window] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.push(u8::from(self.said));
        // There are 15 of them at most.
        bytes.push(ours.len() as u8);
        bytes.extend_from_slice(&ours);
        bytes.extend_from_slice(&theirs);
        bytes
    }

    /// Nothing if it has another version or is invalid.
    pub(in crate::connection) fn decode(bytes: &[u8]) -> Option<Self> {
        let (fixed, rest) = bytes.split_first_chunk::<FIXED>()?;
        let [version, numbers @ .., said, length] = fixed;
        let number = |place: usize| {
            let four = numbers.get(4 * place..4 * place + 4)?;
            Some(u32::from_le_bytes(four.try_into().ok()?)).filter(|number| *number <= MOST_WINDOW)
        };
        let (ours, theirs) = rest.split_at_checked(usize::from(*length))?;
        let state = Self {
            last: number(0).filter(|last| last % 2 == 1)?,
            send_window: number(1)?,
            receive_window: number(2)?,
            said: *said == 1,
            ours: read(ours)?,
            theirs: read(theirs)?,
        };
        (*version == VERSION && *said <= 1).then_some(state)
    }
}

/// Settings in the one form that is written.
fn read(payload: &[u8]) -> Option<Settings> {
    if payload.len() > settings::MOST {
        return None;
    }
    let mut settings = Settings::default();
    settings.merge(payload);
    (settings.payload() == payload).then_some(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let mut ours = Settings::default();
        ours.set(1, 0);
        ours.set(4, 1 << 20);
        let state = State {
            last: 0x7fff_ffff,
            send_window: 40_000,
            receive_window: 1 << 20,
            said: true,
            ours,
            theirs: Settings::default(),
        };
        let bytes = state.encode();
        assert_eq!(State::decode(&bytes), Some(state.clone()));
        for length in 0..bytes.len() {
            assert_eq!(State::decode(&bytes[..length]), None, "{length}");
        }
        let with = |place: usize, byte: u8| {
            let mut bytes = bytes.clone();
            bytes[place] = byte;
            State::decode(&bytes)
        };
        // Another version, an even number, an impossible window, a bad flag, a bad length, an unknown number, the wrong
        // order.
        for (place, byte) in [
            (0, 1),
            (1, 0xfe),
            (8, 0x80),
            (13, 2),
            (14, 200),
            (15, 1),
            (16, 9),
        ] {
            assert_eq!(with(place, byte), None, "{byte} at {place}");
        }
        // A state is never longer than its parts can be.
        assert_eq!(State::decode(&vec![1; 1 << 20]), None);
    }
}
