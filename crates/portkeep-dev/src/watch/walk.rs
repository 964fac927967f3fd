//! Walks directories as git sees them.

use std::path::{Path, PathBuf};

use anyhow::Context;
use ignore::WalkBuilder;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::project::Project;

/// Walks as git does: without ignored files, even outside a repository; with hidden ones, which are sources too
/// (`.cargo/config.toml`), but without git's own.
pub(super) fn walker(directory: &Path, outputs: &[PathBuf]) -> WalkBuilder {
    let mut walker = WalkBuilder::new(directory);
    let outputs = outputs.to_vec();
    walker
        .hidden(false)
        .require_git(false)
        .filter_entry(move |entry| is_source(entry.path(), &outputs));
    walker
}

pub(super) fn is_source(path: &Path, outputs: &[PathBuf]) -> bool {
    !path.ends_with(".git") && !outputs.iter().any(|output| path == output)
}

pub(super) fn ignores(project: &Project) -> anyhow::Result<Gitignore> {
    let mut builder = GitignoreBuilder::new(&project.directory);
    for pattern in &project.ignores {
        builder.add_line(None, pattern).with_context(|| {
            format!("{pattern} is no pattern to ignore; correct --ignore, or `ignore` in the spec")
        })?;
    }
    builder
        .build()
        .context("the patterns to ignore do not go together")
}
