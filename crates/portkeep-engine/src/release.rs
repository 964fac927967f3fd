//! What a generation runs.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The name of a release: 32 hexadecimal digits over executable, arguments and environment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(pub(crate) String);

impl Digest {
    /// The first twelve digits, as people read it.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }

    /// All digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.short())
    }
}

/// What tells one state of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    modified_nanoseconds: i128,
    changed_nanoseconds: i128,
}

impl From<&Metadata> for Identity {
    fn from(metadata: &Metadata) -> Self {
        let nanoseconds =
            |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified_nanoseconds: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed_nanoseconds: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// One release: an executable with its arguments and environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// Names it.
    pub digest: Digest,
    /// Where the executable was found.
    pub source: PathBuf,
    /// What is run: a copy that no build overwrites, or the file itself where files never change.
    pub executable: PathBuf,
    /// Arguments, without the executable.
    pub arguments: Vec<String>,
    /// The state of the files it was taken from.
    pub identities: Vec<Identity>,
    /// Environment of the app. Kept in a file of its own (mode 0600), since it may hold secrets.
    #[serde(skip)]
    pub environment: BTreeMap<String, String>,
}

impl Release {
    /// Whether it was taken from files in that state, with these arguments and variables.
    pub(crate) fn is_taken_from(
        &self,
        identities: &[Identity],
        arguments: &[String],
        environment: &BTreeMap<String, String>,
    ) -> bool {
        self.identities == identities
            && self.arguments == arguments
            && self.environment == *environment
    }
}
