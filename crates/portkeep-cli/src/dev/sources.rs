//! Watches the sources: what git ignores, and what the build writes, does not count.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use ignore::WalkBuilder;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use portkeep_engine::store::Store;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::own_output::OwnOutput;
use super::project::Project;

/// An editor writes a file in several steps; they come within this.
const BURST: Duration = Duration::from_millis(10);

/// The watched sources.
pub(crate) struct Sources {
    watcher: RecommendedWatcher,
    events: mpsc::UnboundedReceiver<notify::Event>,
    outputs: Vec<PathBuf>,
    own_output: OwnOutput,
    /// What the user wants to be ignored besides.
    ignores: Gitignore,
    /// Files that count where the rest of their directory does not.
    single: HashSet<PathBuf>,
    /// A change that was heard of, and until when its burst lasts.
    pending: Option<(Vec<PathBuf>, Instant)>,
    watched: HashSet<PathBuf>,
    /// Files that count, so that the removal of one is noticed.
    files: HashSet<PathBuf>,
}

impl Sources {
    pub(crate) fn watch(project: &Project, store: &Store) -> anyhow::Result<Self> {
        let (sender, events) = mpsc::unbounded_channel();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Nobody listens any more: we are ending.
            let _ = event.map(|event| sender.send(event));
        })
        .context("cannot watch files")?;
        let mut sources = Self {
            watcher,
            events,
            outputs: [project.outputs.clone(), kept_in(store)].concat(),
            own_output: OwnOutput::of_this_process(),
            ignores: ignores(project)?,
            single: HashSet::new(),
            pending: None,
            watched: HashSet::new(),
            files: HashSet::new(),
        };
        for source in &project.sources {
            if source.is_dir() {
                sources.add(source)?;
            } else {
                sources.add_file(source)?;
            }
        }
        for file in &project.files {
            sources.add_file(file)?;
        }
        Ok(sources)
    }

    /// Watches the directory of a file for the sake of that file: editors replace files.
    fn add_file(&mut self, file: &Path) -> anyhow::Result<()> {
        let Some(directory) = file.parent().filter(|directory| directory.is_dir()) else {
            return Ok(());
        };
        self.single.insert(file.to_owned());
        if !self.watched.contains(directory) {
            self.watcher
                .watch(directory, RecursiveMode::NonRecursive)
                .with_context(|| format!("cannot watch {}", directory.display()))?;
        }
        Ok(())
    }

    /// Waits for a change, and answers the paths that changed. Can be dropped and called again: what was heard stays heard.
    pub(crate) async fn changed(&mut self) -> Vec<PathBuf> {
        loop {
            // The rest of a burst belongs to its change.
            let next = match &self.pending {
                Some((_, until)) => tokio::time::timeout_at(*until, self.events.recv()).await,
                None => Ok(self.events.recv().await),
            };
            match next {
                Ok(Some(event)) => {
                    let paths = self.relevant(&event);
                    if !paths.is_empty() {
                        let (all, _) = self
                            .pending
                            .get_or_insert_with(|| (Vec::new(), Instant::now() + BURST));
                        for path in paths {
                            if !all.contains(&path) {
                                all.push(path);
                            }
                        }
                    }
                }
                // The watcher lives as long as we do.
                Ok(None) => return std::future::pending().await,
                Err(_elapsed) => {
                    if let Some((paths, _)) = self.pending.take() {
                        return paths;
                    }
                }
            }
        }
    }

    /// What changed, for people.
    pub(crate) fn name(&self, paths: &[PathBuf]) -> String {
        let here = std::env::current_dir().unwrap_or_default();
        let first = paths
            .first()
            .map(|path| path.strip_prefix(&here).unwrap_or(path));
        let first = first.unwrap_or(Path::new("")).display();
        match paths.len() {
            0 | 1 => first.to_string(),
            all => format!("{first} and {} more", all - 1),
        }
    }

    /// The paths that make an event count.
    fn relevant(&mut self, event: &notify::Event) -> Vec<PathBuf> {
        if matches!(event.kind, EventKind::Access(_) | EventKind::Other) {
            return Vec::new();
        }
        let mut found = Vec::new();
        for path in &event.paths {
            if self.counts(path) {
                found.push(path.clone());
            }
        }
        found
    }

    fn counts(&mut self, path: &Path) -> bool {
        if self.single.contains(path) {
            return true;
        }
        let is_output = self.outputs.iter().any(|output| path.starts_with(output));
        if is_output || self.own_output.is(path) || self.is_ignored(path) {
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

    /// Whether the user wants that, of it or a directory above. Paths elsewhere are matched too: a workspace is more than the
    /// project's directory.
    fn is_ignored(&self, path: &Path) -> bool {
        path.ancestors().any(|one| {
            let is_dir = one != path || one.is_dir();
            self.ignores.matched(one, is_dir).is_ignore()
        })
    }

    /// Watches a directory and those below that count. Each by itself: a recursive watch would include the build output.
    fn add(&mut self, directory: &Path) -> anyhow::Result<()> {
        let ignores = self.ignores.clone();
        let mut walker = walker(directory, &self.outputs);
        walker.filter_entry({
            let outputs = self.outputs.clone();
            move |entry| {
                let is_dir = entry.file_type().is_some_and(|kind| kind.is_dir());
                is_source(entry.path(), &outputs)
                    && !ignores.matched(entry.path(), is_dir).is_ignore()
            }
        });
        for entry in walker.build().flatten() {
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
        .filter_entry(move |entry| is_source(entry.path(), &outputs));
    walker
}

fn is_source(path: &Path, outputs: &[PathBuf]) -> bool {
    !path.ends_with(".git") && !outputs.iter().any(|output| path == output)
}

fn ignores(project: &Project) -> anyhow::Result<Gitignore> {
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

/// What we write ourselves: `HOME` or the runtime directory may be inside of the project, in a container for instance. A
/// handover would be a change, which asks for a handover.
fn kept_in(store: &Store) -> Vec<PathBuf> {
    let kept = [store.run_directory(), store.state_directory()];
    // Events name the files by their real paths.
    let real = kept.map(|path| path.canonicalize().unwrap_or_else(|_| path.to_owned()));
    real.to_vec()
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
        let mut builder = GitignoreBuilder::new(directory);
        builder.add_line(None, "/var/").unwrap();
        let mut sources = Sources {
            watcher,
            events,
            outputs,
            own_output: OwnOutput::of_this_process(),
            ignores: builder.build().unwrap(),
            single: HashSet::new(),
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
        assert!(!counts("var/state"), "the user wants that");
        let outside = tempfile::tempdir().unwrap();
        assert!(!sources.is_ignored(&outside.path().join("a.rs")));
    }

    #[test]
    fn what_we_keep_ourselves_does_not_count_wherever_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(directory.path()).unwrap();
        let directories = portkeep_engine::Directories {
            run: root.join("run/hello"),
            state: root.join(".local/state/hello"),
        };
        let store = Store::open(&"hello".parse().unwrap(), &directories).unwrap();
        let mut sources = project(&root);
        sources.outputs.extend(kept_in(&store));
        for (name, expected) in [
            ("run/hello/seen.json", false),
            (".local/state/hello/history.jsonl", false),
            ("run/other.rs", true),
        ] {
            fs::write(root.join(name), "x").unwrap();
            assert_eq!(sources.counts(&root.join(name)), expected, "{name}");
        }
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
