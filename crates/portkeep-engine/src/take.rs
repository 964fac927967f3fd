//! Takes the release that the spec describes now: look, refuse, copy, digest.

mod contents;
mod error;
mod look;
mod recipe;

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use portkeep_spec::Spec;

pub use error::TakeError;
pub(crate) use look::Look;
pub(crate) use recipe::Recipe;

use crate::release::{Digest, Release};
use crate::store::Store;

/// Where what is run is not copied: stores whose files never change, and the distribution's own directories, whose
/// interpreters find their libraries by where they are.
const RUN_IN_PLACE: [&str; 6] = ["/nix/store", "/gnu/store", "/usr", "/bin", "/sbin", "/lib"];
/// Below those, and yet the administrator's own.
const COPIED: &str = "/usr/local";

/// How often a file that changes while it is copied is tried again.
const ATTEMPTS: u32 = 50;
/// Keeps us from competing with the writer for the disk.
const PAUSE: Duration = Duration::from_millis(20);

/// Takes what `spec` describes, or answers one of `known` where nothing changed since that was taken.
///
/// # Errors
/// When the executable is missing, not executable or still being written.
pub(crate) fn take(
    spec: &Spec,
    recipe: &Recipe,
    store: &Store,
    known: &[Release],
) -> Result<Release, TakeError> {
    for _ in 0..ATTEMPTS {
        let look = Look::at(spec)?;
        if let Some(known) = known.iter().find(|known| known.is_made_of(&look, recipe)) {
            return Ok(known.clone());
        }
        check(look.executable())?;
        match copy_and_digest(&look, recipe, store) {
            // Replaced while it was read (a build unlinks its output before it links the new one): look again.
            Err(TakeError::Io { source, .. } | TakeError::Copy { source, .. })
                if source.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
            Ok((digest, executable)) => {
                if Look::at(spec).is_ok_and(|now| now == look) {
                    return Ok(Release::new(digest, executable, look, recipe.clone()));
                }
            }
        }
        std::thread::sleep(PAUSE);
    }
    Err(TakeError::StillBeingWritten(
        spec.exec.first().map(PathBuf::from).unwrap_or_default(),
    ))
}

/// The executable that a handover would take now.
///
/// # Errors
/// When it is missing, empty or not executable: a handover would be refused for the same reason.
pub fn executable_of(spec: &Spec) -> Result<PathBuf, TakeError> {
    let look = Look::at(spec)?;
    check(look.executable())?;
    Ok(look.executable().to_owned())
}

fn check(source: &Path) -> Result<(), TakeError> {
    let metadata = fs::metadata(source).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => TakeError::Missing(source.to_owned()),
        _ => TakeError::Io {
            path: source.to_owned(),
            source: error,
        },
    })?;
    if !metadata.is_file() {
        return Err(TakeError::NotAFile(source.to_owned()));
    }
    if metadata.len() == 0 {
        return Err(TakeError::Empty(source.to_owned()));
    }
    if metadata.permissions().mode() & 0o111 == 0 {
        return Err(TakeError::NotExecutable(source.to_owned()));
    }
    Ok(())
}

/// Digests the release and puts its executable where no build overwrites it.
fn copy_and_digest(
    look: &Look,
    recipe: &Recipe,
    store: &Store,
) -> Result<(Digest, PathBuf), TakeError> {
    let fail = |path: &Path| {
        let path = path.to_owned();
        move |source| TakeError::Io { path, source }
    };
    let source = look.executable();
    let copying = |error| TakeError::Copy {
        from: source.to_owned(),
        to: store.releases_directory(),
        source: error,
    };
    let in_place =
        !source.starts_with(COPIED) && RUN_IN_PLACE.iter().any(|place| source.starts_with(place));
    let mut hasher = blake3::Hasher::new();
    let staged = if in_place {
        contents::digest(source, &mut hasher).map_err(fail(source))?;
        None
    } else {
        let staged = store.place_to_stage().map_err(copying)?;
        if store.may_share(source) && fs::hard_link(source, &staged).is_ok() {
            contents::digest(&staged, &mut hasher).map_err(fail(source))?;
        } else {
            contents::copy_and_digest(source, &staged, &mut hasher).map_err(copying)?;
        }
        Some(staged)
    };
    for other in look.others() {
        contents::digest(other, &mut hasher).map_err(fail(other))?;
    }
    recipe.hash(&mut hasher);
    let digest = Digest(hasher.finalize().to_hex()[..32].to_owned());
    let executable = match staged {
        None => source.to_owned(),
        Some(staged) => {
            let name = source.file_name().unwrap_or(OsStr::new("app"));
            store
                .keep_executable(&staged, &digest, name)
                .map_err(copying)?
        }
    };
    Ok((digest, executable))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::directories::Directories;

    struct Project {
        directory: tempfile::TempDir,
        store: Store,
        spec: Spec,
    }

    impl Project {
        /// One whose `target/app` is built and has a second name, as what cargo makes has.
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let name = "app".parse().unwrap();
            let directories = Directories {
                run: directory.path().join("run"),
                state: directory.path().join("state"),
            };
            let store = Store::open(&name, &directories).unwrap();
            let built = directory.path().join("target/app");
            let spec = Spec::new(name, vec![built.display().to_string()], Vec::new());
            let project = Self {
                directory,
                store,
                spec,
            };
            project.build("one");
            project
        }

        fn built(&self) -> PathBuf {
            self.directory.path().join("target/app")
        }

        /// As cargo does: what was there is removed first.
        fn build(&self, contents: &str) {
            let (made, shown) = (self.built().with_extension("made"), self.built());
            fs::create_dir_all(made.parent().unwrap()).unwrap();
            for name in [&made, &shown] {
                let _ = fs::remove_file(name);
            }
            fs::write(&made, contents).unwrap();
            fs::set_permissions(&made, PermissionsExt::from_mode(0o755)).unwrap();
            fs::hard_link(&made, &shown).unwrap();
        }

        /// As `portkeep dev` does, and what runs from there on.
        fn publish(&mut self) {
            let published = self.store.published(&self.spec.name);
            fs::create_dir_all(published.parent().unwrap()).unwrap();
            let _ = fs::remove_file(&published);
            fs::hard_link(self.built(), &published).unwrap();
            self.spec.exec = vec![published.display().to_string()];
        }

        fn take(&self) -> Release {
            let recipe = Recipe::of(&self.spec, &BTreeMap::new(), "");
            let release = take(&self.spec, &recipe, &self.store, &[]).unwrap();
            self.store.keep_release(&release).unwrap();
            release
        }
    }

    fn inode(path: &Path) -> u64 {
        fs::metadata(path).unwrap().ino()
    }

    #[test]
    fn what_a_build_may_overwrite_is_copied() {
        let project = Project::new();
        let release = project.take();
        assert_ne!(inode(&release.executable), inode(&project.built()));
        // In place, as no cargo does.
        fs::write(project.built(), "two").unwrap();
        assert_eq!(fs::read(&release.executable).unwrap(), b"one");
        assert!(release.is_intact());
        assert_ne!(project.take().digest, release.digest);
    }

    #[test]
    fn what_was_published_is_not_copied_and_the_next_build_leaves_it_as_it_is() {
        let copied = Project::new().take().digest;
        let mut project = Project::new();
        project.publish();
        let release = project.take();
        assert_eq!(inode(&release.executable), inode(&project.built()));
        assert_eq!(release.digest, copied, "the same contents");
        project.build("two");
        project.publish();
        let next = project.take();
        assert_ne!(next.digest, release.digest);
        assert_eq!(fs::read(&release.executable).unwrap(), b"one");
        assert_eq!(fs::read(&next.executable).unwrap(), b"two");
        assert!(release.is_intact() && next.is_intact());
        let recipe = Recipe::of(&project.spec, &BTreeMap::new(), "");
        let look = Look::at(&project.spec).unwrap();
        assert!(next.is_made_of(&look, &recipe), "names came and went");
    }

    #[test]
    fn what_was_written_into_is_no_release_any_more() {
        let mut project = Project::new();
        project.publish();
        let release = project.take();
        assert!(release.is_intact());
        fs::write(project.built(), "other contents").unwrap();
        assert!(!release.is_intact());
    }
}
