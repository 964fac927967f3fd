//! Directories that a manager loads units from.

use std::env;
use std::path::{Path, PathBuf};

use portkeep_spec::{AppName, Manager as Which, contract};

use crate::backend::systemd::{Manager, ManagerError};
use crate::directories::{DirectoriesError, user_runtime_directory};

/// Why no directory for units was found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// `HOME` is not set.
    #[error(
        "HOME is not set: cannot tell where your units belong; set HOME to your home directory"
    )]
    NoHome,
    /// There is no runtime directory.
    #[error(transparent)]
    NoRuntimeDirectory(#[from] DirectoriesError),
    /// The manager searches no directory that lasts.
    #[error(
        "the {which} manager looks for units in {}, and none of these is where an administrator or a user places them",
        .looks.iter().map(|one| one.display().to_string()).collect::<Vec<_>>().join(", ")
    )]
    None {
        /// The manager.
        which: Which,
        /// The directories that it searches.
        looks: Vec<PathBuf>,
    },
    /// The manager does not answer.
    #[error("cannot ask the manager where it looks for units")]
    Manager(#[from] ManagerError),
}

/// A directory that a manager loads units from, with the directory of their specs beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitDirectory {
    units: PathBuf,
    specs: PathBuf,
}

impl UnitDirectory {
    /// The directory for `install`, among those that the manager searches (`unit_path`): the administrator's, or this
    /// user's.
    ///
    /// # Errors
    /// When the manager looks into no such directory.
    pub fn lasting(which: Which, unit_path: &[PathBuf]) -> Result<Self, PlaceError> {
        let found = unit_path.iter().find(|path| is_lasting(which, path));
        let units = found.ok_or_else(|| PlaceError::None {
            which,
            looks: unit_path.to_owned(),
        })?;
        Ok(Self::beside(units.clone()))
    }

    /// The same, by asking the manager.
    ///
    /// # Errors
    /// When it does not answer, or looks into no such directory.
    pub async fn installed(manager: &Manager) -> Result<Self, PlaceError> {
        Self::lasting(manager.which(), &manager.unit_path().await?)
    }

    /// The directory by the environment of this process, which may differ from the manager's.
    ///
    /// # Errors
    /// When `HOME` is not set, and a user's is asked for.
    pub fn usual(which: Which) -> Result<Self, PlaceError> {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty());
        let config = match which {
            Which::System => PathBuf::from("/etc"),
            Which::User => set("XDG_CONFIG_HOME")
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
                .or_else(|| set("HOME").map(|home| Path::new(&home).join(".config")))
                .ok_or(PlaceError::NoHome)?,
        };
        Ok(Self::beside(config.join("systemd").join(which.to_string())))
    }

    /// The directory for `portkeep dev`, which is gone after the user's last session.
    ///
    /// # Errors
    /// When there is no runtime directory.
    pub fn runtime() -> Result<Self, PlaceError> {
        let runtime = user_runtime_directory()?;
        Ok(Self::beside(runtime.join("systemd/user")))
    }

    /// All directories in which a user may have placed our units: the lasting ones, even by another environment than the
    /// manager's, and those of `portkeep dev`.
    #[must_use]
    pub fn all(which: Which, unit_path: &[PathBuf]) -> Vec<Self> {
        let mut all: Vec<Self> = Self::lasting(which, unit_path).into_iter().collect();
        let mut add = |one: Result<Self, PlaceError>| {
            all.extend(
                one.ok()
                    .filter(|one| !all.contains(one))
                    .into_iter()
                    .collect::<Vec<_>>(),
            );
        };
        add(Self::usual(which));
        if which == Which::User {
            if let Some(home) = env::var_os("HOME") {
                add(Ok(Self::beside(
                    Path::new(&home).join(".config/systemd/user"),
                )));
            }
            add(Self::runtime());
        }
        all
    }

    /// Specs are in `portkeep` beside the parent directory `systemd` of the units.
    fn beside(units: PathBuf) -> Self {
        let base = units.ancestors().nth(2).unwrap_or(Path::new("/"));
        let specs = base.join(contract::DIRECTORY);
        Self { units, specs }
    }

    /// The directory of the units.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.units
    }

    /// The path of an app's spec.
    #[must_use]
    pub fn spec_path(&self, name: &AppName) -> PathBuf {
        self.specs.join(format!("{name}.json"))
    }

    /// Whether its contents are gone after a reboot.
    #[must_use]
    pub fn is_runtime(&self) -> bool {
        self.units.starts_with("/run") || Self::runtime().is_ok_and(|runtime| runtime == *self)
    }
}

/// Whether it lasts and is the manager's own. `/etc/systemd/user` and the directories of packages come after it;
/// `user.control`, transient and generated units come before it.
fn is_lasting(which: Which, path: &Path) -> bool {
    let ends = path.ends_with(Path::new("systemd").join(which.to_string()));
    ends && match which {
        Which::System => path.starts_with("/etc"),
        Which::User => !["/etc", "/run", "/usr", "/lib", "/nix"]
            .iter()
            .any(|others| path.starts_with(others)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_placed_where_the_manager_looks() {
        let system = "/etc/systemd/system.control /run/systemd/system.control /run/systemd/transient \
            /run/systemd/generator.early /etc/systemd/system /etc/systemd/system.attached /run/systemd/system \
            /run/systemd/system.attached /run/systemd/generator /usr/local/lib/systemd/system /usr/lib/systemd/system \
            /run/systemd/generator.late";
        let user = |config: &str| {
            format!(
                "{config}/systemd/user.control /run/user/1000/systemd/user.control /run/user/1000/systemd/transient \
                 /run/user/1000/systemd/generator.early {config}/systemd/user /etc/xdg/systemd/user /etc/systemd/user \
                 /run/user/1000/systemd/user /run/systemd/user /run/user/1000/systemd/generator \
                 /home/dev/.local/share/systemd/user /usr/local/share/systemd/user /usr/share/systemd/user \
                 /usr/local/lib/systemd/user /usr/lib/systemd/user /run/user/1000/systemd/generator.late"
            )
        };
        for (which, unit_path, expected, specs) in [
            (
                Which::System,
                system.to_owned(),
                "/etc/systemd/system",
                "/etc/portkeep/a.json",
            ),
            (
                Which::User,
                user("/home/dev/.config"),
                "/home/dev/.config/systemd/user",
                "/home/dev/.config/portkeep/a.json",
            ),
            (
                Which::User,
                user("/srv/conf"),
                "/srv/conf/systemd/user",
                "/srv/conf/portkeep/a.json",
            ),
        ] {
            let unit_path: Vec<_> = unit_path.split_whitespace().map(PathBuf::from).collect();
            let found = UnitDirectory::lasting(which, &unit_path).unwrap();
            assert_eq!(found.path(), Path::new(expected));
            assert_eq!(found.spec_path(&"a".parse().unwrap()), Path::new(specs));
            let all = UnitDirectory::all(which, &unit_path);
            assert_eq!(all.first(), Some(&found));
        }
        let only_run = [PathBuf::from("/run/systemd/system")];
        let none = UnitDirectory::lasting(Which::System, &only_run).unwrap_err();
        assert!(none.to_string().contains("/run/systemd/system"), "{none}");
    }
}
