//! Contents of a unit directory, with their owners.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use portkeep_spec::{AppName, contract, small_file};

use super::files::{Entry, Files};

/// Far longer than any of our units.
const LONGEST: u64 = 1 << 20;

/// Suffixes of directories with links by which units want others.
const WANTS: [&str; 3] = ["wants", "requires", "upholds"];

/// The files of a unit directory.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    directory: PathBuf,
    files: Files,
    /// The owner that a file names.
    owners: BTreeMap<PathBuf, String>,
}

impl Inventory {
    /// Reads a directory. A missing one is empty.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn of(directory: &Path) -> io::Result<Self> {
        let mut inventory = Self {
            directory: directory.to_owned(),
            ..Self::default()
        };
        let entries = match fs::read_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(inventory),
            other => other?,
        };
        for entry in entries {
            let entry = entry?;
            let path = entry.path();
            if !entry.file_type()?.is_dir() {
                inventory.add(path);
            } else if is_of_kind(&path, &["d"]) || is_of_kind(&path, &WANTS) {
                for inner in fs::read_dir(&path)? {
                    inventory.add(inner?.path());
                }
            }
        }
        Ok(inventory)
    }

    fn add(&mut self, path: PathBuf) {
        let is_hidden = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with('.');
        let Ok(metadata) = fs::symlink_metadata(&path) else {
            return;
        };
        if path.file_name().is_none_or(is_hidden) || metadata.is_dir() {
            return;
        }
        // Through a link, as systemd reads it. A broken link, a device or a large file belongs to nobody.
        let bytes = small_file::read(&path, LONGEST).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some(owner) = mark_of(&text) {
            self.owners.insert(path.clone(), owner.to_owned());
        }
        let entry = match fs::read_link(&path) {
            Ok(target) => Entry::Link(target),
            Err(_) => Entry::File {
                text,
                mode: metadata.permissions().mode() & 0o7777,
            },
        };
        self.files.insert(path, entry);
    }

    /// The directory that was read.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The files of an app: those with its mark, and the links to them.
    #[must_use]
    pub fn of_app(&self, name: &AppName) -> Files {
        let is_of = |path: &Path| {
            self.owners
                .get(path)
                .is_some_and(|one| one == name.as_str())
        };
        let is_link_to_one = |path: &Path| {
            let wants = path
                .parent()
                .is_some_and(|parent| is_of_kind(parent, &WANTS));
            let unit = path.file_name().map(|unit| self.directory.join(unit));
            wants && unit.is_some_and(|unit| is_of(&unit))
        };
        let files = self.files.iter();
        files
            .filter(|(path, _)| match wanting(path) {
                true => is_link_to_one(path),
                false => is_of(path),
            })
            .map(|(path, entry)| (path.clone(), entry.clone()))
            .collect()
    }

    /// The owner of the file with that name: the app that it names, or nobody. `None` if there is no such file.
    #[must_use]
    pub fn owner(&self, unit: &str) -> Option<Option<&str>> {
        let path = self.directory.join(unit);
        self.files
            .contains_key(&path)
            .then(|| self.owners.get(&path).map(String::as_str))
    }

    /// The entry at a path below it.
    #[must_use]
    pub fn get(&self, path: &Path) -> Option<&Entry> {
        self.files.get(path)
    }

    /// The names of all units that have a file here.
    pub fn units(&self) -> impl Iterator<Item = &str> {
        let top = self
            .files
            .keys()
            .filter(|path| path.parent() == Some(&self.directory));
        top.filter_map(|path| path.file_name()?.to_str())
    }

    /// The apps that have a target here.
    #[must_use]
    pub fn apps(&self) -> BTreeSet<AppName> {
        let name = |unit: &str| -> Option<AppName> {
            let name = unit.strip_suffix(".target")?;
            (self.owner(unit)? == Some(name)).then(|| name.parse().ok())?
        };
        self.units().filter_map(name).collect()
    }

    /// Drop-ins of others for `units`, their instances among them.
    #[must_use]
    pub fn drop_ins_of_others(&self, units: &[String]) -> Vec<PathBuf> {
        let is_for = |directory: &Path| {
            let Some(name) = directory.file_name().and_then(|name| name.to_str()) else {
                return false;
            };
            let Some(unit) = name.strip_suffix(".d") else {
                return false;
            };
            units
                .iter()
                .any(|one| one == unit || is_instance(one, unit))
        };
        let files = self.files.keys();
        files
            .filter(|path| path.parent().is_some_and(is_for) && !self.owners.contains_key(*path))
            .cloned()
            .collect()
    }

    /// The texts of all files with the mark of an app.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.owners
            .keys()
            .filter_map(|path| match &self.files[path] {
                Entry::File { text, .. } => Some(text.as_str()),
                Entry::Link(_) => None,
            })
    }
}

fn is_of_kind(directory: &Path, kinds: &[&str]) -> bool {
    let kind = directory.extension().and_then(|kind| kind.to_str());
    kind.is_some_and(|kind| kinds.contains(&kind))
}

/// Whether a path is a link by which some unit wants another.
pub(super) fn wanting(path: &Path) -> bool {
    path.parent()
        .is_some_and(|parent| is_of_kind(parent, &WANTS))
}

/// Whether `unit` is an instance of `template`: `a@3.service` of `a@.service`.
pub(super) fn is_instance(template: &str, unit: &str) -> bool {
    template.split_once('@').is_some_and(|(prefix, suffix)| {
        unit.strip_prefix(prefix)
            .and_then(|rest| rest.strip_prefix('@')?.strip_suffix(suffix))
            .is_some_and(|instance| !instance.is_empty() && !instance.contains('@'))
    })
}

/// The app that a unit's text names as its owner.
fn mark_of(text: &str) -> Option<&str> {
    text.lines()
        .find_map(|line| line.strip_prefix(contract::MARK)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_belongs_to_an_app() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for directory in [
            "sockets.target.wants",
            "a@.service.d",
            "a@3.service.d",
            "a.d",
        ] {
            fs::create_dir(at(directory)).unwrap();
        }
        for (file, owner) in [
            ("a.target", "a"),
            ("a.socket", "a"),
            ("a@.service", "a"),
            ("a@.service.d/50-sandbox.conf", "a"),
            ("a-b.target", "a-b"),
            ("a-b.socket", "a-b"),
            ("b.socket", "a"),
        ] {
            fs::write(at(file), format!("[Unit]\nX-Portkeep-App={owner}\n")).unwrap();
        }
        for other in [
            "a.timer",
            "a@.service.d/60-mine.conf",
            "a@3.service.d/m.conf",
        ] {
            fs::write(at(other), "[Unit]\n").unwrap();
        }
        symlink(at("a.socket"), at("sockets.target.wants/a.socket")).unwrap();
        symlink(at("a-b.socket"), at("sockets.target.wants/a-b.socket")).unwrap();
        symlink("a.socket", at("old.socket")).unwrap();
        symlink("/dev/zero", at("zero.service")).unwrap();
        let inventory = Inventory::of(root.path()).unwrap();
        let files = inventory.of_app(&"a".parse().unwrap());
        let names: Vec<_> = files
            .keys()
            .map(|path| path.strip_prefix(root.path()).unwrap().to_str().unwrap())
            .collect();
        assert_eq!(
            names,
            [
                "a.socket",
                "a.target",
                "a@.service",
                "a@.service.d/50-sandbox.conf",
                "b.socket",
                "old.socket",
                "sockets.target.wants/a.socket",
            ]
        );
        let apps: Vec<_> = inventory.apps().iter().map(ToString::to_string).collect();
        assert_eq!(apps, ["a", "a-b"]);
        assert_eq!(inventory.owner("a-b.socket"), Some(Some("a-b")));
        assert_eq!(inventory.owner("a.timer"), Some(None));
        assert_eq!(inventory.owner("zero.service"), Some(None));
        assert_eq!(inventory.owner("b.service"), None);
        let others = inventory.drop_ins_of_others(&["a@.service".to_owned()]);
        assert_eq!(
            others,
            [at("a@.service.d/60-mine.conf"), at("a@3.service.d/m.conf")]
        );
    }

    #[test]
    fn a_directory_that_is_missing_is_empty() {
        let inventory = Inventory::of(Path::new("/nowhere/at/all")).unwrap();
        assert!(inventory.apps().is_empty());
    }

    #[test]
    fn instances() {
        for (template, unit, is) in [
            ("a@.service", "a@3.service", true),
            ("a@.service", "a@.service", false),
            ("a@.service", "a-b@3.service", false),
            ("a@.service", "a@3.socket", false),
            ("a.service", "a.service", false),
        ] {
            assert_eq!(is_instance(template, unit), is, "{template} {unit}");
        }
    }
}
