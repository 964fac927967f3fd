//! What a session leaves behind.

use anyhow::Context;
use portkeep_engine::Store;

/// Removes what only a running `portkeep dev` needs. The history stays.
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
