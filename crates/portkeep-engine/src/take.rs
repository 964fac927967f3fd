//! Takes the release that the spec describes now: look, refuse, copy, digest.

mod error;
mod look;
mod recipe;

use std::ffi::OsStr;
use std::fs::{self, File};
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

/// Digests the release and puts a copy of the executable where no build overwrites it.
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
    // The copy is digested, not the source: what is named is what will run.
    let staged = match in_place {
        true => None,
        false => Some(store.stage_executable(source).map_err(copying)?),
    };
    let mut hasher = blake3::Hasher::new();
    hash_file(&mut hasher, staged.as_deref().unwrap_or(source)).map_err(fail(source))?;
    for other in look.others() {
        hash_file(&mut hasher, other).map_err(fail(other))?;
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

fn hash_file(hasher: &mut blake3::Hasher, path: &Path) -> io::Result<()> {
    hasher.update_reader(File::open(path)?)?;
    Ok(())
}
