//! Verdict: whether the saved sources serve. `portkeep dev wait` and `--json` print it.

use anstream::adapter::strip_str;
use serde::{Deserialize, Serialize};

use super::diagnostics::Level;
use super::failure::Failure;

/// Version of this shape. A new field does not change it.
pub const VERDICT_VERSION: u32 = 1;

/// Whether the saved sources serve, and what prevents it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// [`VERDICT_VERSION`].
    pub version: u32,
    /// The app; `None` if no running `portkeep dev` named it.
    pub app: Option<String>,
    /// The result.
    pub result: Found,
    /// The generation that serves; `None` if none does. One that ended when it was idle starts again with the next
    /// connection.
    pub generation: Option<u64>,
    /// The failure in one line; `None` if the saved sources serve.
    pub reason: Option<String>,
    /// Messages of a compiler, a check or the app, errors first.
    pub diagnostics: Vec<Diagnostic>,
}

/// Result of a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Found {
    /// The saved sources serve.
    Serves,
    /// They do not.
    Fails,
    /// The time limit was over before there was a result.
    Late,
    /// No `portkeep dev` runs that can be asked.
    NotRunning,
}

/// One message of a compiler, or the output of a check or of the app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagnostic {
    /// Its severity.
    pub level: Severity,
    /// The file as the message names it, usually relative to the workspace. `None` if it names none.
    pub file: Option<String>,
    /// The line, from 1.
    pub line: Option<u32>,
    /// The column, from 1.
    pub column: Option<u32>,
    /// The whole message, without colours.
    pub text: String,
}

/// Severity of a diagnostic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// It prevents newer sources from serving.
    Error,
    /// It may be related.
    Warning,
}

impl Verdict {
    /// The verdict for an app that serves the saved sources.
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

    /// The verdict for an app that does not.
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

    /// No result, and why.
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

/// A place as rustc writes it, `  --> src/main.rs:3:1`, and as a panic does, `panicked at src/main.rs:3:1:`.
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
