//! Terminal of `portkeep dev`. It escapes text of other programs.

use portkeep_dev::{Line, Piece, Screen};

use crate::output::{self, Text};

/// Standard output and standard error of this process.
#[derive(Debug)]
pub(super) struct Standard;

impl Screen for Standard {
    fn line(&self, line: &Line) {
        output::print(text(line));
    }

    fn lines(&self, lines: &[Line]) {
        output::print_all(lines.iter().map(text));
    }

    fn relay(&self, bytes: &[u8]) {
        output::relay(bytes);
    }

    fn relay_text(&self, text: &str) {
        output::relay_text(text);
    }
}

fn text(line: &Line) -> Text {
    line.pieces().iter().fold(Text::default(), |text, piece| {
        text + match piece {
            Piece::Words(style, words) => Text::styled(*style, words),
            Piece::InColour(words) => Text::in_colour(words),
        }
    })
}
