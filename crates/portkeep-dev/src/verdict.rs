//! Verdict: whether the saved sources serve. `portkeep dev wait` and `--json` print it.

use anstream::adapter::strip_str;
use serde::{Deserialize, Serialize};

use super::diagnostics::Level;
use super::failure::Failure;

/// The version of this shape. A field more does not change it.
pub const VERDICT_VERSION: u32 = 1;

/// Whether what is saved serves, and what is in its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// [`VERDICT_VERSION`].
    pub version: u32,
    /// The app; `None` where no `portkeep dev` was found that could say it.
    pub app: Option<String>,
    /// What was found.
    pub result: Found,
    /// The generation that serves; `None` where none does. One that was idle and has ended starts again with the next connection.
    pub generation: Option<u64>,
    /// What is wrong, in one line; `None` where what is saved serves.
    pub reason: Option<String>,
    /// What a compiler, a check or the app has said of it, errors first.
    pub diagnostics: Vec<Diagnostic>,
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Found {
    /// What is saved serves.
    Serves,
    /// It does not.
    Fails,
    /// The time that was given was over before it could be said.
    Late,
    /// No `portkeep dev` runs, or none that can be asked.
    NotRunning,
}

/// One message of a compiler, or what a check or the app has written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagnostic {
    /// How bad it is.
    pub level: Severity,
    /// The file that it is about, as it was written: relative to the workspace, most often. `None` where none is named.
    pub file: Option<String>,
    /// The line in it, from 1.
    pub line: Option<u32>,
    /// The column in it, from 1.
    pub column: Option<u32>,
    /// All of it, without colours.
    pub text: String,
}

/// How bad a diagnostic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// It is why nothing newer serves.
    Error,
    /// It may have to do with it.
    Warning,
}

impl Verdict {
    /// Of an app that serves what is saved.
    pub(crate) fn serves(generation: Option<u64>) -> Self {
        Self {
            version: VERDICT_VERSION,
            app: None,
            result: Found::Serves,
            generation,
            reason: None,
            diagnostics: Vec::new(),
        }
    }

    /// Of one that does not.
    pub(crate) fn fails(generation: Option<u64>, failure: &Failure) -> Self {
        let parts = failure.parts.iter().filter(|part| !part.text.is_empty());
        Self {
            result: Found::Fails,
            reason: Some(plain(&failure.title)),
            diagnostics: parts
                .map(|part| Diagnostic::new(part.level, &part.text))
                .collect(),
            ..Self::serves(generation)
        }
    }

    /// Where nothing can be said, and why.
    #[must_use]
    pub fn unknown(app: Option<String>, result: Found, reason: String) -> Self {
        Self {
            app,
            result,
            reason: Some(reason),
            ..Self::serves(None)
        }
    }
}

impl Diagnostic {
    pub(crate) fn new(level: Level, text: &str) -> Self {
        let text = plain(text);
        let place = text.lines().find_map(place);
        let (file, line, column) = match place {
            Some((file, line, column)) => (Some(file.to_owned()), Some(line), Some(column)),
            None => (None, None, None),
        };
        Self {
            level: match level {
                Level::Error => Severity::Error,
                Level::Warning => Severity::Warning,
            },
            file,
            line,
            column,
            text,
        }
    }
}

fn plain(text: &str) -> String {
    strip_str(text).to_string()
}

/// As rustc writes it: `  --> src/main.rs:3:1`; and a panic: `panicked at src/main.rs:3:1:`.
fn place(line: &str) -> Option<(&str, u32, u32)> {
    let line = line.trim_start().trim_end();
    let named = line.strip_prefix("--> ").or_else(|| {
        let (_, place) = line.split_once("panicked at ")?;
        Some(place.strip_suffix(':').unwrap_or(place))
    })?;
    let (rest, column) = named.rsplit_once(':')?;
    let (file, line) = rest.rsplit_once(':')?;
    Some((file, line.parse().ok()?, column.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostics::Part;

    #[test]
    fn a_diagnostic_names_its_place_and_has_no_colours() {
        let of = |text: &str| {
            let found = Diagnostic::new(Level::Error, text);
            (found.file, found.line, found.column)
        };
        let at = |file: &str, line, column| (Some(file.to_owned()), Some(line), Some(column));
        let rustc =
            "\u{1b}[31merror[E0425]\u{1b}[0m: no\n  \u{1b}[34m--> \u{1b}[0msrc/a:b.rs:12:3\n   |";
        assert_eq!(of(rustc), at("src/a:b.rs", 12, 3));
        let panic = "thread 'main' (7) panicked at src/main.rs:4:5:\nno database";
        assert_eq!(of(panic), at("src/main.rs", 4, 5));
        for text in ["", "--> nowhere", "--> a:b:c", "it exited with 101"] {
            assert_eq!(of(text), (None, None, None), "{text}");
        }
        assert!(!Diagnostic::new(Level::Error, rustc).text.contains('\u{1b}'));
    }

    #[test]
    fn what_fails_says_why_and_what_was_said() {
        let part = Part {
            level: Level::Warning,
            text: "unused".to_owned(),
        };
        let failure = Failure::new("the build failed", vec![part]);
        let verdict = Verdict::fails(Some(3), &failure);
        let text = serde_json::to_string(&verdict).unwrap();
        assert_eq!(
            text,
            r#"{"version":1,"app":null,"result":"fails","generation":3,"reason":"the build failed","diagnostics":[{"level":"warning","file":null,"line":null,"column":null,"text":"unused"}]}"#
        );
        assert_eq!(serde_json::from_str::<Verdict>(&text).unwrap(), verdict);
    }
}
