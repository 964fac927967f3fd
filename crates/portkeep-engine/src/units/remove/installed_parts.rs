//! Units and files of an app to remove, and files that portkeep does not own.

use std::fmt;
use std::fs;
use std::path::PathBuf;

use portkeep_spec::{AppName, Manager as Which, Spec};

use crate::units::files::Files;
use crate::units::inventory::{Inventory, wanting};
use crate::units::place::UnitDirectory;

/// What remains after an app is removed, because portkeep does not own it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftBehind {
    /// A drop-in for one of its units.
    DropIn(PathBuf),
    /// A file that its environment came from.
    EnvironmentFile(PathBuf),
    /// A file of a secret.
    Credential(PathBuf),
    /// A directory with its data.
    Data(PathBuf),
    /// Releases and history, which the caller wants to keep.
    State(PathBuf),
}

impl fmt::Display for LeftBehind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, path) = match self {
            Self::DropIn(path) => ("the drop-in", path),
            Self::EnvironmentFile(path) => ("the environment file", path),
            Self::Credential(path) => ("the credential file", path),
            Self::Data(path) => ("the app's data in", path),
            Self::State(path) => ("releases and history in", path),
        };
        write!(f, "{what} {}", path.display())
    }
}

/// The installed parts of an app.
pub(super) struct InstalledParts {
    pub(super) name: AppName,
    pub(super) files: Files,
    pub(super) spec_paths: Vec<PathBuf>,
    spec: Option<Spec>,
}

impl InstalledParts {
    /// In all lasting directories of `inventories`; only if there is nothing, in those of `portkeep dev`.
    pub(super) fn of(name: &AppName, inventories: &[(UnitDirectory, Inventory)]) -> Option<Self> {
        for runtime in [false, true] {
            let looked = inventories
                .iter()
                .filter(|(directory, _)| directory.is_runtime() == runtime);
            let (mut files, mut spec_paths) = (Files::new(), Vec::new());
            for (directory, inventory) in looked {
                let there = inventory.of_app(name);
                let spec = directory.spec_path(name);
                // A spec without units remains after a failed install of an earlier version.
                if !there.is_empty() || fs::symlink_metadata(&spec).is_ok() {
                    spec_paths.push(spec);
                }
                files.extend(there);
            }
            if !files.is_empty() {
                return Some(Self {
                    name: name.clone(),
                    spec: spec_paths.iter().find_map(|path| Spec::load(path).ok()),
                    files,
                    spec_paths,
                });
            }
        }
        None
    }

    /// The names of its units, including templates.
    pub(super) fn units(&self) -> Vec<String> {
        let files = self.files.keys().filter(|path| !wanting(path));
        let names = files.filter_map(|path| path.file_name()?.to_str());
        names
            .filter(|name| !name.ends_with(".conf"))
            .map(str::to_owned)
            .collect()
    }

    pub(super) fn left(&self, which: Which, unit_path: &[PathBuf]) -> Vec<LeftBehind> {
        let units = self.units();
        let drop_ins = unit_path
            .iter()
            .filter_map(|directory| Inventory::of(directory).ok())
            .flat_map(|inventory| inventory.drop_ins_of_others(&units));
        let mut left: Vec<LeftBehind> = drop_ins.map(LeftBehind::DropIn).collect();
        if let Some(spec) = &self.spec {
            left.extend(
                spec.environment_files
                    .iter()
                    .cloned()
                    .map(LeftBehind::EnvironmentFile),
            );
            left.extend(
                spec.credentials
                    .values()
                    .cloned()
                    .map(LeftBehind::Credential),
            );
            left.extend(data_of(spec, which).into_iter().map(LeftBehind::Data));
        }
        left.retain(LeftBehind::is_there);
        left.sort();
        left.dedup();
        left
    }
}

impl LeftBehind {
    fn is_there(&self) -> bool {
        let (Self::DropIn(path)
        | Self::EnvironmentFile(path)
        | Self::Credential(path)
        | Self::Data(path)
        | Self::State(path)) = self;
        fs::symlink_metadata(path).is_ok()
    }
}

/// Directories where an app may have data: those that its unit was given.
fn data_of(spec: &Spec, which: Which) -> Vec<PathBuf> {
    let home = std::env::var_os("HOME")
        .map(PathBuf::from)
        .unwrap_or_default();
    // `%S` is the first one in systemd 254 and newer, and the second one before.
    let (state, cache) = match which {
        Which::System => (vec![PathBuf::from("/var/lib")], PathBuf::from("/var/cache")),
        Which::User => (
            vec![home.join(".local/state"), home.join(".config")],
            home.join(".cache"),
        ),
    };
    let state = state.into_iter().filter(|_| spec.allow.state_directory);
    let cache = Some(cache).filter(|_| spec.allow.cache_directory);
    let bases = state.chain(cache);
    bases.map(|base| base.join(spec.name.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(directory: &UnitDirectory, name: &str, owner: &str) {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("[Unit]\nX-Portkeep-App={owner}\n")).unwrap();
    }

    fn inventory(directory: &UnitDirectory) -> (UnitDirectory, Inventory) {
        (directory.clone(), Inventory::of(directory.path()).unwrap())
    }

    #[test]
    fn files_are_found_in_all_directories_that_live_on() {
        let root = tempfile::tempdir().unwrap();
        let directory = |base: &str| {
            let units = root.path().join(base).join("systemd/user");
            UnitDirectory::lasting(Which::User, &[units]).unwrap()
        };
        let (one, other) = (directory("one"), directory("other"));
        unit(&one, "a.target", "a");
        unit(&other, "a.socket", "a");
        unit(&other, "a@.service.d/50-sandbox.conf", "a");
        unit(&other, "b.socket", "b");
        let inventories = [inventory(&one), inventory(&other)];
        let name: AppName = "a".parse().unwrap();
        let found = InstalledParts::of(&name, &inventories).unwrap();
        assert_eq!(found.files.len(), 3);
        assert_eq!(found.units(), ["a.target", "a.socket"]);
        assert!(InstalledParts::of(&"c".parse().unwrap(), &inventories).is_none());
        crate::units::remove::remove_files(found.files.keys()).unwrap();
        assert!(!other.path().join("a@.service.d").exists());
        assert!(other.path().join("b.socket").exists());
    }

    #[test]
    fn what_is_of_others_is_told() {
        let root = tempfile::tempdir().unwrap();
        let units = root.path().join("systemd/user");
        let directory = UnitDirectory::lasting(Which::User, std::slice::from_ref(&units)).unwrap();
        unit(&directory, "a@.service", "a");
        let mine = units.join("a@.service.d/60-mine.conf");
        fs::create_dir(mine.parent().unwrap()).unwrap();
        fs::write(&mine, "[Service]\n").unwrap();
        let secrets = root.path().join("a.env");
        fs::write(&secrets, "").unwrap();
        let text = format!(
            r#"{{"name":"a","exec":["/bin/a"],"listen":[{{"stream":"127.0.0.1:80"}}],
               "environmentFiles":["{}","/no/such.env"]}}"#,
            secrets.display()
        );
        let spec = directory.spec_path(&"a".parse().unwrap());
        fs::create_dir_all(spec.parent().unwrap()).unwrap();
        fs::write(&spec, text).unwrap();
        let found = InstalledParts::of(&"a".parse().unwrap(), &[inventory(&directory)]).unwrap();
        let left = found.left(Which::User, &[units]);
        assert_eq!(
            left,
            [
                LeftBehind::DropIn(mine),
                LeftBehind::EnvironmentFile(secrets)
            ]
        );
    }
}
