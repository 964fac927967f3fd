//! A build of the fixture: the same program with another trailer behind it.
//!
//! Compiling a program for each version would take minutes. The loader ignores what follows an ELF
//! image, so `probe` reads its behaviour from the end of its own file.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Ends a stamped file. Before it: the JSON, then its length in eight bytes, little-endian.
const MAGIC: &[u8; 16] = b"portkeep-probe-1";
const FOOTER: usize = MAGIC.len() + 8;

/// What a build of the fixture does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Behaviour {
    /// What it answers in `x-version`.
    pub version: String,
    /// How long its start takes, in milliseconds in the file.
    #[serde(rename = "startDelayMs", with = "milliseconds", default)]
    pub start_delay: Duration,
    /// Whether and how it fails.
    #[serde(default)]
    pub mode: Mode,
}

/// Whether and how a build of the fixture fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Mode {
    /// It serves.
    #[default]
    Ok,
    /// It exits with [`EXIT_CODE`] after its start delay.
    Exit,
    /// It writes so many lines, numbered from 1, and exits with [`EXIT_CODE`].
    ExitAfterLines {
        /// How many.
        lines: u32,
    },
    /// It runs but never says READY.
    NeverReady,
    /// The same, and SIGTERM does not end it.
    NeverReadyDeaf,
    /// It dies of SIGSEGV before READY.
    SegvBeforeReady,
    /// It serves, and has other states of WebSockets than all other builds.
    OtherStates,
    /// It serves, and hangs when it is told to stop.
    Deaf,
    /// It serves, and has a child that ignores SIGTERM.
    DeafChild,
    /// It dies of SIGSEGV some time after READY.
    SegvAfterReady {
        /// How long it serves before.
        #[serde(rename = "afterMs", with = "milliseconds")]
        after: Duration,
    },
}

/// What a build with [`Mode::Exit`] exits with.
pub const EXIT_CODE: u8 = 3;

impl Behaviour {
    /// A build that serves at once and says it is `version`.
    #[must_use]
    pub fn version(version: impl Into<String>) -> Self {
        Self {
            version: version.into(),
            start_delay: Duration::ZERO,
            mode: Mode::Ok,
        }
    }

    /// The same, with a start that takes `delay`.
    #[must_use]
    pub fn start_delay(mut self, delay: Duration) -> Self {
        self.start_delay = delay;
        self
    }

    /// The same, failing in this way.
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// The behaviour that was stamped on a file; a plain build serves as version `unstamped`.
    ///
    /// # Errors
    /// The file cannot be read, or its trailer is not what [`stamp`] writes.
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        Ok(trailer(&mut file)?
            .map(|json| serde_json::from_slice(&json))
            .transpose()?
            .unwrap_or_else(|| Self::version("unstamped")))
    }
}

/// Writes a copy of the program `source` that behaves as told to `target`, executable.
///
/// `target` is not replaced atomically: see [`Publish`](crate::Publish) for the ways builds appear.
///
/// # Errors
/// Reading or writing failed.
pub fn stamp(source: &Path, target: &Path, behaviour: &Behaviour) -> io::Result<()> {
    let mut program = fs::read(source)?;
    let mut original = File::open(source)?;
    if let Some(old) = trailer(&mut original)? {
        program.truncate(program.len() - old.len() - FOOTER);
    }
    let json = serde_json::to_vec(behaviour)?;
    let mut file = File::create(target)?;
    file.write_all(&program)?;
    file.write_all(&json)?;
    file.write_all(&(json.len() as u64).to_le_bytes())?;
    file.write_all(MAGIC)?;
    fs::set_permissions(target, fs::Permissions::from_mode(0o755))
}

fn trailer(file: &mut File) -> io::Result<Option<Vec<u8>>> {
    let size = file.metadata()?.len();
    if size < FOOTER as u64 {
        return Ok(None);
    }
    let mut footer = [0; FOOTER];
    file.seek(SeekFrom::End(-(FOOTER as i64)))?;
    file.read_exact(&mut footer)?;
    let (length, magic) = footer.split_at(8);
    if magic != MAGIC {
        return Ok(None);
    }
    let length = length
        .iter()
        .rev()
        .fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
    let start = (size - FOOTER as u64)
        .checked_sub(length)
        .ok_or_else(|| io::Error::other("the trailer is longer than its file"))?;
    let mut json = Vec::new();
    file.seek(SeekFrom::Start(start))?;
    file.take(length).read_to_end(&mut json)?;
    Ok(Some(json))
}

mod milliseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    #[allow(
        clippy::cast_possible_truncation,
        reason = "tests do not wait for millions of years"
    )]
    pub(super) fn serialize<S: Serializer>(
        value: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(value.as_millis() as u64)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_back_and_replaced_by_the_next() {
        let directory = tempfile::tempdir().unwrap();
        let (plain, stamped) = (directory.path().join("a"), directory.path().join("b"));
        fs::write(&plain, b"program").unwrap();
        assert_eq!(Behaviour::read(&plain).unwrap().version, "unstamped");

        let first = Behaviour::version("1").mode(Mode::SegvAfterReady {
            after: Duration::from_millis(200),
        });
        stamp(&plain, &stamped, &first).unwrap();
        assert_eq!(Behaviour::read(&stamped).unwrap(), first);

        let second = Behaviour::version("2").start_delay(Duration::from_secs(5));
        let again = directory.path().join("c");
        stamp(&stamped, &again, &second).unwrap();
        assert_eq!(Behaviour::read(&again).unwrap(), second);
        let text = String::from_utf8_lossy(&fs::read(&again).unwrap()).into_owned();
        assert!(text.starts_with("program{\"version\":\"2\""), "{text}");
    }
}
