//! Size of the client's compression table, as the client announces it.
//!
//! A block of header fields may begin with updates of the table's size (RFC 7541, 6.3), and an encoder whose table shrinks
//! must send one there, the smallest size first. The rest of a block need not be decoded.

/// What is certain about the table.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    /// It may have entries.
    #[default]
    Kept,
    /// The client has acknowledged an empty table, and must announce it in its next block.
    Promised,
    /// The same, but the acknowledgement went to another process: the client's entries are unknown here.
    Owed,
    /// The client has announced an empty table, and nothing since.
    Empty,
    /// It has not announced it: its block cannot be decoded here.
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
    /// At a block's first byte, or after updates.
    Begin,
    /// Within an update whose number continues.
    Number,
    /// After the updates, which only stand at the beginning.
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

    /// The client has acknowledged an empty table.
    pub(super) fn acknowledged(&mut self) {
        if self.table == Table::Kept {
            self.table = Table::Promised;
        }
    }

    pub(super) fn begin(&mut self) {
        self.place = Place::Begin;
    }

    /// Takes a part of a block.
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
                    // Five set bits mean that the number continues: 31 plus what follows.
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
            // 0x20 as the continuation of an update.
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
        // It had announced it before.
        size.acknowledged();
        assert_eq!(size.table(), Table::Empty);
        size.begin();
        size.follow(b"\x3f\xe1\x1f");
        assert_eq!(size.table(), Table::Kept);
        size.acknowledged();
        assert_eq!(size.table(), Table::Promised);
    }
}
