//! Styled text for the terminal. Words of other programs are escaped; the style is ours.

use std::fmt::{self, Display};
use std::ops::Add;

use anstyle::Style;

use super::foreign::{visible, visible_in_colour};

/// Words and their style, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Text(Vec<Part>);

#[derive(Debug, Clone)]
enum Part {
    Words(Style, String),
    InColour(String),
}

impl Text {
    /// Words in a style of ours.
    pub(crate) fn styled(style: Style, words: impl Display) -> Self {
        Self(vec![Part::Words(style, words.to_string())])
    }

    /// Words of the developer's own app, on the developer's own terminal: they keep their colours.
    pub(crate) fn in_colour(words: impl Display) -> Self {
        Self(vec![Part::InColour(words.to_string())])
    }
}

impl From<&str> for Text {
    fn from(words: &str) -> Self {
        Self::styled(Style::new(), words)
    }
}

impl From<String> for Text {
    fn from(words: String) -> Self {
        Self(vec![Part::Words(Style::new(), words)])
    }
}

impl From<&String> for Text {
    fn from(words: &String) -> Self {
        Self::from(words.as_str())
    }
}

impl From<fmt::Arguments<'_>> for Text {
    fn from(words: fmt::Arguments<'_>) -> Self {
        Self::styled(Style::new(), words)
    }
}

impl<T: Into<Text>> Add<T> for Text {
    type Output = Self;

    fn add(mut self, more: T) -> Self {
        self.0.extend(more.into().0);
        self
    }
}

/// As a terminal takes it.
impl Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.0 {
            match part {
                Part::Words(style, words) => write!(f, "{style}{}{style:#}", visible(words))?,
                Part::InColour(words) => f.write_str(&visible_in_colour(words))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use anstyle::AnsiColor;

    use super::*;

    #[test]
    fn the_style_is_ours_and_the_words_are_harmless() {
        let red = AnsiColor::Red.on_default();
        let words = "a\x1b[2J\x1b[0mb";
        let text = Text::styled(red, words) + format!("; {words}") + Text::in_colour("\x1b[1mc");
        assert_eq!(
            text.to_string(),
            "\x1b[31ma\\x1b[2Jb\x1b[0m; a\\x1b[2Jb\x1b[1mc\x1b[0m"
        );
    }
}
