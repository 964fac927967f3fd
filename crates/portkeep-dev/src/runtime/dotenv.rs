//! `.env` files, by the rules of systemd's `EnvironmentFile=`, with a warning for each line that other tools read
//! differently.
//!
//! A line is `NAME=VALUE`, optionally after `export`; `#` or `;` begins a comment. White space around a value is dropped.
//! Single quotes keep everything as it is; in double quotes `\` escapes `"`, `\`, `$` and a backtick; elsewhere it escapes
//! any character. A quoted value may have several lines. Nothing is expanded: `$NAME` stays `$NAME`.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::Chars;

/// Contents of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Dotenv {
    pub(super) variables: BTreeMap<String, String>,
    /// Warnings with their lines, from 1.
    pub(super) warnings: Vec<(usize, String)>,
}

/// The quotes around a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quotes {
    Single,
    Double,
}

pub(super) fn parse(text: &str) -> Dotenv {
    let mut found = Dotenv::default();
    let mut rest = Cursor {
        chars: text.chars().peekable(),
        line: 1,
    };
    while rest.chars.peek().is_some() {
        rest.entry(&mut found);
    }
    found
}

struct Cursor<'a> {
    chars: Peekable<Chars<'a>>,
    line: usize,
}

impl Cursor<'_> {
    fn next(&mut self) -> Option<char> {
        let next = self.chars.next();
        self.line += usize::from(next == Some('\n'));
        next
    }

    /// The text up to the end of the line, or up to and including `end`.
    fn until(&mut self, end: char) -> (String, bool) {
        let mut text = String::new();
        while let Some(c) = self.next() {
            if c == end || c == '\n' {
                return (text, c == end);
            }
            text.push(c);
        }
        (text, false)
    }

    fn entry(&mut self, found: &mut Dotenv) {
        let line = self.line;
        while self
            .chars
            .next_if(|c| *c == ' ' || *c == '\t' || *c == '\r')
            .is_some()
        {}
        if matches!(self.chars.peek(), Some('#' | ';' | '\n') | None) {
            self.until('\n');
            return;
        }
        let (name, has_value) = self.until('=');
        let name = name.trim();
        let name = name.strip_prefix("export ").unwrap_or(name).trim();
        let mut warn = |what: String| found.warnings.push((line, what));
        if !has_value {
            return warn(format!("`{name}` has no value: write NAME=VALUE"));
        }
        if !portkeep_spec::environment_file::is_variable_name(name) {
            self.value();
            return warn(format!(
                "`{name}` is no name of a variable: letters, digits and _ are, and no digit at the beginning"
            ));
        }
        let blank = |c: &char| *c == ' ' || *c == '\t';
        while self.chars.next_if(blank).is_some() {}
        let is_quoted = matches!(self.chars.peek(), Some('"' | '\''));
        let (value, expands, is_closed) = self.value();
        if !is_closed {
            return warn(format!(
                "the quotes of {name} are not closed: it is left out"
            ));
        }
        if value.contains('\0') {
            return warn(format!("{name} contains a NUL character: it is left out"));
        }
        if !is_quoted && value.contains(" #") {
            warn(format!(
                "` #` in {name} begins no comment: it is a part of the value; quotes say that this is meant"
            ));
        }
        if let Some(other) = expands {
            warn(format!(
                "`{other}` in {name} is taken as it is: variables are not replaced; single quotes say that this is meant"
            ));
        }
        found.variables.insert(name.to_owned(), value);
    }

    /// A value; the variable that other tools would expand in it; and whether its quotes are closed.
    fn value(&mut self) -> (String, Option<String>, bool) {
        let (mut value, mut expands) = (String::new(), None);
        let mut quotes = None;
        // White space at the end counts only in quotes.
        let mut end = 0;
        while let Some(c) = self.next() {
            match (quotes, c) {
                (None, '\n') => break,
                (None, ' ' | '\t' | '\r') if value.is_empty() && end == 0 => continue,
                (None, '\'') => {
                    quotes = Some(Quotes::Single);
                    continue;
                }
                (None, '"') => {
                    quotes = Some(Quotes::Double);
                    continue;
                }
                (Some(Quotes::Single), '\'') | (Some(Quotes::Double), '"') => {
                    quotes = None;
                    end = value.len();
                    continue;
                }
                (None, '\\') => match self.next() {
                    Some('\n') | None => {}
                    Some(c) => value.push(c),
                },
                (Some(Quotes::Double), '\\') => match self.next() {
                    Some(c @ ('"' | '\\' | '$' | '`')) => value.push(c),
                    Some('\n') | None => {}
                    Some(c) => value.extend(['\\', c]),
                },
                (None | Some(Quotes::Double), '$') => {
                    expands = expands.or_else(|| self.variable());
                    value.push('$');
                }
                (_, c) => value.push(c),
            }
            if quotes.is_some() || !value.ends_with([' ', '\t', '\r']) {
                end = value.len();
            }
        }
        value.truncate(end);
        (value, expands, quotes.is_none())
    }

    /// The name of a variable after `$`, as it is written.
    fn variable(&self) -> Option<String> {
        let mut ahead = self.chars.clone();
        let is_braced = ahead.next_if_eq(&'{').is_some();
        let mut name = String::new();
        while let Some(c) = ahead.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
            name.push(c);
        }
        let is_name = portkeep_spec::environment_file::is_variable_name(&name);
        match is_braced {
            true => (is_name && ahead.next() == Some('}')).then(|| format!("${{{name}}}")),
            // `pa$word` is rather a password than a variable.
            false => (is_name && name.chars().all(|c| !c.is_ascii_lowercase()))
                .then(|| format!("${name}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(line: &str) -> String {
        let found = parse(line);
        assert_eq!(found.warnings, [], "{line}");
        found.variables["A"].clone()
    }

    #[test]
    fn values_are_taken_by_the_rules_of_systemd() {
        for (line, expected) in [
            ("A=My App", "My App"),
            ("A=  padded \t", "padded"),
            ("A=\"pa$word\"", "pa$word"),
            ("A='$HOME \\n \"x\"'", "$HOME \\n \"x\""),
            ("A=\"a \\\"b\\\" \\\\ \\$x \\n\"", "a \"b\" \\ $x \\n"),
            ("A=a\\ b\\\\", "a b\\"),
            ("A=one\\\ntwo", "onetwo"),
            ("A=\"one\ntwo\"", "one\ntwo"),
            ("A=' x '", " x "),
            ("A=\"x # no comment\"", "x # no comment"),
            ("A=x#1", "x#1"),
            ("export A=1", "1"),
            ("# c\n; c\n\n  A=\r\n", ""),
            ("A=https://h/?a=b&c", "https://h/?a=b&c"),
            ("A=\u{fc}", "\u{fc}"),
        ] {
            assert_eq!(value(line), expected, "{line:?}");
        }
    }

    #[test]
    fn what_may_be_meant_otherwise_is_told_with_its_line() {
        let found = parse(
            "A=1\nB\n2C=3\nD=\"http://${HOST}/$PORT\"\nE=$HOME\nF='a #b'\nG=a #b\nH=\"open\n",
        );
        let told: Vec<_> = found
            .warnings
            .iter()
            .map(|(line, what)| format!("{line}: {}", what.split(':').next().unwrap()))
            .collect();
        assert_eq!(
            told,
            [
                "2: `B` has no value",
                "3: `2C` is no name of a variable",
                "4: `${HOST}` in D is taken as it is",
                "5: `$HOME` in E is taken as it is",
                "7: ` #` in G begins no comment",
                "8: the quotes of H are not closed",
            ]
        );
        let names: Vec<_> = found.variables.keys().map(String::as_str).collect();
        assert_eq!(names, ["A", "D", "E", "F", "G"]);
        assert_eq!(found.variables["D"], "http://${HOST}/$PORT");
    }
}
