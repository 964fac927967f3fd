//! Failpoints: steps at which a test can have a helper killed.

use std::fs;

use rustix::process::{Signal, getpid, kill_process};

use crate::store::Store;

/// Ends this process as `kill -9` would, once, if the file `fault` in the app's runtime directory names this step.
///
/// Only with debug assertions: a release build never looks.
pub fn reach(store: &Store, step: &str) {
    if !cfg!(debug_assertions) {
        return;
    }
    let file = store.run_directory().join("fault");
    // Removed first: the next call has to get further.
    if fs::read_to_string(&file).is_ok_and(|wanted| wanted.trim() == step)
        && fs::remove_file(&file).is_ok()
    {
        let _ = kill_process(getpid(), Signal::KILL);
    }
}
