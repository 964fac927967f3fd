//! Watches the sources: what git ignores, and what the build writes, does not count.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use ignore::WalkBuilder;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::project::Project;

/// An editor writes a file in several steps; they come within this.
const BURST: Duration = Duration::from_millis(10);

/// The watched sources.
pub(crate) struct Sources {
    watcher: RecommendedWatcher,
    events: mpsc::UnboundedReceiver<notify::Event>,
    outputs: Vec<PathBuf>,
    /// A change that was heard of, and until when its burst lasts.
    pending: Option<(PathBuf, Instant)>,
    watched: HashSet<PathBuf>,
    /// Files that count, so that the removal of one is noticed.
    files: HashSet<PathBuf>,
}

impl Sources {
    pub(crate) fn watch(project: &Project) -> anyhow::Result<Self> {
        let (sender, events) = mpsc::unbounded_channel();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Nobody listens any more: we are ending.
            let _ = event.map(|event| sender.send(event));
        })
        .context("cannot watch files")?;
        let outputs = project.outputs.clone();
        let mut sources = Self {
            watcher,
            events,
            outputs,
            pending: None,
            watched: HashSet::new(),
            files: HashSet::new(),
        };
        for directory in &project.sources {
            sources.add(directory)?;
        }
        Ok(sources)
    }

    /// Waits for a change, and answers the first path that changed. Can be dropped and called again: what was heard stays
    /// heard.
    pub(crate) async fn changed(&mut self) -> String {
        loop {
            // The rest of a burst belongs to its change.
            let next = match &self.pending {
                Some((_, until)) => tokio::time::timeout_at(*until, self.events.recv()).await,
                None => Ok(self.events.recv().await),
            };
            match next {
                Ok(Some(event)) => {
                    if let Some(path) = self.relevant(&event) {
                        self.pending.get_or_insert((path, Instant::now() + BURST));
                    }
                }
                // The watcher lives as long as we do.
                Ok(None) => return std::future::pending().await,
                Err(_elapsed) => {
                    if let Some((path, _)) = self.pending.take() {
                        return self.relative(&path);
                    }
                }
            }
        }
    }

    fn relative(&self, path: &Path) -> String {
        let here = std::env::current_dir().unwrap_or_default();
        path.strip_prefix(&here)
            .unwrap_or(path)
            .display()
            .to_string()
    }

    /// The path that makes an event count.
    fn relevant(&mut self, event: &notify::Event) -> Option<PathBuf> {
        if matches!(event.kind, EventKind::Access(_) | EventKind::Other) {
            return None;
        }
        let mut found = None;
        for path in &event.paths {
            if self.counts(path) {
                found = Some(path.clone());
            }
        }
        found
    }

    fn counts(&mut self, path: &Path) -> bool {
        if self.outputs.iter().any(|output| path.starts_with(output)) {
            return false;
        }
        if path.is_dir() {
            // A new directory may have come with files in it, before it was watched.
            let before = self.files.len();
            if !self.watched.contains(path) && is_listed(path) {
                let _ = self.add(path);
            }
            return self.files.len() > before;
        }
        if !path.exists() {
            return self.files.remove(path);
        }
        let counts = path
            .parent()
            .is_some_and(|parent| self.watched.contains(parent))
            && is_listed(path);
        if counts {
            self.files.insert(path.to_owned());
        }
        counts
    }

    /// Watches a directory and those below that count. Each by itself: a recursive watch would include the build output.
    fn add(&mut self, directory: &Path) -> anyhow::Result<()> {
        for entry in walker(directory, &self.outputs).build().flatten() {
            if !entry.file_type().is_some_and(|kind| kind.is_dir()) {
                self.files.insert(entry.into_path());
            } else if self.watched.insert(entry.path().to_owned()) {
                self.watcher.watch(entry.path(), RecursiveMode::NonRecursive).with_context(|| {
                    format!(
                        "cannot watch {}; a limit may be reached: `sysctl fs.inotify.max_user_watches`",
                        entry.path().display()
                    )
                })?;
            }
        }
        Ok(())
    }
}

/// Whether git would see `path`, whose directory it does see. The walker knows all the rules of ignoring; asked for one
/// directory, it is quick.
fn is_listed(path: &Path) -> bool {
    path.parent().is_some_and(|parent| {
        walker(parent, &[])
            .max_depth(Some(1))
            .build()
            .flatten()
            .any(|entry| entry.path() == path)
    })
}

/// Walks as git sees it: ignored files are left out, also where there is no repository; hidden ones are sources too
/// (`.cargo/config.toml`), git's own are not.
fn walker(directory: &Path, outputs: &[PathBuf]) -> WalkBuilder {
    let mut walker = WalkBuilder::new(directory);
    let outputs = outputs.to_vec();
    walker
        .hidden(false)
        .require_git(false)
        .filter_entry(move |entry| {
            entry.file_name() != ".git" && !outputs.iter().any(|output| entry.path() == output)
        });
    walker
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn project(directory: &Path) -> Sources {
        let (_, events) = mpsc::unbounded_channel();
        let watcher = notify::recommended_watcher(|_| {}).unwrap();
        let (outputs, watched, files) = (
            vec![directory.join("target")],
            HashSet::new(),
            HashSet::new(),
        );
        let mut sources = Sources {
            watcher,
            events,
            outputs,
            pending: None,
            watched,
            files,
        };
        sources.add(directory).unwrap();
        sources
    }

    #[test]
    fn what_git_ignores_and_what_the_build_writes_does_not_count() {
        let directory = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(directory.path()).unwrap();
        fs::write(root.join(".gitignore"), "out\n*.db\n").unwrap();
        for made in ["src", "target/debug", ".git"] {
            fs::create_dir_all(root.join(made)).unwrap();
        }
        let mut sources = project(&root);
        let mut counts = |name: &str| {
            let path = root.join(name);
            // As events come: a new directory first.
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            sources.counts(path.parent().unwrap());
            fs::write(&path, "x").unwrap();
            sources.counts(&path)
        };
        assert!(counts("src/main.rs"));
        assert!(counts(".cargo/config.toml"));
        assert!(!counts("app.db"));
        assert!(!counts("target/debug/app"));
        assert!(!counts(".git/index"));
        assert!(!counts("out/app"));
    }

    #[test]
    fn the_removal_of_a_source_counts_once() {
        let directory = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(directory.path()).unwrap();
        fs::write(root.join("a.rs"), "x").unwrap();
        let mut sources = project(&root);
        fs::remove_file(root.join("a.rs")).unwrap();
        assert!(sources.counts(&root.join("a.rs")));
        assert!(!sources.counts(&root.join("a.rs")));
    }
}
