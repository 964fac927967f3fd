//! The only writer to standard output and standard error. `clippy.toml` forbids every other, so that no command can forget to
//! escape text of other programs.
#![expect(clippy::disallowed_methods, reason = "this is the place")]

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::OnceLock;

use anstream::{AutoStream, ColorChoice};
use serde::Serialize;

use super::foreign::{steers, visible};
use super::text::Text;

/// Standard output, to ask what it is.
pub(crate) fn stdout() -> impl AsFd + IsTerminal {
    io::stdout()
}

/// Standard error, to ask what it is.
pub(crate) fn stderr() -> impl AsFd + IsTerminal {
    io::stderr()
}

/// The first error of standard output. Whoever has closed it reads no more, which is none.
static LOST: OnceLock<io::Error> = OnceLock::new();

/// A line on standard output.
pub(crate) fn print(text: impl Into<Text>) {
    note(writeln!(anstream::stdout(), "{}", text.into()));
}

/// Lines on standard output, with one write.
pub(crate) fn print_all(lines: impl Iterator<Item = Text>) {
    let choice = anstream::stdout().current_choice();
    let bytes = rendered(lines, choice);
    let mut out = io::stdout().lock();
    note(out.write_all(&bytes).and_then(|()| out.flush()));
}

/// Lines with their colours, if somebody wants those.
fn rendered(lines: impl Iterator<Item = Text>, choice: ColorChoice) -> Vec<u8> {
    let mut out = AutoStream::new(Vec::new(), choice);
    for line in lines {
        // Memory takes everything.
        let _ = writeln!(out, "{line}");
    }
    out.into_inner()
}

/// A line on standard error.
pub(crate) fn print_error(text: impl Into<Text>) {
    let _ = writeln!(anstream::stderr(), "{}", text.into());
}

/// A line at once, for somebody who follows. False when nobody reads any more.
pub(crate) fn follow(text: impl Into<Text>) -> io::Result<bool> {
    let mut out = anstream::stdout().lock();
    reads(writeln!(out, "{}", text.into()).and_then(|()| out.flush()))
}

/// The same as JSON, in one line.
pub(crate) fn follow_json(value: &impl Serialize) -> anyhow::Result<bool> {
    let json = harmless(&serde_json::to_string(value)?);
    let mut out = io::stdout().lock();
    Ok(reads(writeln!(out, "{json}").and_then(|()| out.flush()))?)
}

/// Prints a value as JSON, indented for people and stable for programs.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    let json = harmless(&serde_json::to_string_pretty(value)?);
    writeln!(io::stdout(), "{json}")?;
    Ok(())
}

/// What is ours from the first byte to the last, and no text for people: a script for a shell.
pub(crate) fn raw(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// What a compiler or a check wrote on its terminal, as it wrote it: the developer would see the same without us.
pub(crate) fn relay(bytes: &[u8]) {
    let _ = io::stderr().write_all(bytes);
}

/// The same where it may have colours that this terminal does not show.
pub(crate) fn relay_text(text: &str) {
    let _ = write!(anstream::stderr(), "{text}");
}

/// What could not be written, if anything.
pub(crate) fn lost() -> Option<&'static io::Error> {
    LOST.get()
}

/// Standard error for `tracing`, which writes an event at once.
#[derive(Debug)]
pub(crate) struct Warnings;

impl Write for Warnings {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        io::stderr().write_all(visible(&text).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// The same value, without a character in it that a terminal obeys. serde_json writes out those below the blank, and
/// the others stand nowhere but in strings.
fn harmless(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if c != '\n' && steers(c) {
            text.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            text.push(c);
        }
    }
    text
}

fn note(written: io::Result<()>) {
    if let Err(error) = written
        && error.kind() != ErrorKind::BrokenPipe
    {
        let _ = LOST.set(error);
    }
}

fn reads(written: io::Result<()>) -> io::Result<bool> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        other => other.map(|()| true),
    }
}

#[cfg(test)]
mod tests {
    use anstyle::AnsiColor;

    use super::*;

    #[test]
    fn many_lines_are_the_same_as_one_after_another() {
        let line = |words: &str| {
            Text::styled(AnsiColor::Red.on_default(), words) + Text::in_colour("\x1b[1m!")
        };
        let lines = || ["a", "b\x1b[2J"].map(line).into_iter();
        let plain = rendered(lines(), ColorChoice::Never);
        assert_eq!(String::from_utf8(plain).unwrap(), "a!\nb\\x1b[2J!\n");
        let coloured = rendered(lines(), ColorChoice::AlwaysAnsi);
        let one_by_one: String = lines().map(|line| format!("{line}\n")).collect();
        assert_eq!(String::from_utf8(coloured).unwrap(), one_by_one);
    }

    #[test]
    fn json_is_the_same_value_and_harmless() {
        let value = serde_json::json!({ "a\u{9b}": "\x1b[2J \u{9b}2J \x7f \u{202e} ü\n" });
        let text = harmless(&serde_json::to_string_pretty(&value).unwrap());
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).unwrap(),
            value
        );
        assert!(!text.contains(|c| c != '\n' && steers(c)), "{text}");
    }
}
