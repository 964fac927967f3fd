//! Files that an older version left open to all.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{Store, write::PRIVATE};

/// What older versions wrote with 0644.
const IN_RUN: [&str; 2] = ["lock", "dev.lock"];
const IN_STATE: [&str; 2] = ["good.json", "last-generation"];
const IN_RELEASE: [&str; 1] = ["release.json"];
const IN_GENERATION: [&str; 3] = ["release", "ends.jsonl", "pid"];

/// Closes them. What cannot be changed is as it was: no reason not to serve.
pub(super) fn close_files(store: &Store) {
    let below = |directory: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    };
    let fixed = [
        (vec![store.run.clone()], &IN_RUN[..]),
        (vec![store.state.clone()], &IN_STATE),
        (below(&store.releases_directory()), &IN_RELEASE),
        (below(&store.generations_directory()), &IN_GENERATION),
    ];
    for (directories, names) in fixed {
        for directory in directories {
            for name in names {
                close(&directory.join(name));
            }
        }
    }
}

fn close(path: &Path) {
    let is_open = fs::symlink_metadata(path)
        .is_ok_and(|file| file.is_file() && file.mode() & 0o777 != PRIVATE);
    if is_open && let Ok(file) = File::open(path) {
        let _ = file.set_permissions(Permissions::from_mode(PRIVATE));
    }
}
