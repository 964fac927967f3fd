//! Leftovers of an earlier session.

use anyhow::Context;
use portkeep_engine::Store;
use portkeep_engine::process::Children;

/// Ends the processes that a killed session left running, and describes them.
pub(super) async fn end(store: &Store) -> Vec<String> {
    let left = Children::of(store).end_left().await;
    let told = |one| format!("ended {one}, which a killed `portkeep dev` had left running");
    left.into_iter().map(told).collect()
}

/// Removes files that only a running `portkeep dev` needs. The history stays.
pub(super) fn remove(store: &Store) -> anyhow::Result<()> {
    for directory in [
        store.run_directory().to_owned(),
        store.state_directory().join("releases"),
        store.state_directory().join("build"),
    ] {
        match std::fs::remove_dir_all(&directory) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error)
                    .with_context(|| format!("cannot remove {}", directory.display()));
            }
            _ => {}
        }
    }
    Ok(())
}
