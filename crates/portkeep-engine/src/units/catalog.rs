//! Message catalog of the machine: with it, `journalctl -x` explains entries of portkeep.
//!
//! All users share one database, which root makes from files in fixed directories. Files of a package or a NixOS
//! configuration are left alone.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use portkeep_spec::Manager as Which;
use tokio::process::Command;
use tokio::time::timeout;

use super::files::{Change, Entry, Journal};
use crate::decision::catalog;
use crate::directories::check_trusted;

/// The directories for packages and for the administrator: systemd reads no others.
const DIRECTORIES: [&str; 2] = ["/usr/lib/systemd/catalog", "/usr/local/lib/systemd/catalog"];
/// Readable for everybody.
const READABLE: u32 = 0o644;
/// How long making the database may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// The catalog of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalog {
    packaged: PathBuf,
    ours: PathBuf,
}

/// Why our entries are not explained.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// The file cannot be placed or removed.
    #[error("the message catalog {path} cannot be written: {source}")]
    File {
        /// The file.
        path: String,
        /// The reason.
        source: io::Error,
    },
    /// The database was not made.
    #[error("the message catalog is placed, but `journalctl --update-catalog` failed: {0}")]
    Database(String),
}

impl Catalog {
    /// The catalog of this machine.
    #[must_use]
    pub fn of_machine() -> Self {
        Self::below(Path::new("/"))
    }

    fn below(root: &Path) -> Self {
        let [packaged, ours] = DIRECTORIES.map(|directory| {
            let directory = directory.trim_start_matches('/');
            root.join(directory).join(catalog::FILE)
        });
        Self { packaged, ours }
    }

    /// The change that an install for `which` manager makes: none for a user's, who may not.
    #[must_use]
    pub fn change(&self, which: Which) -> Option<Change> {
        if which == Which::User || self.is_packaged() {
            return None;
        }
        let change = Change {
            path: self.ours.clone(),
            before: read(&self.ours),
            after: Some(Entry::File {
                text: catalog::text(),
                mode: READABLE,
            }),
        };
        (change.before != change.after).then_some(change)
    }

    /// Whether there is one, of this version or another.
    #[must_use]
    pub fn is_placed(&self) -> bool {
        self.ours.exists() || self.packaged.exists()
    }

    /// The command with which root places it.
    #[must_use]
    pub fn command(&self) -> String {
        format!(
            "portkeep catalog | sudo install -D -m 644 /dev/stdin {} && sudo journalctl --update-catalog",
            self.ours.display()
        )
    }

    /// Whether a package or a configuration has placed the one of this version.
    fn is_packaged(&self) -> bool {
        fs::read_to_string(&self.packaged).is_ok_and(|text| text == catalog::text())
    }

    /// Carries a change out, and has the database made again.
    ///
    /// # Errors
    /// When the file cannot be written, or somebody else could write it, or the database cannot be made.
    pub async fn apply(&self, change: &Change) -> Result<(), CatalogError> {
        self.write(change).map_err(|source| CatalogError::File {
            path: change.path.display().to_string(),
            source,
        })?;
        update().await
    }

    fn write(&self, change: &Change) -> io::Result<()> {
        let there = change.path.ancestors().skip(1).find(|level| level.exists());
        check_trusted(there.unwrap_or(Path::new("/")))?;
        let mut journal = Journal::default();
        journal.apply(change)?;
        journal.keep();
        Ok(())
    }

    /// The change when the last app is removed: a file that is not as we made it stays.
    #[must_use]
    pub fn removal(&self, which: Which) -> Option<Change> {
        let before = read(&self.ours).filter(|_| which == Which::System)?;
        (before.text() == catalog::text()).then(|| Change {
            path: self.ours.clone(),
            before: Some(before),
            after: None,
        })
    }
}

fn read(path: &Path) -> Option<Entry> {
    use std::os::unix::fs::PermissionsExt;

    let mode = fs::symlink_metadata(path).ok()?.permissions().mode() & 0o7777;
    let text = fs::read_to_string(path).ok()?;
    Some(Entry::File { text, mode })
}

/// Has the database made from all present files.
async fn update() -> Result<(), CatalogError> {
    let mut command = Command::new("journalctl");
    command.arg("--update-catalog").kill_on_drop(true);
    let ended = timeout(DEADLINE, command.output()).await;
    match ended {
        Ok(Ok(output)) if output.status.success() => Ok(()),
        Ok(Ok(output)) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.lines().rev().find(|line| !line.trim().is_empty());
            let last = last.map_or_else(|| output.status.to_string(), str::to_owned);
            Err(CatalogError::Database(last))
        }
        Ok(Err(error)) => Err(CatalogError::Database(error.to_string())),
        Err(_elapsed) => Err(CatalogError::Database(format!(
            "it took longer than {DEADLINE:?}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn machine() -> (tempfile::TempDir, Catalog) {
        let root = tempfile::tempdir().unwrap();
        let catalog = Catalog::below(root.path());
        (root, catalog)
    }

    #[test]
    fn it_is_placed_once_and_only_by_root() {
        let (_root, catalog) = machine();
        assert_eq!(catalog.change(Which::User), None);
        assert!(!catalog.is_placed());
        let change = catalog.change(Which::System).unwrap();
        catalog.write(&change).unwrap();
        assert!(catalog.is_placed());
        let mode = fs::metadata(&catalog.ours).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, READABLE);
        assert_eq!(catalog.change(Which::System), None);
        let removal = catalog.removal(Which::System).unwrap();
        catalog.write(&removal).unwrap();
        assert!(!catalog.ours.exists());
    }

    #[test]
    fn what_a_package_has_placed_is_enough_and_what_a_person_changed_stays() {
        let (_root, catalog) = machine();
        fs::create_dir_all(catalog.packaged.parent().unwrap()).unwrap();
        fs::write(&catalog.packaged, catalog::text()).unwrap();
        assert_eq!(catalog.change(Which::System), None);
        fs::write(&catalog.packaged, "of another version").unwrap();
        assert!(catalog.change(Which::System).is_some());
        fs::create_dir_all(catalog.ours.parent().unwrap()).unwrap();
        fs::write(&catalog.ours, "mine").unwrap();
        assert_eq!(catalog.removal(Which::System), None);
    }

    #[test]
    fn a_directory_that_others_may_write_is_not_used() {
        let (root, catalog) = machine();
        let directory = root.path().join("usr/local/lib/systemd/catalog");
        fs::create_dir_all(&directory).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).unwrap();
        let change = catalog.change(Which::System).unwrap();
        let error = catalog.write(&change).unwrap_err().to_string();
        assert!(error.contains("catalog"), "{error}");
        assert!(!catalog.ours.exists());
    }
}
