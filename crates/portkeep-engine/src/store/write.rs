//! Writes files so that a reader sees the old contents or the new, never a part.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

/// Replaces `path` by `contents` with the permission bits `mode`.
///
/// # Errors
/// What the system says of it.
pub fn atomic_write(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    let temporary = beside(path);
    let result = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&temporary)
        .and_then(|mut file| file.write_all(contents))
        .and_then(|()| fs::rename(&temporary, path));
    if result.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    result
}

/// Makes `path` a symbolic link to `target`, replacing what was there.
///
/// # Errors
/// What the system says of it.
pub fn atomic_symlink(target: &Path, path: &Path) -> io::Result<()> {
    let temporary = beside(path);
    let _ = fs::remove_file(&temporary);
    symlink(target, &temporary)?;
    fs::rename(&temporary, path)
}

/// A name in the same directory that only this process uses.
pub(super) fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}", std::process::id()))
}
