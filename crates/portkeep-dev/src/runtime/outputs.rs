//! Watches the build output that a spec names, so that builds in other terminals are handed over too.

use std::path::Path;

use anyhow::Context;
use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};

/// Calls `changed` at each change in the output's directory: builds replace files, and seldom write into them.
pub(super) fn watch(
    output: &Path,
    changed: impl Fn() + Send + 'static,
) -> anyhow::Result<RecommendedWatcher> {
    let directory = output.parent().context("it is in no directory")?.to_owned();
    std::fs::create_dir_all(&directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // inotify calls a finished write an "access"; opening and reading do not matter.
        let is_read = |event: &notify::Event| {
            event.kind.is_access()
                && event.kind != EventKind::Access(AccessKind::Close(AccessMode::Write))
        };
        if event.is_ok_and(|event| !is_read(&event)) {
            changed();
        }
    })?;
    watcher.watch(&directory, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}
