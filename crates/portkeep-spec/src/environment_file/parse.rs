//! Parser of the environment files that portkeep writes, for backends without systemd and for tests.

use std::collections::BTreeMap;

use super::is_variable_name;
use portkeep_contract::{PORTKEEP_ARGS, PORTKEEP_ARGV0};

/// Why a text is not an environment file of the grammar that [`render`](super::render) writes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct ParseError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: &'static str,
}

/// Variables and arguments, as [`parse`] finds them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parsed {
    /// The variables, without `PORTKEEP_ARGV0` and `PORTKEEP_ARGS`.
    pub environment: BTreeMap<String, String>,
    /// `argv[0]`.
    pub argv0: String,
    /// The arguments.
    pub args: Vec<String>,
}

/// Reads what [`render`](super::render) wrote.
///
/// # Errors
/// When the text is not of that form.
pub fn parse(text: &str) -> Result<Parsed, ParseError> {
    let mut parsed = Parsed::default();
    let mut rest = Cursor { text, line: 1 };
    while !rest.text.is_empty() {
        let start = rest.line;
        let name = rest.until('=')?;
        if !is_variable_name(&name) {
            return Err(ParseError {
                line: start,
                problem: "not the name of a variable",
            });
        }
        let value = rest.quoted(|c| matches!(c, '"' | '\\' | '$' | '`'))?;
        rest.expect('\n', "a line break must follow the closing quote")?;
        let words = |value| {
            split(value).map_err(|error| ParseError {
                line: start,
                ..error
            })
        };
        match name.as_str() {
            PORTKEEP_ARGS => parsed.args = words(&value)?,
            PORTKEEP_ARGV0 => parsed.argv0 = words(&value)?.concat(),
            _ => {
                parsed.environment.insert(name, value);
            }
        }
    }
    Ok(parsed)
}

fn split(joined: &str) -> Result<Vec<String>, ParseError> {
    let mut args = Vec::new();
    let mut rest = Cursor {
        text: joined,
        line: 1,
    };
    while !rest.text.is_empty() {
        if !args.is_empty() {
            rest.expect(' ', "a space must separate the arguments")?;
        }
        args.push(rest.quoted(|_| true)?);
    }
    Ok(args)
}

struct Cursor<'a> {
    text: &'a str,
    line: usize,
}

impl Cursor<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.text.chars().next()?;
        self.text = &self.text[c.len_utf8()..];
        self.line += usize::from(c == '\n');
        Some(c)
    }

    fn error(&self, problem: &'static str) -> ParseError {
        ParseError {
            line: self.line,
            problem,
        }
    }

    fn expect(&mut self, wanted: char, problem: &'static str) -> Result<(), ParseError> {
        let error = self.error(problem);
        if self.next() == Some(wanted) {
            Ok(())
        } else {
            Err(error)
        }
    }

    fn until(&mut self, end: char) -> Result<String, ParseError> {
        let error = self.error("a line must be NAME=\"VALUE\"");
        let mut found = String::new();
        loop {
            match self.next() {
                Some(c) if c == end => return Ok(found),
                Some('\n') | None => return Err(error),
                Some(c) => found.push(c),
            }
        }
    }

    /// A text in double quotes, where a backslash escapes some characters and stands for itself before others.
    fn quoted(&mut self, is_escapable: impl Fn(char) -> bool) -> Result<String, ParseError> {
        self.expect('"', "a value must stand in double quotes")?;
        let open = self.error("a double quote is never closed");
        let mut value = String::new();
        loop {
            match self.next().ok_or_else(|| open.clone())? {
                '"' => return Ok(value),
                '\\' => {
                    let c = self.next().ok_or_else(|| open.clone())?;
                    if !is_escapable(c) {
                        value.push('\\');
                    }
                    value.push(c);
                }
                c => value.push(c),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_texts_are_refused_with_their_line() {
        for (text, line) in [
            ("A", 1),
            ("A=1\n", 1),
            ("A=\"1", 1),
            ("A=\"1\"", 1),
            ("A=\"1\"x\n", 1),
            ("A=\"1\"\n# comment\n", 2),
            ("A=\"1\n2\"\n1=\"\"\n", 3),
            ("PORTKEEP_ARGS=\"a\"\n", 1),
        ] {
            assert_eq!(parse(text).unwrap_err().line, line, "{text:?}");
        }
    }
}
