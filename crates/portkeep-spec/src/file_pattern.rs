//! Patterns of the files that a release brings along.

use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use globset::{GlobBuilder, GlobMatcher};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, Serializer};

/// A path below `filesFrom`, or a pattern of such paths: `"templates"`, `"static/**/*.css"`. It cannot lead out of
/// `filesFrom`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FilePattern(String);

/// One step of a [`FilePattern`], from a directory to its entries.
#[derive(Debug, Clone)]
pub enum PatternStep {
    /// The entry of this name.
    Name(String),
    /// All entries whose names match. A name that begins with a dot only matches a pattern that does.
    Matching(Matching),
    /// All directories below, except those whose names begin with a dot.
    Deeper,
}

/// A pattern of names.
#[derive(Debug, Clone)]
pub struct Matching {
    glob: GlobMatcher,
    of_hidden: bool,
}

/// Why a text is no pattern of files.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FilePatternError {
    /// The text is empty.
    #[error(
        "is empty; write a path or a pattern below `filesFrom`, like \"static\" or \"templates/*.html\""
    )]
    Empty,
    /// It begins with `/`.
    #[error("{0:?} is absolute; write it relative to `filesFrom`, which may be any directory")]
    Absolute(String),
    /// It has `..` in it.
    #[error("{0:?} leads out of `filesFrom` by \"..\"; name a directory above as `filesFrom`")]
    Leaves(String),
    /// A NUL character.
    #[error("{0:?} contains a NUL character, which no path can have")]
    Nul(String),
    /// A pattern that cannot be read.
    #[error("{pattern:?} is no pattern: {why}")]
    Unreadable {
        /// The pattern.
        pattern: String,
        /// Its mistake.
        why: String,
    },
}

impl FilePattern {
    /// The steps from `filesFrom` to the files. No step means everything in it.
    ///
    /// A final `**` is left out: a directory is brought with everything in it anyway.
    #[must_use]
    pub fn steps(&self) -> Vec<PatternStep> {
        // It was parsed before, when this value was made.
        steps(&self.0).unwrap_or_default()
    }

    /// The longest path that contains or is every file of this pattern.
    #[must_use]
    pub fn literal_part(&self) -> PathBuf {
        let steps = self.steps().into_iter();
        steps
            .map_while(|step| match step {
                PatternStep::Name(name) => Some(name),
                PatternStep::Matching(_) | PatternStep::Deeper => None,
            })
            .collect()
    }
}

impl PatternStep {
    /// Whether the step matches this name.
    #[must_use]
    pub fn leads_to(&self, name: &str) -> bool {
        let is_hidden = name.starts_with('.');
        match self {
            Self::Name(own) => own == name,
            Self::Matching(matching) => {
                (matching.of_hidden || !is_hidden) && matching.glob.is_match(name)
            }
            Self::Deeper => !is_hidden,
        }
    }
}

fn steps(pattern: &str) -> Result<Vec<PatternStep>, FilePatternError> {
    if pattern.trim().is_empty() {
        return Err(FilePatternError::Empty);
    }
    if pattern.contains('\0') {
        return Err(FilePatternError::Nul(pattern.to_owned()));
    }
    let mut steps = Vec::new();
    for component in Path::new(pattern).components() {
        let part = match component {
            Component::CurDir => continue,
            Component::RootDir | Component::Prefix(_) => {
                return Err(FilePatternError::Absolute(pattern.to_owned()));
            }
            Component::ParentDir => return Err(FilePatternError::Leaves(pattern.to_owned())),
            Component::Normal(part) => part.to_str().unwrap_or_default(),
        };
        steps.push(step(part).map_err(|why| FilePatternError::Unreadable {
            pattern: pattern.to_owned(),
            why,
        })?);
    }
    while matches!(steps.last(), Some(PatternStep::Deeper)) {
        steps.pop();
    }
    Ok(steps)
}

fn step(part: &str) -> Result<PatternStep, String> {
    if part == "**" {
        return Ok(PatternStep::Deeper);
    }
    if !part.contains(['*', '?', '[', ']', '{', '}', '\\']) {
        return Ok(PatternStep::Name(part.to_owned()));
    }
    let glob = GlobBuilder::new(part).backslash_escape(true).build();
    let glob = glob.map_err(|error| error.kind().to_string())?;
    Ok(PatternStep::Matching(Matching {
        glob: glob.compile_matcher(),
        of_hidden: part.starts_with('.'),
    }))
}

impl FromStr for FilePattern {
    type Err = FilePatternError;

    fn from_str(text: &str) -> Result<Self, FilePatternError> {
        steps(text).map(|_| Self(text.to_owned()))
    }
}

impl fmt::Display for FilePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for FilePattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for FilePattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for FilePattern {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FilePattern".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A path below `filesFrom`, or a pattern of such paths.",
            "pattern": "^[^/].*$",
            "examples": ["static", "templates/*.html", "assets/**/*.css"]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(pattern: &str) -> Vec<String> {
        let pattern: FilePattern = pattern.parse().unwrap();
        let names = pattern.steps().into_iter().map(|step| match step {
            PatternStep::Name(name) => name,
            PatternStep::Matching(_) => "?".to_owned(),
            PatternStep::Deeper => "**".to_owned(),
        });
        names.collect()
    }

    #[test]
    fn a_pattern_is_read_as_steps() {
        for (pattern, expected, literal) in [
            ("static", &["static"][..], "static"),
            ("./static//css/", &["static", "css"], "static/css"),
            ("static/**", &["static"], "static"),
            ("a/**/*.css", &["a", "**", "?"], "a"),
            ("*.html", &["?"], ""),
            (".", &[], ""),
            ("**", &[], ""),
            ("[ab]/x", &["?", "x"], ""),
        ] {
            assert_eq!(names(pattern), expected, "{pattern}");
            let pattern: FilePattern = pattern.parse().unwrap();
            assert_eq!(pattern.literal_part(), Path::new(literal), "{pattern}");
        }
    }

    #[test]
    fn names_are_matched_as_a_shell_does() {
        for (pattern, name, expected) in [
            ("*.css", "a.css", true),
            ("*.css", "a.css.map", false),
            ("*", ".env", false),
            (".*", ".env", true),
            ("a?", "ab", true),
            ("{a,b}.js", "b.js", true),
            ("[!a]*", "b", true),
            ("x", "x", true),
            (r"\*", "*", true),
            (r"\*", "a", false),
        ] {
            let steps = pattern.parse::<FilePattern>().unwrap().steps();
            assert_eq!(steps[0].leads_to(name), expected, "{pattern} {name}");
        }
        assert!(PatternStep::Deeper.leads_to("css"));
        assert!(!PatternStep::Deeper.leads_to(".git"));
    }

    #[test]
    fn what_leads_out_or_cannot_be_read_is_refused() {
        for (pattern, why) in [
            ("", "is empty"),
            ("  ", "is empty"),
            ("/etc", "is absolute"),
            ("..", "leads out"),
            ("a/../../b", "leads out"),
            ("a/../b", "leads out"),
            ("a\0", "NUL"),
            ("[a", "is no pattern"),
            ("{a", "is no pattern"),
        ] {
            let error = pattern.parse::<FilePattern>().unwrap_err().to_string();
            assert!(error.contains(why), "{pattern:?}: {error}");
        }
    }
}
