//! Bytes that are never printed and are wiped when dropped.

use std::fmt;
use std::hint::black_box;

/// Bytes such as the keys of a TLS connection: overwritten when they are dropped, and never logged.
///
/// Only this copy is overwritten. The caller overwrites the bytes that it was made from.
#[derive(PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// The bytes themselves. Copies of them are not overwritten.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

/// Takes over this memory, and copies nothing. Unused memory behind the bytes is overwritten too.
impl From<Vec<u8>> for Secret {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

/// Shows the number of bytes.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        // The whole of its memory, which does not grow by this.
        let capacity = self.0.capacity();
        self.0.clear();
        self.0.resize(capacity, 0);
        wiped(&mut self.0);
    }
}

/// Overwrites bytes that nobody will read, in a way that the compiler does not remove.
pub(crate) fn wiped(bytes: &mut [u8]) {
    bytes.fill(0);
    black_box(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_does_not_have_it() {
        let secret = Secret::from(b"hunter2".to_vec());
        assert_eq!(secret.expose(), b"hunter2");
        assert_eq!(format!("{secret:?}"), "Secret(7 bytes)");
    }
}
