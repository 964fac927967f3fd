//! Watched directories and files, without those that git ignores or the build writes.

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;
use std::path::{Path, PathBuf};

use anyhow::Context;
use ignore::gitignore::Gitignore;
use notify::EventKind;

use super::burst::Of;
use super::editor_files::is_editors_own;
use super::event_source::EventSource;
use super::listing::Listing;
use super::own_output::OwnOutput;
use super::walk::{ignores, is_source, walker};
use crate::project::Project;

/// The watched part of the file system.
pub(super) struct Tree {
    watcher: EventSource,
    /// Where the sources begin.
    roots: Vec<PathBuf>,
    /// Files that count wherever they are, whatever git says about them.
    single: BTreeSet<PathBuf>,
    /// Those of them behind a symbolic link, by their real paths.
    linked: HashMap<PathBuf, PathBuf>,
    /// Directories of build output, never looked at.
    outputs: Vec<PathBuf>,
    own_output: OwnOutput,
    /// Patterns of the user to ignore.
    ignores: Gitignore,
    watched: BTreeSet<PathBuf>,
    /// Known files, so that the removal of one is noticed.
    files: BTreeSet<PathBuf>,
}

impl Tree {
    pub(super) fn new(
        watcher: EventSource,
        project: &Project,
        kept: Vec<PathBuf>,
    ) -> anyhow::Result<Self> {
        let (roots, single): (Vec<_>, Vec<_>) = project
            .sources
            .iter()
            .cloned()
            .partition(|source| source.is_dir());
        let single = single.into_iter().chain(project.files.iter().cloned());
        let mut tree = Self {
            watcher,
            roots,
            single: single.collect(),
            linked: HashMap::new(),
            outputs: [project.outputs.clone(), kept].concat(),
            own_output: OwnOutput::of_this_process(),
            ignores: ignores(project)?,
            watched: BTreeSet::new(),
            files: BTreeSet::new(),
        };
        tree.look()?;
        Ok(tree)
    }

    pub(super) fn is_told_by_the_kernel(&self) -> bool {
        self.watcher.are_told_by_the_kernel()
    }

    pub(super) fn take_notices(&mut self) -> Vec<String> {
        self.watcher.take_notices()
    }

    /// Lists everything again, because lost events may have been anything.
    pub(super) fn look(&mut self) -> anyhow::Result<()> {
        self.watched.clear();
        self.files.clear();
        for root in self.roots.clone() {
            self.add_root(&root)?;
        }
        for file in self.single.clone() {
            self.watch_above(&file);
        }
        Ok(())
    }

    /// Watches files that a build read, wherever they are and whatever git says about them: a `[patch]`, a new dependency,
    /// an `include_str!` of another package or of a generated file, a link that leads elsewhere.
    pub(super) fn also(&mut self, inputs: &[PathBuf]) {
        for input in inputs {
            if self.single.contains(input)
                || self.is_output(input)
                || self.is_ignored(input)
                || !input.is_file()
            {
                continue;
            }
            self.single.insert(input.clone());
            self.watch_above(input);
            // An edit in place is an event at the real file.
            if let Ok(real) = input.canonicalize()
                && real != *input
                && !self.is_output(&real)
            {
                self.watch_above(&real);
                self.linked.insert(real, input.clone());
            }
        }
    }

    fn is_output(&self, path: &Path) -> bool {
        self.outputs.iter().any(|output| path.starts_with(output))
    }

    /// Where the sources begin, for a report that cannot say what changed.
    pub(super) fn roots(&self) -> &[PathBuf] {
        &self.roots
    }

    /// Whether an event may matter. It has to be fast, because all writes of a build are reported as well.
    pub(super) fn may_count(&self, event: &notify::Event) -> bool {
        let is_read = matches!(event.kind, EventKind::Access(_) | EventKind::Other);
        let mut paths = event.paths.iter();
        !is_read && paths.any(|path| !self.is_output(path) && self.is_near(path))
    }

    /// Whether it is something that is watched for its own sake: a busy neighbour in a directory that is watched for the sake
    /// of one name would draw out every burst.
    fn is_near(&self, path: &Path) -> bool {
        let parent = path.parent();
        self.watched.contains(path)
            || parent.is_some_and(|parent| self.watched.contains(parent))
            || self.linked.contains_key(path)
            || self.roots.iter().any(|root| root.starts_with(path))
            || below(&self.single, path).next().is_some()
    }

    /// The files that count among reported paths.
    pub(super) fn changed_by(&mut self, heard: Vec<(PathBuf, Of)>) -> Vec<PathBuf> {
        let mut listing = Listing::default();
        let (mut found, mut known) = (Vec::new(), BTreeSet::new());
        for (path, of) in heard {
            for file in self.changed_at(&path, of, &mut listing) {
                if known.insert(file.clone()) {
                    found.push(file);
                }
            }
        }
        found
    }

    fn changed_at(&mut self, path: &Path, of: Of, listing: &mut Listing) -> Vec<PathBuf> {
        let mut found = Vec::new();
        if of == Of::Name {
            found.extend(self.forget(path));
            found.extend(self.return_to(path));
        }
        found.extend(self.linked.get(path).cloned());
        if self.single.contains(path) {
            found.push(path.to_owned());
            return found;
        }
        let is_seen = path
            .parent()
            .is_some_and(|parent| self.watched.contains(parent));
        if self.is_output(path)
            || is_editors_own(path)
            || self.own_output.is(path)
            || self.is_ignored(path)
        {
            return found;
        }
        if path.is_dir() {
            // It may have come with files, before it was watched.
            if is_seen && !self.watched.contains(path) && listing.has(path) {
                found.extend(self.add(path).unwrap_or_default());
            }
        } else if !path.exists() {
            if self.files.remove(path) {
                found.push(path.to_owned());
            }
        } else if is_seen && listing.has(path) {
            self.files.insert(path.to_owned());
            found.push(path.to_owned());
        }
        found
    }

    /// Stops watching under the name of a directory, whatever has that name now: inotify follows the directory, wherever it
    /// went. Returns the files that are gone with it.
    fn forget(&mut self, directory: &Path) -> Vec<PathBuf> {
        if !self.watched.contains(directory) {
            return Vec::new();
        }
        let below =
            |set: &BTreeSet<PathBuf>| -> Vec<_> { below(set, directory).cloned().collect() };
        for one in below(&self.watched) {
            self.watched.remove(&one);
        }
        let mut gone = below(&self.files);
        for file in &gone {
            self.files.remove(file);
        }
        gone.retain(|file| !file.exists());
        gone
    }

    /// Watches sources that begin at or below `path` again after a change there, because their parents are not watched.
    /// Returns new files.
    fn return_to(&mut self, path: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for root in self.roots.clone() {
            if root.starts_with(path) && !self.watched.contains(&root) {
                found.extend(self.add_root(&root).unwrap_or_default());
            }
        }
        let single: Vec<_> = below(&self.single, path).cloned().collect();
        for file in single.into_iter().filter(|file| file != path) {
            self.watch_above(&file);
            if file.exists() {
                found.push(file);
            }
        }
        found
    }

    fn add_root(&mut self, root: &Path) -> anyhow::Result<Vec<PathBuf>> {
        // It may be deleted and made again, as when another branch is checked out and back. Only the directory above reports that
        // at once: the kernel reports the directory itself when no process is in it any more, and the app runs in its project.
        self.watch_above(root);
        if root.is_dir() {
            self.add(root)
        } else {
            Ok(Vec::new())
        }
    }

    /// Watches the nearest existing directory above `path`, only for `path`: editors replace files, and a new file is a
    /// name in its directory.
    fn watch_above(&mut self, path: &Path) {
        let above = path.ancestors().skip(1).find(|one| one.is_dir());
        if let Some(above) = above.filter(|above| !self.watched.contains(*above)) {
            // It may be unreadable; then events there are missed.
            let _ = self.watcher.watch(above);
        }
    }

    /// Whether the user ignores the path or a directory above it. Paths outside the project are matched too, because a
    /// workspace is larger than the project.
    fn is_ignored(&self, path: &Path) -> bool {
        path.ancestors().any(|one| {
            let is_dir = one != path || one.is_dir();
            self.ignores.matched(one, is_dir).is_ignore()
        })
    }

    /// Watches a directory and those below it that count, each by itself: a recursive watch would include the build output.
    /// Returns new files.
    fn add(&mut self, directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
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
        let mut found = Vec::new();
        for entry in walker.build().flatten() {
            if !entry.file_type().is_some_and(|kind| kind.is_dir()) {
                if self.files.insert(entry.path().to_owned()) {
                    found.push(entry.into_path());
                }
            } else if self.watched.insert(entry.path().to_owned())
                && let Err(error) = self.watcher.watch(entry.path())
            {
                self.watched.remove(entry.path());
                // It may have vanished since it was listed.
                if entry.path().is_dir() {
                    return Err(error)
                        .with_context(|| format!("cannot watch {}", entry.path().display()));
                }
            }
        }
        Ok(found)
    }
}

/// Members of a set that are `directory` or below it. Paths are ordered by components, so these are adjacent.
fn below<'a>(set: &'a BTreeSet<PathBuf>, directory: &'a Path) -> impl Iterator<Item = &'a PathBuf> {
    set.range::<Path, _>((Bound::Included(directory), Bound::Unbounded))
        .take_while(move |one| one.starts_with(directory))
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs;

    use ignore::gitignore::GitignoreBuilder;

    use super::super::event_source::WatchMethod;

    use super::*;

    /// The tree below `root`, with `single` besides.
    pub(in super::super) fn tree(watcher: EventSource, root: &Path, single: &[&Path]) -> Tree {
        let mut ignores = GitignoreBuilder::new(root);
        ignores.add_line(None, "/var/").unwrap();
        let mut tree = Tree {
            watcher,
            roots: vec![root.to_owned()],
            single: single.iter().map(|path| (*path).to_owned()).collect(),
            linked: HashMap::new(),
            outputs: vec![root.join("target")],
            own_output: OwnOutput::of_this_process(),
            ignores: ignores.build().unwrap(),
            watched: BTreeSet::new(),
            files: BTreeSet::new(),
        };
        tree.look().unwrap();
        tree
    }

    fn source() -> EventSource {
        EventSource::open(
            WatchMethod::Kernel,
            tokio::sync::mpsc::unbounded_channel().0,
        )
    }

    fn unheard(root: &Path) -> Tree {
        tree(source(), root, &[])
    }

    impl Tree {
        fn counts(&mut self, path: &Path) -> bool {
            !self
                .changed_by(vec![(path.to_owned(), Of::Name)])
                .is_empty()
        }
    }

    #[test]
    fn what_git_ignores_and_what_the_build_writes_does_not_count() {
        let directory = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(directory.path()).unwrap();
        fs::write(root.join(".gitignore"), "out\n*.db\n").unwrap();
        for made in ["src", "target/debug", ".git"] {
            fs::create_dir_all(root.join(made)).unwrap();
        }
        let mut tree = unheard(&root);
        let mut counts = |name: &str| {
            let path = root.join(name);
            // As events come: a new directory first.
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            tree.counts(path.parent().unwrap());
            fs::write(&path, "x").unwrap();
            tree.counts(&path)
        };
        assert!(counts("src/main.rs"));
        assert!(counts(".cargo/config.toml"));
        assert!(!counts("app.db"));
        assert!(!counts("target/debug/app"));
        assert!(!counts(".git/index"));
        assert!(!counts("out/app"));
        assert!(!counts("var/state"), "the user wants that");
        let outside = tempfile::tempdir().unwrap();
        assert!(!tree.is_ignored(&outside.path().join("a.rs")));
    }

    #[test]
    fn the_removal_of_a_source_counts_once() {
        let directory = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(directory.path()).unwrap();
        fs::write(root.join("a.rs"), "x").unwrap();
        let mut tree = unheard(&root);
        fs::remove_file(root.join("a.rs")).unwrap();
        assert!(tree.counts(&root.join("a.rs")));
        assert!(!tree.counts(&root.join("a.rs")));
    }

    #[test]
    fn what_is_kept_out_does_not_count_wherever_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(directory.path()).unwrap();
        fs::create_dir_all(root.join("run/hello")).unwrap();
        let mut tree = unheard(&root);
        tree.outputs.push(root.join("run/hello"));
        for (name, expected) in [("run/hello/seen.json", false), ("run/other.rs", true)] {
            fs::write(root.join(name), "x").unwrap();
            assert_eq!(tree.counts(&root.join(name)), expected, "{name}");
        }
    }

    #[test]
    fn what_a_build_looked_at_counts_whatever_git_says() {
        let directory = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(directory.path()).unwrap();
        fs::write(root.join(".gitignore"), "/app.css\n").unwrap();
        let style = root.join("app.css");
        fs::write(&style, "x").unwrap();
        let mut tree = unheard(&root);
        assert!(!tree.counts(&style));
        tree.also(&[
            style.clone(),
            root.join("target/gen.rs"),
            root.join("var/a"),
        ]);
        assert!(tree.counts(&style));
        assert!(!tree.counts(&root.join("var/a")), "the user wants that");
    }

    #[test]
    fn editors_files_do_not_count_unless_a_build_looked_at_them() {
        let directory = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(directory.path()).unwrap();
        let mut tree = unheard(&root);
        let swap = root.join(".main.rs.swp");
        fs::write(&swap, "x").unwrap();
        assert!(!tree.counts(&swap));
        tree.also(std::slice::from_ref(&swap));
        assert!(tree.counts(&swap));
    }

    #[test]
    fn a_directory_beside_the_sources_does_not_become_one_of_them() {
        let directory = tempfile::tempdir().unwrap();
        let above = fs::canonicalize(directory.path()).unwrap();
        let root = above.join("member");
        fs::create_dir(&root).unwrap();
        let manifest = above.join("Cargo.toml");
        let mut tree = tree(source(), &root, &[&manifest]);
        fs::create_dir(above.join("other")).unwrap();
        fs::write(above.join("other/a.rs"), "x").unwrap();
        assert!(!tree.counts(&above.join("other")));
        fs::write(&manifest, "x").unwrap();
        assert!(tree.counts(&manifest));
    }
}
