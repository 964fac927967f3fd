//! Records of the rustc command lines that cargo runs, written by this executable as cargo's `RUSTC_WRAPPER`.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::stamp::Stamp;

/// Variable with the directory of the records. If it is set, this executable is a wrapper of rustc.
pub(super) const DIRECTORY: &str = "PORTKEEP_RUSTC_RECORDS";
const EXTENSION: &str = "json";

/// One rustc call that compiles a crate. Its environment may hold secrets: only its owner may read it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
    pub(super) directory: PathBuf,
    pub(super) environment: BTreeMap<String, String>,
}

/// Replaces this process by rustc if cargo has called it as a wrapper. Returns only if it does not: nothing if this is no
/// such call, else why rustc cannot be run.
#[must_use]
pub fn wrap_rustc() -> Option<String> {
    let records = PathBuf::from(std::env::var_os(DIRECTORY)?);
    let mut arguments = std::env::args_os().skip(1);
    let program = arguments.next().filter(|program| is_rustc(program))?;
    let arguments: Vec<_> = arguments.collect();
    if let Some(name) = name(&arguments) {
        // The build goes on without a record, and cargo makes the next one as well.
        let _ = write(&records, &name, &program, &arguments);
    }
    let error = Command::new(&program).args(arguments).exec();
    Some(format!("cannot run {}: {error}", program.display()))
}

fn is_rustc(program: &OsStr) -> bool {
    let name = Path::new(program).file_stem();
    name.is_some_and(|name| name.as_encoded_bytes().starts_with(b"rustc"))
}

/// Name of the unit among all of cargo's. Probes by cargo and build scripts have none.
fn name(arguments: &[OsString]) -> Option<String> {
    let name = arguments
        .iter()
        .position(|argument| argument == "--crate-name")?;
    let name = arguments.get(name + 1)?.to_str()?;
    let extra = arguments
        .iter()
        .find_map(|argument| argument.to_str()?.strip_prefix("extra-filename="))?;
    let is_plain = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    (is_plain(name) && is_plain(extra)).then(|| format!("{name}{extra}.{EXTENSION}"))
}

/// Writes a record in one step, so that an existing record is whole and from the last call for its unit.
fn write(
    records: &Path,
    name: &str,
    program: &OsStr,
    arguments: &[OsString],
) -> anyhow::Result<()> {
    let path = records.join(name);
    if path.exists() {
        fs::remove_file(&path)?;
    }
    let text = |text: OsString| {
        text.into_string()
            .map_err(|_| anyhow::anyhow!("it is not UTF-8"))
    };
    let mut environment = BTreeMap::new();
    for (name, value) in std::env::vars_os() {
        environment.insert(text(name)?, text(value)?);
    }
    let arguments = arguments.iter().cloned().map(text);
    let record = Record {
        program: program.into(),
        arguments: arguments.collect::<anyhow::Result<_>>()?,
        directory: std::env::current_dir()?,
        environment,
    };
    let mut file = tempfile::NamedTempFile::new_in(records)?;
    file.write_all(&serde_json::to_vec(&record)?)?;
    file.persist(path)?;
    Ok(())
}

/// The oldest record.
pub(super) fn first(records: &Path) -> Option<Stamp> {
    let entries = fs::read_dir(records).ok()?.flatten();
    let paths = entries.map(|entry| entry.path());
    let records = paths.filter(|path| {
        path.extension()
            .is_some_and(|extension| extension == EXTENSION)
    });
    Stamp::oldest(records.map(|path| Stamp::of(&path)))
}

/// Reads and removes the records of a build.
pub(super) fn take(records: &Path) -> io::Result<Vec<Record>> {
    let mut taken = Vec::new();
    for entry in fs::read_dir(records)? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == EXTENSION)
        {
            taken.push(serde_json::from_slice(&fs::read(&path)?)?);
            fs::remove_file(&path)?;
        }
    }
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_units_of_cargo_have_a_record() {
        let words = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        assert_eq!(
            name(&words(
                "--crate-name app src/main.rs -C extra-filename=-f86c --out-dir /t"
            ))
            .as_deref(),
            Some("app-f86c.json")
        );
        for probe in [
            "-vV",
            "- --crate-name ___ --print=cfg",
            "--crate-name ../x -C extra-filename=-1",
        ] {
            assert_eq!(name(&words(probe)), None, "{probe}");
        }
        assert!(is_rustc(OsStr::new("/toolchain/bin/rustc")));
        for other in ["dev", "-V", "/bin/sh"] {
            assert!(!is_rustc(OsStr::new(other)));
        }
    }

    #[test]
    fn a_record_is_private_and_taken_once() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let arguments = [OsString::from("--test")];
        for _ in 0..2 {
            write(
                directory.path(),
                "a-1.json",
                OsStr::new("rustc"),
                &arguments,
            )
            .unwrap();
        }
        let mode = fs::metadata(directory.path().join("a-1.json")).unwrap();
        assert_eq!(mode.permissions().mode() & 0o777, 0o600);
        let taken = take(directory.path()).unwrap();
        assert_eq!(taken.len(), 1);
        assert_eq!(taken[0].arguments, ["--test"]);
        assert!(take(directory.path()).unwrap().is_empty());
    }
}
