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

/// Numbers what is published.
static NEXT: AtomicU64 = AtomicU64::new(0);
/// The extension of what is not in its place yet, or not any more.
const STAGED: &str = "new";

/// The place of the built executable. A path of our own and not cargo's: what appears there was built whole, and has
/// passed whatever stands between the build and the swap.
#[derive(Debug, Clone)]
pub(super) enum Published {
    /// We put it there.
    Publication(Publication),
    /// The spec names its executable itself.
    BySpec,
}

/// Published executable of a session.
#[derive(Debug, Clone)]
pub(super) struct Publication {
    place: PathBuf,
    /// Where it says where that was built.
    from: PathBuf,
    /// Names there; none where the app goes on when we end.
    beside: Option<VersionNames>,
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
        // A run that was killed has left it, and what it says is none of ours.
        let _ = fs::remove_file(&from);
        Ok(Self::Publication(Publication {
            place: path,
            from,
            beside: (!goes_on).then(|| VersionNames::of(spec)),
        }))
    }

    /// Publishes by one rename, so that nobody sees a part of it. The answer is to be dropped when the new
    /// version serves.
    pub(super) fn publish(&self, executable: Option<&Path>) -> anyhow::Result<Replaced> {
        let Self::Publication(here) = self else {
            return Ok(Replaced(None));
        };
        here.publish(executable.ok_or_else(no_executable)?)
    }

    /// Removes the names where it was built.
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
        // What is published, and what runs where it was built, is one file, whatever another build does meanwhile.
        let beside = self.beside.as_ref();
        let named = beside.and_then(|beside| beside.name(executable).ok());
        let executable = named.as_ref().map_or(executable, |named| &named.path);
        let fail = || format!("cannot put {} at {}", executable.display(), path.display());
        // What was replaced before may still be on its way out under the last of these names.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let staged = path.with_extension(format!("{number}.{STAGED}"));
        let _ = fs::remove_file(&staged);
        // A link costs nothing; on another file system it takes a copy.
        if fs::hard_link(executable, &staged).is_err() {
            fs::copy(executable, &staged).with_context(fail)?;
        }
        // It is believed only where it leads to what is published.
        let _ = match &named {
            Some(named) => atomic_symlink(&named.path, &self.from),
            None => fs::remove_file(&self.from),
        };
        // A rename onto a name that exists makes ext4 begin to write the new file to the disk (auto_da_alloc) and frees the
        // old one: tens of milliseconds for 200 MB. Exchanging two names does neither.
        if renameat_with(CWD, &staged, CWD, path, RenameFlags::EXCHANGE).is_err() {
            // Nothing is there yet, or the file system cannot exchange.
            fs::rename(&staged, path).with_context(fail)?;
        }
        // Where both were names of the same file, neither rename moves anything, and the other name is left.
        Ok(Replaced(Some(staged)))
    }
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
            // There may be none: nothing was there before.
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
        // The same file once more: cargo had nothing to do.
        let built = directory.path().join("built");
        drop(published.publish(Some(&built)).unwrap());
        assert_eq!(fs::read_to_string(&place).unwrap(), "two");
    }
}
