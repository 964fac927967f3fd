//! Size of the client's compression table, as the client announces it.
//!
//! A block of header fields may begin with updates of the table's size (RFC 7541, 6.3), and an encoder that has lost room must
//! say so there, the smallest size first. Nothing else has to be understood of a block, and nothing of what is compressed.

/// What is certain of it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    /// Something may be in it.
    #[default]
    Kept,
    /// The client has acknowledged a table of size 0, and must say so when it sends its next block.
    Promised,
    /// The same, and it has done that elsewhere: what it kept is not known here.
    Owed,
    /// It has said that its size is 0, and nothing else since.
    Empty,
    /// It has not said so: its block cannot be decompressed here.
    Broken,
}

/// Follows the blocks of one direction.
#[derive(Debug, Default)]
pub(super) struct TableSize {
    table: Table,
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
    pub(super) fn resumed(table: Table) -> Self {
        Self {
            table,
            place: Place::Fields,
        }
    }

    pub(super) fn table(&self) -> Table {
        self.table
    }

    /// The client has acknowledged that it may keep nothing.
    pub(super) fn acknowledged(&mut self) {
        if self.table == Table::Kept {
            self.table = Table::Promised;
        }
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
                    self.table = match (self.table, byte) {
                        (Table::Broken, _) => Table::Broken,
                        (_, 0x20) => Table::Empty,
                        // The smallest comes first.
                        (Table::Owed, _) => Table::Broken,
                        (Table::Kept | Table::Promised | Table::Empty, _) => Table::Kept,
                    };
                    // Five bits that are all set say that more follows: 31 and what that is.
                    if byte == 0x3f {
                        self.place = Place::Number;
                    }
                }
                Place::Begin => {
                    self.table = match self.table {
                        Table::Promised => Table::Kept,
                        Table::Owed => Table::Broken,
                        other => other,
                    };
                    self.place = Place::Fields;
                }
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
        use Table::{Broken, Empty, Kept, Owed, Promised};
        for (block, kept, owed) in [
            (&b"\x20\x82"[..], Empty, Empty),
            (b"\x82\x20", Kept, Broken),
            (b"\x20\x3f\xe1\x1f\x82", Kept, Kept),
            (b"\x3f\xe1\x1f\x20\x82", Empty, Broken),
            (b"\x3f\xe1\x1f\x82\x20", Kept, Broken),
            (b"\x21\x20", Empty, Broken),
            // 0x20 as the number of an update that goes on.
            (b"\x3f\x20\x82", Kept, Broken),
            (b"\x20", Empty, Empty),
            (b"", Kept, Owed),
        ] {
            for piece in 1..=block.len().max(1) {
                let promised = if block.is_empty() { Promised } else { kept };
                for (before, after) in [
                    (Kept, kept),
                    (Promised, promised),
                    (Owed, owed),
                    (Broken, Broken),
                ] {
                    let mut size = TableSize::resumed(before);
                    size.begin();
                    for part in block.chunks(piece) {
                        size.follow(part);
                    }
                    assert_eq!(
                        size.table(),
                        after,
                        "{before:?}, {block:x?} in pieces of {piece}"
                    );
                }
            }
        }
    }

    #[test]
    fn it_stays_until_something_else_is_said() {
        let mut size = TableSize::resumed(Table::Empty);
        size.begin();
        size.follow(b"\x82\x86");
        assert_eq!(size.table(), Table::Empty);
        // It had said so before.
        size.acknowledged();
        assert_eq!(size.table(), Table::Empty);
        size.begin();
        size.follow(b"\x3f\xe1\x1f");
        assert_eq!(size.table(), Table::Kept);
        size.acknowledged();
        assert_eq!(size.table(), Table::Promised);
    }
}
