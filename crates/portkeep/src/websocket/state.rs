//! The app's knowledge about a WebSocket, which another process could not find out.

use crate::Secret;

/// The most bytes of a state: 1 MiB.
pub(crate) const MOST_BYTES: usize = 1024 * 1024;
/// The longest name of a handler, in bytes.
pub(crate) const MOST_NAME: usize = 255;
/// Length of the version and of the name's length.
const HEAD: usize = 4 + 1;

/// The app's state of a WebSocket that it [hands over](crate::hand_over): bytes in the app's own format, and the version of
/// that format. At most 1 MiB.
///
/// The version makes later releases possible: a release reads the formats of earlier ones that may still serve, and refuses
/// unknown ones.
///
/// The bytes are overwritten when they are dropped, and are never logged. They are not signed: they come from a process of
/// the same user, and a user who can write them can read the app's memory.
#[derive(Debug, PartialEq, Eq)]
pub struct SessionState {
    version: u32,
    bytes: Secret,
}

/// State of a WebSocket with the name of the handler that it is for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AddressedState {
    pub(crate) handler: String,
    pub(crate) state: SessionState,
}

impl SessionState {
    /// A state with bytes of this version.
    #[must_use]
    pub fn new(version: u32, bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            version,
            bytes: Secret::from(bytes.into()),
        }
    }

    /// The version of the bytes' format.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The bytes. Copies of them are not overwritten.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.expose()
    }
}

impl AddressedState {
    /// The longest result of [`encode`](Self::encode).
    pub(crate) const MOST: usize = HEAD + MOST_NAME + MOST_BYTES;

    /// The name is no longer than [`MOST_NAME`].
    pub(crate) fn encode(handler: &str, state: &SessionState) -> Secret {
        let mut bytes = Vec::with_capacity(HEAD + handler.len() + state.bytes().len());
        bytes.extend(state.version.to_le_bytes());
        bytes.push(u8::try_from(handler.len()).unwrap_or(u8::MAX));
        bytes.extend(handler.as_bytes());
        bytes.extend(state.bytes());
        Secret::from(bytes)
    }

    /// Nothing if it is invalid.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first_chunk()?;
        let (length, rest) = rest.split_first()?;
        let (handler, state) = rest.split_at_checked(usize::from(*length))?;
        Some(Self {
            handler: std::str::from_utf8(handler).ok()?.to_owned(),
            state: SessionState::new(u32::from_le_bytes(*version), state),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for (handler, bytes) in [
            ("chat", &b"state"[..]),
            ("", b""),
            ("r\u{e4}ume", &[255; 70_000]),
        ] {
            let state = SessionState::new(7, bytes);
            let encoded = AddressedState::encode(handler, &state);
            let handler = handler.to_owned();
            assert_eq!(
                AddressedState::decode(encoded.expose()),
                Some(AddressedState { handler, state })
            );
        }
    }

    #[test]
    fn what_is_cut_is_none_or_a_shorter_state() {
        let encoded = AddressedState::encode("chat", &SessionState::new(1, *b"state"));
        let encoded = encoded.expose();
        for length in 0..9 {
            assert_eq!(AddressedState::decode(&encoded[..length]), None, "{length}");
        }
        let mut bad = encoded.to_vec();
        bad[5] = 0xff;
        assert_eq!(AddressedState::decode(&bad), None, "no name");
    }

    #[test]
    fn a_log_does_not_have_it() {
        let state = SessionState::new(3, *b"hunter2");
        assert!(!format!("{state:?}").contains("hunter2"));
    }
}
