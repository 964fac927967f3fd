//! Diagnostics of a compiler, and warnings in the output of a check (`cargo clippy`, `cargo test`), which are folded as
//! those of a build.

use anstream::adapter::strip_str;
use serde::Serialize;

/// One diagnostic, or the output of a program, with the colours of a terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Part {
    pub(crate) level: Level,
    pub(crate) text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    Error,
    Warning,
}

/// Separates the warnings from the output of a failed command; the rest keeps its order.
pub(crate) fn parts(output: &str) -> Vec<Part> {
    let mut rest = String::new();
    let mut warnings = Vec::new();
    let mut lines = output.lines().peekable();
    while let Some(line) = lines.next() {
        // The next line says where. Other lines that begin with "warning" are the command's own.
        let is_warning = is_headline(line) && lines.peek().is_some_and(|next| is_place(next));
        if !is_warning {
            push_line(&mut rest, line);
            continue;
        }
        let mut text = line.to_owned();
        // An empty line ends it.
        for line in lines.by_ref().take_while(|line| !bare(line).is_empty()) {
            push_line(&mut text, line);
        }
        warnings.push(text);
    }
    let of = |level| move |text| Part { level, text };
    let rest = Some(rest.trim_end().to_owned()).filter(|rest| !bare(rest).is_empty());
    rest.into_iter()
        .map(of(Level::Error))
        .chain(warnings.into_iter().map(of(Level::Warning)))
        .collect()
}

fn push_line(text: &mut String, line: &str) {
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(line);
}

fn is_headline(line: &str) -> bool {
    bare(line)
        .strip_prefix("warning")
        .is_some_and(|rest| rest.starts_with([':', '[']))
}

fn is_place(line: &str) -> bool {
    bare(line).starts_with("--> ")
}

/// Without colours and surrounding space.
fn bare(line: &str) -> String {
    strip_str(line).to_string().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(output: &str) -> Vec<(Level, String)> {
        let parts = parts(output).into_iter();
        parts.map(|part| (part.level, part.text)).collect()
    }

    #[test]
    fn warnings_are_taken_out_and_all_else_stays_in_its_order() {
        let output = "\u{1b}[1m    Checking\u{1b}[0m pages\n\
            \u{1b}[33mwarning\u{1b}[0m: unused variable: `a`\n  \u{1b}[34m-->\u{1b}[0m src/main.rs:2:9\n   |\n2 | let a = 1;\n\n\
            error: no\n --> src/main.rs:3:1\n  |\n\n\
            warning: `pages` generated 1 warning\nerror: could not compile";
        assert_eq!(
            all(output),
            [
                (
                    Level::Error,
                    "\u{1b}[1m    Checking\u{1b}[0m pages\nerror: no\n --> src/main.rs:3:1\n  |\n\n\
                     warning: `pages` generated 1 warning\nerror: could not compile"
                        .to_owned()
                ),
                (
                    Level::Warning,
                    "\u{1b}[33mwarning\u{1b}[0m: unused variable: `a`\n  \u{1b}[34m-->\u{1b}[0m src/main.rs:2:9\n   |\n2 | let a = 1;"
                        .to_owned()
                ),
            ]
        );
    }

    #[test]
    fn what_has_no_warnings_stays_as_it_is() {
        let output = "running 1 test\ntest a ... FAILED\n\npanicked at src/lib.rs:3:5";
        assert_eq!(all(output), [(Level::Error, output.to_owned())]);
        assert_eq!(all("\n"), []);
    }
}
