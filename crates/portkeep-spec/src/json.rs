//! Specs as JSON text.

mod duplicates;

use std::path::Path;

use crate::nearest::nearest;
use crate::{Problem, Spec, SpecError, small_file};

/// The longest spec that is read, in bytes: a hundred times the longest that was ever needed.
const LONGEST: u64 = 1024 * 1024;

impl Spec {
    /// Reads a spec and checks its rules. Paths stay as written; see [`resolve`](Self::resolve).
    ///
    /// # Errors
    /// When the text is not JSON, has a key twice, an unknown field or a wrong value, or breaks a rule.
    pub fn from_json(text: &str) -> Result<Self, SpecError> {
        duplicates::refuse(text)?;
        let mut json = serde_json::Deserializer::from_str(text);
        let spec: Self = serde_path_to_error::deserialize(&mut json).map_err(explain)?;
        json.end().map_err(|error| SpecError::Syntax {
            problem: error.to_string(),
        })?;
        spec.validate()?;
        Ok(spec)
    }

    /// Reads the spec in a regular file of at most 1 MiB; relative paths in it start at the file's directory. A FIFO or a
    /// device is refused without waiting for it.
    ///
    /// # Errors
    /// When the file cannot be read, is no regular file or too long, or as [`from_json`](Self::from_json).
    pub fn load(path: &Path) -> Result<Self, SpecError> {
        let failed = |source| SpecError::Read {
            path: path.to_owned(),
            source,
        };
        let text = small_file::read_text(path, LONGEST).map_err(failed)?;
        let spec = Self::from_json(&text)?;
        let file = std::path::absolute(path).map_err(|error| failed(error.into()))?;
        Ok(spec.resolve(file.parent().unwrap_or(Path::new("/"))))
    }

    /// Whether the file that [`to_json`](Self::to_json) makes could be read again: it is longer than what people write, with
    /// every field and absolute paths.
    pub(crate) fn check_written_length(&self) -> Result<(), SpecError> {
        let length = self.to_json().len();
        match usize::try_from(LONGEST) {
            Ok(limit) if length > limit => {
                Err(Problem::TooLong { length, limit }.at("the spec, written out"))
            }
            _ => Ok(()),
        }
    }

    /// Writes the spec with every field, indented, with a newline at the end.
    ///
    /// Only of a spec that [validates](Self::validate): a path that is not UTF-8 cannot be written, and the text is
    /// `null` then.
    #[must_use]
    pub fn to_json(&self) -> String {
        let value = serde_json::to_value(self).unwrap_or_default();
        format!("{value:#}\n")
    }
}

fn explain(error: serde_path_to_error::Error<serde_json::Error>) -> SpecError {
    let path = error.path().to_string();
    let inner = error.into_inner();
    if matches!(
        inner.classify(),
        serde_json::error::Category::Syntax | serde_json::error::Category::Eof
    ) {
        return SpecError::Syntax {
            problem: inner.to_string(),
        };
    }
    let message = without_position(&inner);
    let field = if path == "." { "spec".to_owned() } else { path };
    match unknown_field(&message) {
        Some((name, known)) => {
            let hint = match nearest(name, known.iter().copied()) {
                Some(meant) => format!("did you mean {meant:?}?"),
                None => format!("known are {}", known.join(", ")),
            };
            // Depending on the depth the path ends with the unknown name or with the field that holds it.
            let parent = field
                .strip_suffix(name)
                .map_or(field.as_str(), |parent| parent.trim_end_matches('.'));
            let field = if matches!(parent, "" | "spec") {
                name.to_owned()
            } else {
                format!("{parent}.{name}")
            };
            SpecError::UnknownField { field, hint }
        }
        None => SpecError::Value {
            field,
            problem: message,
        },
    }
}

/// serde_json appends " at line 3 column 7", which the path of the field says better.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&position).unwrap_or(&text).to_owned()
}

/// Takes serde's "unknown field `x`, expected one of `a`, `b`" apart.
fn unknown_field(message: &str) -> Option<(&str, Vec<&str>)> {
    let (name, expected) = message
        .strip_prefix("unknown field `")?
        .split_once("`, expected ")?;
    Some((name, expected.split('`').skip(1).step_by(2).collect()))
}
