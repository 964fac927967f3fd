//! Creates portkeep's directories with the intended modes, whatever the umask is, and corrects those that an older version or
//! another umask made.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::process::geteuid;

use super::trusted;

/// For directories that the app has to pass, whatever its user: nobody else can list them.
pub(crate) const TRAVERSED: u32 = 0o711;
/// For private directories.
pub(crate) const CLOSED: u32 = 0o700;
const OWNER_BITS: u32 = 0o700;

/// Creates one of our directories with its missing parents, or corrects its mode.
///
/// # Errors
/// When it cannot be made; or where somebody else could replace it: the message names the level, its owner and the remedy.
pub fn make(directory: &Path, mode: u32) -> io::Result<()> {
    if !directory.exists() {
        make_missing(directory, Some(mode))?;
    }
    trusted::check(directory)?;
    let fail = |error: io::Error| about("correct the mode of", directory, &error);
    let metadata = fs::metadata(directory).map_err(fail)?;
    if !metadata.is_dir() {
        return Err(fail(io::ErrorKind::NotADirectory.into()));
    }
    // The owner decides about the owner's own rights: a read-only directory is meant so.
    let corrected = metadata.mode() & OWNER_BITS | mode & !OWNER_BITS;
    if metadata.uid() == geteuid().as_raw() && metadata.mode() & 0o7777 != corrected {
        fs::set_permissions(directory, Permissions::from_mode(corrected)).map_err(fail)?;
    }
    Ok(())
}

/// Starts at the last existing level, which has to be trusted first. Parents that are not ours get the mode that the umask
/// leaves, as with `mkdir -p`.
fn make_missing(directory: &Path, mode: Option<u32>) -> io::Result<()> {
    let Some(parent) = directory.parent() else {
        return Ok(());
    };
    if parent.exists() {
        trusted::check(parent)?;
    } else {
        make_missing(parent, None)?;
    }
    match DirBuilder::new()
        .mode(mode.unwrap_or(0o777))
        .create(directory)
    {
        // Another process was faster: the caller checks it like an existing one.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map_err(|error| about("make", directory, &error)),
    }
}

fn about(doing: &str, path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(
        error.kind(),
        format!("cannot {doing} {}: {error}", path.display()),
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{lchown, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn modes_are_those_we_mean_and_others_are_corrected() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("portkeep/app");
        make(&directory, TRAVERSED).unwrap();
        assert_eq!(mode(&directory), TRAVERSED);
        for (wrong, corrected) in [
            (0o755, 0o711),
            (0o700, 0o711),
            (0o2755, 0o711),
            (0o000, 0o011),
            (0o555, 0o511),
        ] {
            fs::set_permissions(&directory, Permissions::from_mode(wrong)).unwrap();
            make(&directory, TRAVERSED).unwrap();
            assert_eq!(mode(&directory), corrected, "{wrong:o}");
        }
        fs::set_permissions(&directory, Permissions::from_mode(0o755)).unwrap();
        make(&directory, CLOSED).unwrap();
        assert_eq!(mode(&directory), CLOSED);
    }

    #[test]
    fn what_others_could_replace_is_refused_and_left_as_it_is() {
        let root = tempfile::tempdir().unwrap();
        let open_to_all = root.path().join("open");
        fs::create_dir(&open_to_all).unwrap();
        fs::set_permissions(&open_to_all, Permissions::from_mode(0o777)).unwrap();
        let error = make(&open_to_all.join("a/b"), TRAVERSED).unwrap_err();
        assert!(
            error.to_string().contains("written by everybody"),
            "{error}"
        );
        assert_eq!(fs::read_dir(&open_to_all).unwrap().count(), 0);
        let private = root.path().join("private");
        make(&private, CLOSED).unwrap();
        symlink(&private, root.path().join("ours")).unwrap();
        let link = root.path().join("ours");
        make(&link, TRAVERSED).unwrap();
        assert_eq!(mode(&private), TRAVERSED, "a link of our own is as good");
        if geteuid().is_root() {
            lchown(&link, Some(4242), None).unwrap();
            assert!(make(&link, CLOSED).is_err());
            assert_eq!(mode(&private), TRAVERSED);
        }
    }

    #[test]
    fn what_cannot_be_made_is_named() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("file"), "x").unwrap();
        let path = root.path().join("file/below");
        let error = make(&path, TRAVERSED).unwrap_err();
        let named = root.path().join("file");
        assert!(
            error.to_string().contains(&named.display().to_string()),
            "{error}"
        );
    }
}
