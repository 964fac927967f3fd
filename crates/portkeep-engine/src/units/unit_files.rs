//! Unit files of one app, rendered for one manager.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use portkeep_spec::{
    AppName, HealthBy, Manager as Which, RenderOptions, Spec, SpecError, UnitFile, contract,
    render, shutdown_limit, slice, unit_names,
};

use super::files::{Entry, Files, Journal, difference};
use super::inventory::{Inventory, wanting};
use super::place::UnitDirectory;
use crate::capture::has_mark;

/// The mode of unit files: everybody may read which units there are.
const READABLE: u32 = 0o644;
/// The mode of a spec that only its owner may read: its `environment` may hold secrets.
const PRIVATE: u32 = 0o600;

/// Readers of a spec that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readable {
    /// Only the user who installs it: its `environment` may hold secrets.
    ByOwner,
    /// Everybody: it is part of a package whose user units any user may start.
    ByAll,
}

/// The rendered unit files of one app for one manager.
#[derive(Debug, Clone)]
pub struct UnitFiles {
    name: AppName,
    files: Vec<UnitFile>,
}

impl UnitFiles {
    /// Renders the units of `spec`, which call `helper` and name `spec_path`.
    ///
    /// # Errors
    /// When the spec breaks a rule; the field is named.
    pub fn render(
        spec: &Spec,
        helper: &Path,
        spec_path: &Path,
        which: Which,
    ) -> Result<Self, SpecError> {
        let options = RenderOptions {
            helper: helper.to_owned(),
            spec_path: spec_path.to_owned(),
            manager: which,
        };
        Ok(Self {
            name: spec.name.clone(),
            files: render(&who_answers_health(spec), &options)?,
        })
    }

    /// The files, with their places below a directory of units.
    #[must_use]
    pub fn files(&self) -> &[UnitFile] {
        &self.files
    }

    /// The names of the units, including templates.
    pub fn units(&self) -> impl Iterator<Item = &str> {
        let units = self.files.iter().filter_map(|file| file.path.to_str());
        units.filter(|unit| !unit.contains('/'))
    }

    /// Whether one of the units has this name.
    #[must_use]
    pub fn has(&self, unit: &str) -> bool {
        self.units().any(|one| one == unit)
    }

    /// The enabled units: the app's sockets, in the order of the spec, and its path unit.
    #[must_use]
    pub fn enabled(&self) -> Vec<String> {
        let units = self.units();
        units
            // Instances of a template are started by name.
            .filter(|unit| !unit.contains('@'))
            .filter(|unit| unit.ends_with(".socket") || unit.ends_with(".path"))
            .map(str::to_owned)
            .collect()
    }

    /// The files in `directory`.
    #[must_use]
    pub fn in_directory(&self, directory: &Path) -> Files {
        let file = |file: &UnitFile| {
            let entry = Entry::File {
                text: file.text.clone(),
                mode: READABLE,
            };
            (directory.join(&file.path), entry)
        };
        self.files.iter().map(file).collect()
    }

    /// The links from the targets in the `[Install]` sections to the units.
    #[must_use]
    pub fn links(&self, directory: &Path) -> Files {
        let wants = |file: &UnitFile| -> Vec<(PathBuf, Entry)> {
            let targets = file.text.lines();
            let targets = targets.filter_map(|line| line.strip_prefix("WantedBy="));
            let link = |target: &str| {
                let unit = directory.join(&file.path);
                let link = directory.join(format!("{target}.wants")).join(&file.path);
                (link, Entry::Link(unit))
            };
            targets.flat_map(str::split_whitespace).map(link).collect()
        };
        self.files.iter().flat_map(wants).collect()
    }

    /// Writes the files to `directory`, and removes those of an earlier rendering. On failure, nothing has changed.
    ///
    /// # Errors
    /// The system's error, with the path.
    pub fn write(&self, directory: &Path) -> io::Result<()> {
        let before = Inventory::of(directory)?.of_app(&self.name);
        let before = before.into_iter().filter(|(path, _)| !wanting(path));
        write_all(&before.collect(), &self.in_directory(directory))
    }
}

/// The spec with `healthBy` filled in, by the program, if the spec leaves it out.
fn who_answers_health(spec: &Spec) -> Cow<'_, Spec> {
    let is_open = !spec.health.is_empty() && spec.health_by.is_none();
    if !is_open || !spec.may_answer_health() || !has_mark(spec, contract::HEALTH_MARK) {
        return Cow::Borrowed(spec);
    }
    let mut spec = spec.clone();
    spec.health_by = Some(HealthBy::App);
    Cow::Owned(spec)
}

fn write_all(before: &Files, after: &Files) -> io::Result<()> {
    let mut journal = Journal::default();
    for change in difference(before, after) {
        journal.apply(&change).map_err(|error| {
            let path = change.path.display();
            io::Error::new(error.kind(), format!("cannot write {path}: {error}"))
        })?;
    }
    journal.keep();
    Ok(())
}

/// The spec that the units name, with absolute paths, as a file.
pub(super) fn spec_entry(spec: &Spec, readable: Readable) -> Entry {
    Entry::File {
        text: spec.to_json(),
        mode: match readable {
            Readable::ByOwner => PRIVATE,
            Readable::ByAll => READABLE,
        },
    }
}

/// Writes the spec that the units name, with absolute paths.
///
/// # Errors
/// The system's error, with the path.
pub fn write_spec(spec: &Spec, path: &Path, readable: Readable) -> io::Result<()> {
    let after = Files::from([(path.to_owned(), spec_entry(spec, readable))]);
    write_all(&Files::new(), &after)
}

/// The units in `directory` that all apps of a manager share. A user's manager has none.
///
/// # Errors
/// Never: its text has no values.
pub(super) fn shared(which: Which, directory: &Path) -> Result<Files, SpecError> {
    if which == Which::User {
        return Ok(Files::new());
    }
    let entry = |unit: UnitFile| {
        let mode = READABLE;
        let text = unit.text;
        (directory.join(unit.path), Entry::File { text, mode })
    };
    Ok(Files::from([slice()?, shutdown_limit()?].map(entry)))
}

/// The installed units that `install` would write differently now, apart from the version of the helper.
///
/// # Errors
/// When the spec cannot be rendered, or the directory cannot be read.
pub fn outdated(spec: &Spec, which: Which, directory: &UnitDirectory) -> io::Result<Vec<String>> {
    let inventory = Inventory::of(directory.path())?;
    let there = inventory.of_app(&spec.name);
    let handle = directory.path().join(unit_names::handle(&spec.name));
    let helper = there
        .get(&handle)
        .and_then(|entry| helper_in(&entry.text()));
    let Some(helper) = helper else {
        return Ok(Vec::new());
    };
    let spec_path = directory.spec_path(&spec.name);
    let files = UnitFiles::render(spec, Path::new(ANY_HELPER), &spec_path, which);
    let mut files = files.map_err(io::Error::other)?;
    for file in &mut files.files {
        file.text = file.text.replace(ANY_HELPER, &helper);
    }
    let wanted = files.in_directory(directory.path());
    let differs = wanted
        .iter()
        .filter(|(path, entry)| there.get(*path).map(Entry::text) != Some(entry.text()));
    let names: BTreeSet<_> = differs
        .filter_map(|(path, _)| path.strip_prefix(directory.path()).ok())
        .map(|path| path.display().to_string())
        .collect();
    Ok(names.into_iter().collect())
}

/// A placeholder for any helper, as a unit writes it.
const ANY_HELPER: &str = "/portkeep.helper.of.these.units";

/// The helper that a handle calls, as the unit writes it.
fn helper_in(handle: &str) -> Option<String> {
    let command = handle
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="))?;
    Some(command.split_once(" handle ")?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn spec(listen: &str) -> Spec {
        let text =
            format!(r#"{{"name":"a","exec":["/bin/a"],"listen":[{{"name":"http",{listen}}}]}}"#);
        Spec::from_json(&text).unwrap()
    }

    fn files(listen: &str, which: Which) -> UnitFiles {
        UnitFiles::render(&spec(listen), Path::new("/h"), Path::new("/s"), which).unwrap()
    }

    #[test]
    fn sockets_are_wanted_by_what_the_manager_starts() {
        for (which, target) in [
            (Which::System, "sockets.target"),
            (Which::User, "default.target"),
        ] {
            let links = files(r#""stream":"127.0.0.1:80""#, which).links(Path::new("/u"));
            let unit = |unit: &str| {
                let link = format!("/u/{target}.wants/{unit}");
                (
                    PathBuf::from(link),
                    Entry::Link(format!("/u/{unit}").into()),
                )
            };
            assert_eq!(
                links,
                Files::from([unit("a.socket"), unit("a-move.socket")])
            );
        }
    }

    #[test]
    fn what_an_earlier_rendering_left_goes_and_what_others_have_stays() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let two = r#""stream":"/run/a"},{"name":"more","stream":"/run/b""#;
        files(two, Which::User).write(directory.path()).unwrap();
        fs::write(at("a@.service.d/60-mine.conf"), "").unwrap();
        assert!(at("a-more.socket").exists());
        files(r#""stream":"/run/a""#, Which::User)
            .write(directory.path())
            .unwrap();
        assert!(!at("a-more.socket").exists());
        assert!(at("a@.service.d/60-mine.conf").exists());
    }

    #[test]
    fn units_of_another_version_are_outdated_and_another_helper_is_not() {
        let root = tempfile::tempdir().unwrap();
        let units = root.path().join("systemd/user");
        let directory = UnitDirectory::lasting(Which::User, &[units]).unwrap();
        let spec = spec(r#""stream":"/run/a""#);
        assert_eq!(
            outdated(&spec, Which::User, &directory).unwrap(),
            Vec::<String>::new()
        );
        let spec_path = directory.spec_path(&spec.name);
        let files =
            UnitFiles::render(&spec, Path::new("/o ld/h%"), &spec_path, Which::User).unwrap();
        files.write(directory.path()).unwrap();
        assert_eq!(
            outdated(&spec, Which::User, &directory).unwrap(),
            Vec::<String>::new()
        );
        let socket = directory.path().join("a.socket");
        fs::write(&socket, "[Unit]\nX-Portkeep-App=a\n").unwrap();
        assert_eq!(
            outdated(&spec, Which::User, &directory).unwrap(),
            ["a.socket"]
        );
    }
}
