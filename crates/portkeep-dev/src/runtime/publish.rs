//! Puts what was built where the units (or the local backend) look for it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, anyhow};
use portkeep_engine::Store;
use portkeep_engine::store::atomic_symlink;
use portkeep_spec::Spec;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::handing_over::HandingOver;
use crate::project::Project;

/// Numbers what is published.
static NEXT: AtomicU64 = AtomicU64::new(0);
/// The extension of what is not in its place yet, or not any more.
const STAGED: &str = "new";

/// What the name of an executable is followed by where it is kept beside itself, and then a number.
const KEPT: &str = ".portkeep-";
/// So many versions are kept besides those that a rollback may want: one that serves, and one that starts.
const BESIDES: usize = 2;

/// The place of the built executable. A path of our own and not cargo's: what appears there was built whole, and has
/// passed whatever stands between the build and the swap.
#[derive(Debug, Clone)]
pub(super) enum Published {
    /// We put it there.
    Here(Here),
    /// The spec names its executable itself.
    BySpec,
}

/// What is published by us.
#[derive(Debug, Clone)]
pub(super) struct Here {
    place: PathBuf,
    /// What runs, runs where it was built: the app may look for its files from there.
    runs_in_place: bool,
    /// How many versions are kept where they were built.
    keeps: usize,
    /// The directories that versions are kept in.
    directories: Arc<Mutex<BTreeSet<PathBuf>>>,
}

impl Published {
    /// Points `spec` at what will be published. What goes on without us does so without cargo's directory.
    pub(super) fn prepare(
        project: &Project,
        store: &Store,
        spec: &mut Spec,
        goes_on: bool,
    ) -> anyhow::Result<Self> {
        if !project.publishes() {
            return Ok(Self::BySpec);
        }
        let path = store.published(&spec.name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)
                .with_context(|| format!("cannot make {}", parent.display()))?;
            sweep(parent).with_context(|| format!("cannot clean {}", parent.display()))?;
        }
        let built = spec.exec.first().cloned();
        let releaser = spec.release.first_mut();
        for program in releaser
            .filter(|program| Some(&**program) == built.as_ref())
            .into_iter()
            .chain(spec.exec.first_mut())
        {
            *program = path.display().to_string();
        }
        spec.watch = Some(path.clone());
        Ok(Self::Here(Here {
            place: path,
            runs_in_place: !goes_on,
            keeps: spec.keep_generations as usize + BESIDES,
            directories: Arc::default(),
        }))
    }

    /// Publishes by one rename, so that nobody sees a part of it. The answer is to be dropped when the new
    /// version serves.
    pub(super) fn publish(&self, executable: Option<&Path>) -> anyhow::Result<Replaced> {
        let Self::Here(here) = self else {
            return Ok(Replaced(Vec::new()));
        };
        let executable = executable.ok_or_else(no_executable)?;
        if here.runs_in_place
            && let Ok(replaced) = here.publish_in_place(executable)
        {
            return Ok(replaced);
        }
        here.publish_elsewhere(executable)
    }

    /// Removes what is kept where it was built.
    pub(super) fn remove(&self) {
        let Self::Here(here) = self else { return };
        let mut directories = here
            .directories
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for directory in std::mem::take(&mut *directories) {
            for (_, path) in kept(&directory, None) {
                let _ = fs::remove_file(path);
            }
        }
    }
}

impl Here {
    /// Gives the executable one more name beside it, which the next build does not take away, and leads there.
    fn publish_in_place(&self, executable: &Path) -> anyhow::Result<Replaced> {
        let built = fs::metadata(executable)?;
        let is_same = fs::metadata(&self.place).is_ok_and(|now| {
            (now.dev(), now.ino(), now.mtime(), now.mtime_nsec())
                == (built.dev(), built.ino(), built.mtime(), built.mtime_nsec())
        });
        if is_same && self.place.is_symlink() {
            return Ok(Replaced(Vec::new()));
        }
        let directory = executable.parent().context("it is in no directory")?;
        let name = executable.file_name().context("it has no name")?;
        let mut directories = self
            .directories
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if directories.insert(directory.to_owned()) {
            // A run that was killed has left them.
            for (_, path) in kept(directory, Some(name)) {
                let _ = fs::remove_file(path);
            }
        }
        drop(directories);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut file = name.to_owned();
        file.push(format!("{KEPT}{number}"));
        let path = directory.join(file);
        fs::hard_link(executable, &path)?;
        atomic_symlink(&path, &self.place)?;
        let mut old = kept(directory, Some(name));
        let newest = old.len().saturating_sub(self.keeps);
        old.truncate(newest);
        Ok(Replaced(old.into_iter().map(|(_, path)| path).collect()))
    }

    fn publish_elsewhere(&self, executable: &Path) -> anyhow::Result<Replaced> {
        let path = &self.place;
        let fail = || format!("cannot put {} at {}", executable.display(), path.display());
        // What was replaced before may still be on its way out under the last of these names.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let staged = path.with_extension(format!("{number}.{STAGED}"));
        let _ = fs::remove_file(&staged);
        // A link costs nothing; on another file system it takes a copy.
        if fs::hard_link(executable, &staged).is_err() {
            fs::copy(executable, &staged).with_context(fail)?;
        }
        // A rename onto a name that exists makes ext4 begin to write the new file to the disk (auto_da_alloc) and frees the
        // old one: tens of milliseconds for 200 MB. Exchanging two names does neither.
        if renameat_with(CWD, &staged, CWD, path, RenameFlags::EXCHANGE).is_err() {
            // Nothing is there yet, or the file system cannot exchange.
            fs::rename(&staged, path).with_context(fail)?;
        }
        // Where both were names of the same file, neither rename moves anything, and the other name is left.
        Ok(Replaced(vec![staged]))
    }
}

/// The names of ours in a directory, of one executable or of all, oldest first.
fn kept(directory: &Path, of: Option<&OsStr>) -> Vec<(u64, PathBuf)> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let number = |path: PathBuf| {
        let (name, number) = path.file_name()?.to_str()?.rsplit_once(KEPT)?;
        let is_of = of.is_none_or(|of| of == name);
        let number = number.parse().ok().filter(|_| is_of)?;
        Some((number, path))
    };
    let mut found: Vec<_> = entries.filter_map(|entry| number(entry.path())).collect();
    found.sort();
    found
}

/// The executable that cargo did not name.
pub(super) fn no_executable() -> anyhow::Error {
    anyhow!(
        "cargo built the project but named no executable; name it with `exec` in a portkeep.json"
    )
}

/// Removes what a run left that was killed.
fn sweep(directory: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == STAGED)
        {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// What was published before, under another name, and removed when this is dropped. To free a large file takes the file
/// system a while, in which the new version could have served.
#[derive(Debug)]
pub(super) struct Replaced(Vec<PathBuf>);

impl Replaced {
    pub(super) fn dropped_after(self, handover: HandingOver) -> HandingOver {
        Box::pin(async move {
            let _until_it_is_over = self;
            handover.await
        })
    }
}

impl Drop for Replaced {
    fn drop(&mut self) {
        let paths = std::mem::take(&mut self.0);
        if paths.is_empty() {
            return;
        }
        std::thread::spawn(move || {
            for path in paths {
                // There may be none: nothing was there before.
                let _ = fs::remove_file(path);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here(place: &Path, runs_in_place: bool) -> Published {
        Published::Here(Here {
            place: place.to_owned(),
            runs_in_place,
            keeps: 2,
            directories: Arc::default(),
        })
    }

    #[test]
    fn what_runs_where_it_was_built_keeps_its_name_there_for_a_while() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("app");
        let target = directory.path().join("target");
        fs::create_dir(&target).unwrap();
        fs::write(target.join(format!("app{KEPT}99")), "of a killed one").unwrap();
        fs::write(target.join(format!("other{KEPT}99")), "of another app").unwrap();
        let published = here(&place, true);
        let built = target.join("app");
        for contents in ["one", "two", "three"] {
            let _ = fs::remove_file(&built);
            fs::write(&built, contents).unwrap();
            for _ in 0..2 {
                drop(published.publish(Some(&built)).unwrap());
                let real = fs::canonicalize(&place).unwrap();
                assert_eq!(real.parent(), Some(&*fs::canonicalize(&target).unwrap()));
                assert_ne!(real.file_name(), built.file_name());
                assert_eq!(fs::read_to_string(&real).unwrap(), contents);
            }
        }
        let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while kept(&target, Some(OsStr::new("app"))).len() > 2 {
            assert!(std::time::Instant::now() < end);
            std::thread::yield_now();
        }
        published.remove();
        assert_eq!(kept(&target, None), []);
    }

    #[test]
    fn what_is_published_is_replaced_whole_and_what_was_there_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("app");
        let published = here(&place, false);
        for contents in ["one", "two", "two"] {
            let built = directory.path().join("built");
            let _ = fs::remove_file(&built);
            fs::write(&built, contents).unwrap();
            let replaced = published.publish(Some(&built)).unwrap();
            assert_eq!(fs::read_to_string(&place).unwrap(), contents);
            let other = replaced.0[0].clone();
            drop(replaced);
            let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
            while other.exists() {
                assert!(std::time::Instant::now() < end, "{} stays", other.display());
                std::thread::yield_now();
            }
        }
        fs::write(place.with_extension(format!("7.{STAGED}")), "left").unwrap();
        sweep(directory.path()).unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
        // The same file once more: cargo had nothing to do.
        let built = directory.path().join("built");
        drop(published.publish(Some(&built)).unwrap());
        assert_eq!(fs::read_to_string(&place).unwrap(), "two");
    }
}
