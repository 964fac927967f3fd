//! One unit of cargo's: a crate, and the rustc command line that made it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::record::Record;
use crate::build::dep_info;

/// Kind of file that a unit of a build makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnitKind {
    /// A library for other crates.
    Library,
    /// A program.
    Program,
    /// A macro, a C library or a test: cargo makes those.
    Other,
}

/// A unit that was compiled in this session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unit {
    pub(super) name: String,
    pub(super) makes: UnitKind,
    /// Output directory, and the prefix of the unit's files there.
    output: PathBuf,
    stem: String,
    /// The libraries that it names, without their extensions.
    pub(super) uses: Vec<PathBuf>,
    /// The files that its last compilation read.
    pub(super) inputs: Vec<PathBuf>,
    is_incremental: bool,
    /// From a package that nobody edits: cargo caps its lints.
    is_foreign: bool,
    /// Hash that tells it from other units of its package.
    extra: String,
    pub(super) record: Record,
}

impl Unit {
    /// Reads a record; nothing if the command line has an unknown form.
    pub(super) fn new(record: Record) -> Option<Self> {
        let mut unit = Self {
            name: String::new(),
            makes: UnitKind::Other,
            output: PathBuf::new(),
            stem: String::new(),
            uses: Vec::new(),
            inputs: Vec::new(),
            is_incremental: false,
            is_foreign: false,
            extra: String::new(),
            record,
        };
        let (mut kinds, mut extra) = (Vec::new(), "");
        let words: Vec<&str> = unit.record.arguments.iter().map(String::as_str).collect();
        for (at, word) in words.iter().enumerate() {
            let next = || words.get(at + 1).copied();
            match *word {
                "--crate-name" => unit.name = next()?.to_owned(),
                "--crate-type" => kinds.push(next()?),
                "--test" => kinds.push("test"),
                "--cap-lints" => unit.is_foreign = true,
                "--out-dir" => unit.output = unit.record.directory.join(next()?),
                "--extern" => unit.uses.extend(library(next()?)),
                "-C" => {
                    let option = next()?;
                    extra = option.strip_prefix("extra-filename=").unwrap_or(extra);
                    unit.is_incremental |= option.starts_with("incremental=");
                }
                _ => {}
            }
        }
        unit.extra = extra.to_owned();
        unit.stem = format!("{}{extra}", unit.name);
        unit.makes = match kinds[..] {
            ["lib" | "rlib"] => UnitKind::Library,
            ["bin"] => UnitKind::Program,
            _ => UnitKind::Other,
        };
        let is_known = !unit.name.is_empty() && unit.output.is_absolute() && !extra.is_empty();
        is_known.then_some(unit)
    }

    /// Identifies the unit among all others.
    pub(super) fn key(&self) -> PathBuf {
        self.output.join(&self.stem)
    }

    /// The library as other units name it, without an extension.
    pub(super) fn library(&self) -> PathBuf {
        self.output.join(format!("lib{}", self.stem))
    }

    /// The unit's files: the one that is used, and the one that goes with it.
    pub(super) fn files(&self) -> (PathBuf, Option<PathBuf>) {
        match self.makes {
            UnitKind::Program => (self.key(), None),
            _ => {
                let library = self.library();
                (
                    library.with_extension("rlib"),
                    Some(library.with_extension("rmeta")),
                )
            }
        }
    }

    /// Whether rustc compiles incrementally. Otherwise the hash of a crate may not tell two versions apart.
    pub(super) fn is_incremental(&self) -> bool {
        self.is_incremental
    }

    /// Whether a crate that people edit is compiled whole each time, as in a release.
    pub(super) fn is_whole(&self) -> bool {
        self.makes != UnitKind::Other && !self.is_incremental && !self.is_foreign
    }

    pub(super) fn is_foreign(&self) -> bool {
        self.is_foreign
    }

    /// Directory of cargo's fingerprint of the unit.
    pub(super) fn fingerprint(&self) -> Option<PathBuf> {
        let package = self.record.environment.get("CARGO_PKG_NAME")?;
        let all = self.output.parent()?.join(".fingerprint");
        Some(all.join(format!("{package}{}", self.extra)))
    }

    pub(super) fn directory_of_output(&self) -> &Path {
        &self.output
    }

    /// The files that rustc read for it last, from its listing. Nothing if there is none.
    pub(super) fn inputs_now(&self) -> Option<Vec<PathBuf>> {
        inputs(&self.key().with_extension("d"), &self.record.directory)
    }

    /// The environment of the recorded call, without what belonged to the cargo that made it.
    pub(super) fn environment(&self) -> BTreeMap<String, String> {
        let of_that_run = ["CARGO_MAKEFLAGS", "MAKEFLAGS", "MFLAGS"];
        let mut environment = self.record.environment.clone();
        environment.retain(|name, _| !of_that_run.contains(&name.as_str()));
        environment
    }
}

/// The library of an `--extern name=path`, without its extension.
fn library(word: &str) -> Option<PathBuf> {
    let (_, path) = word.split_once('=')?;
    Some(Path::new(path).with_extension(""))
}

/// The files in a listing of rustc, which names them relative to `directory`.
pub(super) fn inputs(listing: &Path, directory: &Path) -> Option<Vec<PathBuf>> {
    let text = std::fs::read_to_string(listing).ok()?;
    // Remarks name variables, not files.
    let files: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let mut inputs = dep_info::parse_inputs(&files.join("\n"));
    for input in &mut inputs {
        *input = dep_info::plain(&directory.join(&input));
    }
    inputs.sort_unstable();
    inputs.dedup();
    Some(inputs)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A crate below `/p` with its name, with the libraries that it uses.
    pub(in super::super) fn unit(name: &str, kind: &str, uses: &[&str]) -> Unit {
        let mut line = format!(
            "--crate-name {name} --edition=2021 {name}/src/x.rs --crate-type {kind} --emit=dep-info,link -C metadata=1 \
             -C extra-filename=-{name}1 --out-dir /t/deps -C incremental=/t/incremental -L dependency=/t/deps"
        );
        for used in uses {
            line.push_str(&format!(" --extern {used}=/t/deps/lib{used}-{used}1.rmeta"));
        }
        let record = Record {
            program: "rustc".into(),
            arguments: line.split(' ').map(str::to_owned).collect(),
            directory: "/p".into(),
            environment: BTreeMap::from([
                ("CARGO_MAKEFLAGS".to_owned(), "-j".to_owned()),
                ("CARGO_PKG_NAME".to_owned(), format!("{name}-package")),
            ]),
        };
        let mut unit = Unit::new(record).unwrap();
        unit.inputs = vec![format!("/p/{name}/src/x.rs").into()];
        unit
    }

    #[test]
    fn a_command_line_says_what_a_unit_is() {
        let unit = unit("app", "bin", &["lib", "other"]);
        assert_eq!(unit.makes, UnitKind::Program);
        assert_eq!(unit.key(), Path::new("/t/deps/app-app1"));
        assert_eq!(unit.uses[0], Path::new("/t/deps/liblib-lib1"));
        assert!(unit.is_incremental());
        assert_eq!(unit.files(), ("/t/deps/app-app1".into(), None));
        let (library, more) = super::tests::unit("lib", "lib", &[]).files();
        assert_eq!(library, Path::new("/t/deps/liblib-lib1.rlib"));
        assert_eq!(more.unwrap(), Path::new("/t/deps/liblib-lib1.rmeta"));
        assert_eq!(unit.environment().len(), 1);
        let fingerprint = unit.fingerprint().unwrap();
        assert_eq!(fingerprint, Path::new("/t/.fingerprint/app-package-app1"));
        for kind in ["proc-macro", "cdylib", "lib --crate-type cdylib"] {
            assert_eq!(super::tests::unit("x", kind, &[]).makes, UnitKind::Other);
        }
    }

    #[test]
    fn a_listing_names_files_from_where_rustc_ran() {
        let directory = tempfile::tempdir().unwrap();
        let listing = directory.path().join("app-1.d");
        let text =
            "/t/app-1: src/main.rs src/../a\\ b.css /abs.rs\n\nsrc/main.rs:\n\n# env-dep:X=y: z\n";
        std::fs::write(&listing, text).unwrap();
        let expected = ["/abs.rs", "/p/a b.css", "/p/src/main.rs"].map(PathBuf::from);
        assert_eq!(inputs(&listing, Path::new("/p")).unwrap(), expected);
        assert_eq!(inputs(&directory.path().join("no"), Path::new("/p")), None);
    }
}
