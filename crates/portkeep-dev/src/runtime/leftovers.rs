//! Leftovers of an earlier session.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context;
use portkeep_engine::Store;
use portkeep_engine::process::Children;

use crate::pages;

/// Ends the processes that a killed session left running, and describes them.
pub(super) async fn end(store: &Store) -> Vec<String> {
    let left = Children::of(store).end_left().await;
    let told = |one| format!("ended {one}, which a killed `portkeep dev` had left running");
    left.into_iter().map(told).collect()
}

/// Removes files that only a running session needs. The history stays, and so does the socket for questions, as long as it is
/// there: another session may follow, whose answer somebody waits for.
pub(super) fn remove(store: &Store) -> anyhow::Result<()> {
    for directory in [
        store.state_directory().join("releases"),
        store.state_directory().join("build"),
    ] {
        remove_all(&directory)?;
    }
    let run = store.run_directory();
    let kept = pages::socket_path(run);
    if !kept.exists() {
        return remove_all(run);
    }
    let entries = fs::read_dir(run).with_context(|| format!("cannot read {}", run.display()))?;
    for path in entries.flatten().map(|entry| entry.path()) {
        if path != kept {
            remove_all(&path)?;
        }
    }
    Ok(())
}

fn remove_all(path: &Path) -> anyhow::Result<()> {
    let removed = match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
