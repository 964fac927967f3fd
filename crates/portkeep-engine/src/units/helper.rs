//! Helper: the copy of this program that units call. One for all apps, and one a version.
//!
//! Its directory is named after what is in it, and nothing in it is ever changed. So an app goes on with the helper that its
//! units were made for, whatever version another app is installed by; and a helper that no unit names any more is removed.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::inventory::Inventory;
use crate::directories::{CLOSED, TRAVERSED, make};

/// The directory of all helpers, below that of all apps. No app has a name with a dot.
const DIRECTORY: &str = ".helper";
const PROGRAM: &str = "portkeep";
/// How much of the digest names it.
const NAMED_BY: usize = 16;
/// How long it may take to say its version.
const PATIENCE: Duration = Duration::from_secs(20);
const EXECUTABLE: u32 = 0o755;

/// Why there is no helper.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HelperError {
    /// This program cannot be read.
    #[error("cannot read the file of this program, to copy it as the helper of the units")]
    Own(#[source] io::Error),
    /// It cannot be copied.
    #[error("cannot copy the helper to {path}")]
    Copy {
        /// Where.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It does not run where it is.
    #[error(
        "the helper at {path} does not run: {reason}; if that file system is mounted `noexec`, mount it otherwise or link \
         {} to a directory on another one", .path.ancestors().nth(3).unwrap_or(.path).display()
    )]
    DoesNotRun {
        /// Where it is.
        path: PathBuf,
        /// What came of it.
        reason: String,
    },
}

/// This program, as a helper.
#[derive(Debug)]
pub struct Helper {
    own: File,
    all: PathBuf,
    path: PathBuf,
}

impl Helper {
    /// The helper that `own`, a program of that version, becomes below `base`, which is the directory of all apps.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of(base: &Path, mut own: File, version: &str) -> Result<Self, HelperError> {
        let digest = digest_of(&mut own).map_err(HelperError::Own)?;
        let all = base.join(DIRECTORY);
        let path = all
            .join(format!("{version}-{}", &digest[..NAMED_BY]))
            .join(PROGRAM);
        Ok(Self { own, all, path })
    }

    /// Where units call it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts it there, unless it is there and intact, and sees that it runs. True if it was not there before.
    ///
    /// # Errors
    /// When it cannot be copied or does not run; nothing stays of it then.
    pub(super) fn place(&mut self) -> Result<bool, HelperError> {
        let fail = |source| HelperError::Copy {
            path: self.path.clone(),
            source,
        };
        let directory = self.path.parent().unwrap_or(&self.all).to_owned();
        let is_new = !directory.exists();
        // Nobody else can put anything there: what is in it is run as root.
        let placed = make(&self.all, TRAVERSED)
            .and_then(|()| make(&directory, TRAVERSED))
            .and_then(|()| copy(&mut self.own, &self.path))
            .map_err(fail)
            .and_then(|()| runs(&self.path));
        match placed {
            Ok(()) => Ok(is_new),
            Err(error) => {
                if is_new {
                    self.remove();
                }
                Err(error)
            }
        }
    }

    /// Removes it again.
    pub(super) fn remove(&self) {
        if let Some(directory) = self.path.parent() {
            let _ = fs::remove_dir_all(directory);
        }
        let _ = fs::remove_dir(&self.all);
    }
}

/// Copies `own` to `path`, unless the same is there already. A file that is run is not written into, but replaced.
fn copy(own: &mut File, path: &Path) -> io::Result<()> {
    own.rewind()?;
    if let Ok(mut there) = File::open(path)
        && there.metadata()?.permissions().mode() & 0o7777 == EXECUTABLE
        && digest_of(&mut there)? == digest_of(own)?
    {
        return Ok(());
    }
    let directory = path.parent().unwrap_or(Path::new("/"));
    let mut staged = tempfile::Builder::new()
        .prefix(".portkeep.")
        .tempfile_in(directory)?;
    own.rewind()?;
    io::copy(own, &mut staged)?;
    staged.flush()?;
    // Whatever the umask is: the app's user runs it as the holding page.
    let executable = Permissions::from_mode(EXECUTABLE);
    staged.as_file().set_permissions(executable)?;
    // A machine that loses power now must not come up with an empty one.
    staged.as_file().sync_all()?;
    staged.persist(path)?;
    Ok(())
}

fn digest_of(file: &mut File) -> io::Result<String> {
    file.rewind()?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finalize().to_hex().to_string()),
            length => hasher.update(&buffer[..length]),
        };
    }
}

/// Has it say its version.
fn runs(path: &Path) -> Result<(), HelperError> {
    let fail = |reason: String| HelperError::DoesNotRun {
        path: path.to_owned(),
        reason,
    };
    let mut command = Command::new(path);
    command.arg("--version");
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = start(&mut command).map_err(|error| fail(error.to_string()))?;
    let begun = std::time::Instant::now();
    loop {
        match child.try_wait().map_err(|error| fail(error.to_string()))? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(fail(format!("it ended with {status}"))),
            None if begun.elapsed() > PATIENCE => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(fail(format!("it did not end within {PATIENCE:?}")));
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// Another thread that forks at the wrong moment has the copy open for writing, and the kernel runs no such file.
fn start(command: &mut Command) -> io::Result<std::process::Child> {
    for _ in 0..100 {
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {
                std::thread::sleep(Duration::from_millis(5));
            }
            other => return other,
        }
    }
    command.spawn()
}

/// Removes the helpers below `base` that no unit of `inventories` names. What cannot be removed now is left to the next time.
pub(super) fn sweep(base: &Path, inventories: &[&Inventory]) {
    let all = base.join(DIRECTORY);
    let Ok(helpers) = fs::read_dir(&all) else {
        return;
    };
    let used: BTreeSet<&str> = inventories
        .iter()
        .flat_map(|inventory| inventory.texts())
        .flat_map(named_in)
        .collect();
    for helper in helpers.flatten() {
        if !used.contains(helper.file_name().to_string_lossy().as_ref()) {
            let _ = fs::remove_dir_all(helper.path());
        }
    }
    let _ = fs::remove_dir(all);
}

/// The helpers that a unit names, by their directories.
fn named_in(unit: &str) -> impl Iterator<Item = &str> {
    let marker = "/.helper/";
    unit.match_indices(marker).filter_map(move |(at, _)| {
        let rest = &unit[at + marker.len()..];
        rest.split_once('/').map(|(directory, _)| directory)
    })
}

/// Removes the copy that the version before kept for one app alone, in its state directory.
pub(super) fn remove_own_copy(state: &Path) {
    let copy = state.join(PROGRAM);
    if fs::symlink_metadata(&copy).is_ok_and(|file| file.is_file()) {
        let _ = fs::remove_file(copy);
    }
}

/// The lock of who places or removes units below `base`.
pub(super) fn lock_path(base: &Path) -> io::Result<PathBuf> {
    make(base, TRAVERSED)?;
    let directory = base.join(".lock");
    make(&directory, CLOSED)?;
    Ok(directory.join("units"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program that says its version, and one that does not run.
    fn program(text: &str) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    const GOOD: &str = "#!/bin/sh\nexit 0\n";

    fn unit(directory: &Path, name: &str, helper: &Path) {
        let text = format!(
            "[Unit]\nX-Portkeep-App={name}\n[Service]\nExecStart={} handle activate {name}\n",
            helper.display()
        );
        fs::write(directory.join(format!("{name}.service")), text).unwrap();
    }

    #[test]
    fn one_for_all_apps_and_one_a_version() {
        let root = tempfile::tempdir().unwrap();
        let base = root.path().join("portkeep");
        let units = root.path().join("units");
        fs::create_dir(&units).unwrap();
        let mut first = Helper::of(&base, program(GOOD), "1.0").unwrap();
        assert!(first.place().unwrap());
        assert!(!first.place().unwrap(), "it is there already");
        let mut second = Helper::of(&base, program("#!/bin/sh\ntrue\n"), "1.1").unwrap();
        assert!(second.place().unwrap());
        assert_ne!(first.path(), second.path());
        unit(&units, "a", first.path());
        unit(&units, "b", second.path());
        sweep(&base, &[&Inventory::of(&units).unwrap()]);
        assert!(first.path().exists() && second.path().exists());
        // The app that had the older one is installed anew.
        unit(&units, "a", second.path());
        sweep(&base, &[&Inventory::of(&units).unwrap()]);
        assert!(!first.path().exists() && second.path().exists());
        // The last one is gone.
        fs::remove_dir_all(&units).unwrap();
        sweep(&base, &[&Inventory::of(&units).unwrap()]);
        assert_eq!(fs::read_dir(&base).unwrap().count(), 0);
    }

    #[test]
    fn one_that_was_changed_or_closed_is_put_right() {
        let root = tempfile::tempdir().unwrap();
        let mut helper = Helper::of(root.path(), program(GOOD), "1.0").unwrap();
        helper.place().unwrap();
        fs::write(helper.path(), "").unwrap();
        helper.place().unwrap();
        assert_eq!(fs::read_to_string(helper.path()).unwrap(), GOOD);
        fs::set_permissions(helper.path(), Permissions::from_mode(0o600)).unwrap();
        helper.place().unwrap();
        let mode = fs::metadata(helper.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, EXECUTABLE);
    }

    #[test]
    fn one_that_does_not_run_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        let base = root.path().join("portkeep");
        for text in ["#!/bin/sh\nexit 3\n", "#!/no/such/interpreter\n"] {
            let mut helper = Helper::of(&base, program(text), "1.0").unwrap();
            let error = helper.place().unwrap_err();
            let said = error.to_string();
            assert!(
                said.contains("does not run") && said.contains("noexec"),
                "{said}"
            );
            assert_eq!(fs::read_dir(&base).unwrap().count(), 0);
        }
    }
}
