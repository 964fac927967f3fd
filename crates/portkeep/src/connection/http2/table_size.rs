//! How large the client's compression table is, by what the client itself says.
//!
//! A block of header fields may begin with updates of the table's size (RFC 7541, 6.3), and an encoder that has lost room must
//! say so there. Nothing else has to be understood of a block, and nothing of what is compressed.

/// Follows the blocks of one direction.
#[derive(Debug, Default)]
pub(super) struct TableSize {
    /// The last one that was said, or 4096, which every connection begins with.
    is_zero: bool,
    place: Place,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In front of a block's first byte, or behind updates.
    Begin,
    /// In an update whose number goes on.
    Number,
    /// Updates can only stand at the beginning.
    #[default]
    Fields,
}

impl TableSize {
    pub(super) fn zero() -> Self {
        Self {
            is_zero: true,
            place: Place::Fields,
        }
    }

    /// The encoder has said that it keeps nothing, and nothing else since.
    pub(super) fn is_zero(&self) -> bool {
        self.is_zero
    }

    pub(super) fn begin(&mut self) {
        self.place = Place::Begin;
    }

    /// A part of the block.
    pub(super) fn follow(&mut self, block: &[u8]) {
        for &byte in block {
            match self.place {
                Place::Fields => return,
                Place::Begin if byte & 0xe0 == 0x20 => {
                    self.is_zero = byte == 0x20;
                    // Five bits that are all set say that more follows: 31 and what that is.
                    if byte == 0x3f {
                        self.place = Place::Number;
                    }
                }
                Place::Begin => self.place = Place::Fields,
                Place::Number if byte & 0x80 == 0 => self.place = Place::Begin,
                Place::Number => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_update_at_the_beginning_counts() {
        for (block, zero) in [
            (&b"\x20\x82"[..], true),
            (b"\x82\x20", false),
            (b"\x20\x3f\xe1\x1f\x82", false),
            (b"\x3f\xe1\x1f\x20\x82", true),
            (b"\x3f\xe1\x1f\x82\x20", false),
            (b"\x21\x20", true),
            // 0x20 as the number of an update that goes on.
            (b"\x3f\x20\x82", false),
            (b"\x20", true),
            (b"", false),
        ] {
            for piece in 1..=block.len().max(1) {
                let mut size = TableSize::default();
                size.begin();
                for part in block.chunks(piece) {
                    size.follow(part);
                }
                assert_eq!(size.is_zero(), zero, "{block:x?} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn it_stays_until_something_else_is_said() {
        let mut size = TableSize::zero();
        size.begin();
        size.follow(b"\x82\x86");
        assert!(size.is_zero());
        size.begin();
        size.follow(b"\x3f\xe1\x1f");
        assert!(!size.is_zero());
    }
}
