//! Escapes text of other programs: a terminal obeys control characters, whoever wrote them.

use std::borrow::Cow;

/// A text of one or several lines. Colours are removed. Other characters that steer a terminal or reverse the reading order
/// are written out: `\x1b`, `\u{202e}`.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    rewrite(text, Colours::LeftOut, |c| matches!(c, '\n' | '\t'))
}

/// The same with its colours, which end with the text.
pub(super) fn visible_in_colour(text: &str) -> Cow<'_, str> {
    let shown = rewrite(text, Colours::Kept, |c| matches!(c, '\n' | '\t'));
    if shown.contains('\x1b') {
        return Cow::Owned(format!("{shown}\x1b[0m"));
    }
    shown
}

/// A text that must stay within its line: line breaks are written out too, so that the text cannot begin a line that seems
/// to be portkeep's.
pub(crate) fn inline(text: &str) -> Cow<'_, str> {
    rewrite(text, Colours::LeftOut, |_| false)
}

/// Fate of sequences that only change colours.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Colours {
    Kept,
    LeftOut,
}

fn rewrite(text: &str, colours: Colours, is_wanted: impl Fn(char) -> bool) -> Cow<'_, str> {
    // Most text is plain, and this is quicker to see.
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~');
    if text.bytes().all(is_plain) || !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(sequence) = colour_sequence(rest) {
            if colours == Colours::Kept {
                shown.push_str(sequence);
            }
            rest = &rest[sequence.len()..];
            continue;
        }
        rest = &rest[c.len_utf8()..];
        // Windows ends lines with this.
        let is_end_of_line = c == '\r' && rest.starts_with('\n') && is_wanted('\n');
        if !steers(c) || is_wanted(c) {
            shown.push(c);
        } else if !is_end_of_line {
            write_out(c, &mut shown);
        }
    }
    Cow::Owned(shown)
}

/// Control characters (C0, DEL, C1), and characters that reverse the writing direction or end a line or a paragraph.
pub(super) fn steers(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{061c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'
                | '\u{2029}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
        )
}

fn write_out(c: char, shown: &mut String) {
    match c {
        '\n' => shown.push_str("\\n"),
        '\r' => shown.push_str("\\r"),
        '\t' => shown.push_str("\\t"),
        c if c <= '\u{ff}' => shown.push_str(&format!("\\x{:02x}", u32::from(c))),
        c => shown.extend(c.escape_unicode()),
    }
}

/// `ESC [ … m` at the beginning of a text, with only numbers in between.
fn colour_sequence(text: &str) -> Option<&str> {
    let numbers = text.strip_prefix("\x1b[")?;
    let end = numbers.find(|c: char| !c.is_ascii_digit() && c != ';' && c != ':')?;
    numbers[end..]
        .starts_with('m')
        .then(|| &text[.."\x1b[".len() + end + 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_shown() {
        for (text, shown) in [
            ("plain, ünïcödé\twith\nlines", "plain, ünïcödé\twith\nlines"),
            ("title \x1b]0;owned\x07.", "title \\x1b]0;owned\\x07."),
            ("\x1b[2J\x1b[1;1Hgone", "\\x1b[2J\\x1b[1;1Hgone"),
            ("back\x08\x08", "back\\x08\\x08"),
            ("seen\rhidden", "seen\\rhidden"),
            ("windows\r\nends", "windows\nends"),
            (
                "8 bits \u{9b}2J \u{9d}0;x\u{9c}",
                "8 bits \\x9b2J \\x9d0;x\\x9c",
            ),
            ("del \x7f nul \0", "del \\x7f nul \\x00"),
            (
                "bidi \u{202e}txt.exe\u{2066}",
                "bidi \\u{202e}txt.exe\\u{2066}",
            ),
            ("\x1b[31mred\x1b[0m", "red"),
            ("\x1b[38;5;1m\x1b[;m\x1b[m\x1b[4:3m", ""),
            (
                "\x1b[>4;2m \x1b[1 m \x1b[1",
                "\\x1b[>4;2m \\x1b[1 m \\x1b[1",
            ),
            ("\x1b", "\\x1b"),
        ] {
            assert_eq!(visible(text), shown, "{text:?}");
            assert!(!inline(text).contains(steers), "{text:?}");
        }
    }

    #[test]
    fn all_that_steers_and_nothing_else() {
        for c in (0..=0x2fff).filter_map(char::from_u32) {
            let shown = visible(&c.to_string()).into_owned();
            let is_left = shown.contains(c);
            assert_eq!(is_left, !steers(c) || matches!(c, '\n' | '\t'), "{c:?}");
        }
    }

    #[test]
    fn a_value_stays_within_its_line() {
        assert_eq!(
            inline("app\n/run/x is free\tnow"),
            "app\\n/run/x is free\\tnow"
        );
    }

    #[test]
    fn a_developers_own_colours_are_kept_and_end() {
        assert_eq!(visible_in_colour("\x1b[32mok"), "\x1b[32mok\x1b[0m");
        assert_eq!(visible_in_colour("\x1b[2J"), "\\x1b[2J");
        assert_eq!(visible_in_colour("plain"), "plain");
    }
}
