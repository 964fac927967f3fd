//! Screen: the output of `portkeep dev`.

use std::fmt::{self, Debug, Display};
use std::ops::Add;

use anstyle::Style;

/// A line for people: styled words in order. The words may come from anybody; the screen makes them harmless.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line(Vec<Piece>);

/// A part of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Words in one of our styles.
    Words(Style, String),
    /// Words of the developer's app, with their own colours.
    InColour(String),
}

impl Line {
    /// A line with words in one of our styles.
    pub fn styled(style: Style, words: impl Display) -> Self {
        Self(vec![Piece::Words(style, words.to_string())])
    }

    /// A line with words of the developer's app, with their own colours.
    pub fn in_colour(words: impl Display) -> Self {
        Self(vec![Piece::InColour(words.to_string())])
    }

    /// Its length in bytes.
    pub(crate) fn len(&self) -> usize {
        let lengths = self.0.iter().map(|piece| match piece {
            Piece::Words(_, words) | Piece::InColour(words) => words.len(),
        });
        lengths.sum()
    }

    /// Whether all of it is ours: no word of the app.
    pub(crate) fn is_ours(&self) -> bool {
        let mut pieces = self.0.iter();
        pieces.all(|piece| matches!(piece, Piece::Words(..)))
    }

    /// The parts, in order.
    #[must_use]
    pub fn pieces(&self) -> &[Piece] {
        &self.0
    }
}

impl From<&str> for Line {
    fn from(words: &str) -> Self {
        Self::styled(Style::new(), words)
    }
}

impl From<String> for Line {
    fn from(words: String) -> Self {
        Self(vec![Piece::Words(Style::new(), words)])
    }
}

impl<T: Into<Line>> Add<T> for Line {
    type Output = Self;

    fn add(mut self, more: T) -> Self {
        self.0.extend(more.into().0);
        self
    }
}

/// The words alone.
impl Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in &self.0 {
            match piece {
                Piece::Words(_, words) | Piece::InColour(words) => f.write_str(words)?,
            }
        }
        Ok(())
    }
}

/// Output for lines.
pub trait Screen: Debug + Send + Sync {
    /// Shows one line.
    fn line(&self, line: &Line);

    /// Shows several lines that are there at once, where it can with one write.
    fn lines(&self, lines: &[Line]) {
        lines.iter().for_each(|line| self.line(line));
    }

    /// Shows the terminal output of a compiler or a check as it is.
    fn relay(&self, bytes: &[u8]);

    /// The same for text whose colours this terminal may not show.
    fn relay_text(&self, text: &str);
}

/// Shows nothing.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct Blank;

#[cfg(test)]
impl Screen for Blank {
    fn line(&self, _: &Line) {}

    fn relay(&self, _: &[u8]) {}

    fn relay_text(&self, _: &str) {}
}
