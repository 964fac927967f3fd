//! Publishes a build: puts it where the units or the local backend look for it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, anyhow};
use portkeep_engine::Store;
use portkeep_engine::store::atomic_symlink;
use portkeep_spec::Spec;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::handing_over::HandingOver;
use super::version_names::VersionNames;
use crate::project::Project;

/// Number of the next published file.
static NEXT: AtomicU64 = AtomicU64::new(0);
/// Extension of a file that is not in its place yet, or no longer.
const STAGED: &str = "new";

/// Place of the built executable. It is our own path and not cargo's: a file that appears there was built completely, and
/// has passed all checks.
#[derive(Debug, Clone)]
pub(super) enum Published {
    /// This session puts it there.
    Publication(Publication),
    /// The spec names its executable itself.
    BySpec,
}

/// Published executable of a session.
#[derive(Debug, Clone)]
pub(super) struct Publication {
    place: PathBuf,
    /// File with the path where it was built.
    from: PathBuf,
    /// Names beside the build; none if the app outlives this process.
    beside: Option<VersionNames>,
}

impl Published {
    /// Points `spec` at the published path. An app that outlives this process does not use cargo's directory.
    pub(super) fn prepare(
        project: &Project,
        store: &Store,
        spec: &mut Spec,
        goes_on: bool,
    ) -> anyhow::Result<Self> {
        if !project.publishes() {
            return Ok(Self::BySpec);
        }
        let (path, from) = (
            store.published(&spec.name),
            store.published_from(&spec.name),
        );
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)
                .with_context(|| format!("cannot make {}", parent.display()))?;
            sweep(parent).with_context(|| format!("cannot clean {}", parent.display()))?;
        }
        if let Some(first) = spec.exec.first_mut() {
            *first = path.display().to_string();
        }
        spec.watch = Some(path.clone());
        // A leftover of a killed run, whose contents are not ours.
        let _ = fs::remove_file(&from);
        Ok(Self::Publication(Publication {
            place: path,
            from,
            beside: (!goes_on).then(|| VersionNames::of(spec)),
        }))
    }

    /// Publishes by one rename, so that nobody sees a part of it. Drop the result when the new version serves.
    pub(super) fn publish(&self, executable: Option<&Path>) -> anyhow::Result<Replaced> {
        let Self::Publication(here) = self else {
            return Ok(Replaced(None));
        };
        here.publish(executable.ok_or_else(no_executable)?)
    }

    /// Removes the names beside the build.
    pub(super) fn remove(&self) {
        if let Self::Publication(Publication {
            beside: Some(beside),
            ..
        }) = self
        {
            beside.remove();
        }
    }
}

impl Publication {
    fn publish(&self, executable: &Path) -> anyhow::Result<Replaced> {
        let path = &self.place;
        // The published file and the one that runs beside the build are the same, whatever another build does meanwhile.
        let beside = self.beside.as_ref();
        let named = beside.and_then(|beside| beside.name(executable).ok());
        let executable = named.as_ref().map_or(executable, |named| &named.path);
        let fail = || format!("cannot put {} at {}", executable.display(), path.display());
        // An earlier replaced file may still be in use under the last of these names.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let staged = path.with_extension(format!("{number}.{STAGED}"));
        let _ = fs::remove_file(&staged);
        // A link costs nothing; on another file system it has to be a copy.
        if fs::hard_link(executable, &staged).is_err() {
            fs::copy(executable, &staged).with_context(fail)?;
        }
        // Readers check that it leads to the published file.
        let _ = match &named {
            Some(named) => atomic_symlink(&named.path, &self.from),
            None => fs::remove_file(&self.from),
        };
        // A rename onto an existing name makes ext4 begin to write the new file to disk (auto_da_alloc) and frees the old
        // one: tens of milliseconds for 200 MB. Exchanging two names does neither.
        if renameat_with(CWD, &staged, CWD, path, RenameFlags::EXCHANGE).is_err() {
            // Nothing is there yet, or the file system cannot exchange names.
            fs::rename(&staged, path).with_context(fail)?;
        }
        // If both were names of one file, neither rename moved anything, and the other name is left.
        Ok(Replaced(Some(staged)))
    }
}

/// The error for an executable that cargo did not name.
pub(super) fn no_executable() -> anyhow::Error {
    anyhow!(
        "cargo built the project but named no executable; name it with `exec` in a portkeep.json"
    )
}

/// Removes leftovers of a killed run.
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

/// The replaced file under another name, removed when this is dropped. Freeing a large file takes the file system a while,
/// in which the new version could have served.
#[derive(Debug)]
pub(super) struct Replaced(Option<PathBuf>);

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
        if let Some(path) = self.0.take() {
            // There may be none, if nothing was there before.
            std::thread::spawn(move || fs::remove_file(path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_is_replaced_whole_and_what_was_there_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("app");
        let spec = Spec::new("app".parse().unwrap(), Vec::new(), Vec::new());
        let published = Published::Publication(Publication {
            place: place.clone(),
            from: directory.path().join("app.built"),
            beside: Some(VersionNames::of(&spec)),
        });
        for contents in ["one", "two", "two"] {
            let built = directory.path().join("built");
            let _ = fs::remove_file(&built);
            fs::write(&built, contents).unwrap();
            let replaced = published.publish(Some(&built)).unwrap();
            assert_eq!(fs::read_to_string(&place).unwrap(), contents);
            let from = fs::read_link(directory.path().join("app.built")).unwrap();
            assert_eq!(fs::read_to_string(from).unwrap(), contents);
            let other = replaced.0.clone().unwrap();
            drop(replaced);
            let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
            while other.exists() {
                assert!(std::time::Instant::now() < end, "{} stays", other.display());
                std::thread::yield_now();
            }
        }
        fs::write(place.with_extension(format!("7.{STAGED}")), "left").unwrap();
        sweep(directory.path()).unwrap();
        published.remove();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 3);
        // The same file again: cargo had nothing to do.
        let built = directory.path().join("built");
        drop(published.publish(Some(&built)).unwrap());
        assert_eq!(fs::read_to_string(&place).unwrap(), "two");
    }
}
