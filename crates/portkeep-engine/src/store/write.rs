//! Writes files so that a reader sees the old contents or the new, never a part.

use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use tempfile::Builder;

/// The mode of private files.
pub(crate) const PRIVATE: u32 = 0o600;

/// Replaces `path` by `contents` with the permission bits `mode`, whatever the umask is.
///
/// # Errors
/// What the system says of it.
pub fn atomic_write(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    let mut file = Builder::new()
        .prefix(&prefix(path))
        .tempfile_in(directory(path))?;
    file.write_all(contents)?;
    file.as_file()
        .set_permissions(Permissions::from_mode(mode))?;
    file.persist(path)?;
    Ok(())
}

/// Makes `path` a symbolic link to `target`, replacing an existing file.
///
/// # Errors
/// What the system says of it.
pub fn atomic_symlink(target: &Path, path: &Path) -> io::Result<()> {
    let link = Builder::new()
        .prefix(&prefix(path))
        .make_in(directory(path), |temporary| symlink(target, temporary))?;
    link.into_temp_path().persist(path)?;
    Ok(())
}

fn directory(path: &Path) -> &Path {
    path.parent()
        .filter(|directory| !directory.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Names the maker, so that leftovers of a killed process can be told from files of a running one. See `sweep`.
pub(crate) fn prefix(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    format!(".{name}.{}.", std::process::id())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn files_and_links_are_replaced_and_nothing_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("file"), directory.path().join("link"));
        for (contents, mode) in [("one", 0o644), ("two", 0o600)] {
            atomic_write(&file, contents.as_bytes(), mode).unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), contents);
            assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, mode);
            atomic_symlink(Path::new(contents), &link).unwrap();
            assert_eq!(fs::read_link(&link).unwrap(), Path::new(contents));
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
        assert!(atomic_write(&directory.path().join("no/where"), b"", 0o600).is_err());
    }
}
