//! Watches the sources, and reports changes.

mod burst;
mod contents;
mod editor_files;
mod event_source;
mod listing;
mod marks;
mod own_output;
mod polling;
mod tree;
mod walk;

use std::path::{Path, PathBuf};

use portkeep_engine::store::Store;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use self::burst::Burst;
use self::contents::Contents;
use self::event_source::{EventSource, WatchMethod, mounts};
use self::marks::Marks;
use self::tree::Tree;
use super::project::Project;

/// The watched sources.
pub(crate) struct Watch {
    tree: Tree,
    events: mpsc::UnboundedReceiver<notify::Event>,
    /// Reported paths that more may follow.
    burst: Option<Burst>,
    contents: Contents,
    marks: Marks,
}

/// A report about the files.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// These files changed.
    Changed(Vec<PathBuf>),
    /// All saves before this mark have been seen.
    Mark(u64),
}

impl Watch {
    /// Watches the sources of a project, by polling if `polls` says so or the kernel cannot tell.
    pub(crate) fn of_project(
        project: &Project,
        store: &Store,
        polls: bool,
        own_files: &[PathBuf],
    ) -> anyhow::Result<Self> {
        let way = match polls {
            true => WatchMethod::Poll(None),
            false => WatchMethod::of(&project.sources, &mounts()),
        };
        let kept = [kept_in(store), own_files.to_vec()].concat();
        Self::of(way, Some(store.run_directory()), |source| {
            Tree::new(source, project, kept)
        })
    }

    /// `run_directory` is where marks are made.
    fn of(
        way: WatchMethod,
        run_directory: Option<&Path>,
        tree: impl FnOnce(EventSource) -> anyhow::Result<Tree>,
    ) -> anyhow::Result<Self> {
        let (sender, events) = mpsc::unbounded_channel();
        let mut source = EventSource::open(way, sender);
        // Without marks, everything is listed again for each command that waits.
        let marks = run_directory
            .filter(|_| source.are_told_by_the_kernel())
            .and_then(|run_directory| Marks::directory_in(run_directory).ok())
            .filter(|one| source.watch(one).is_ok());
        Ok(Self {
            marks: marks.map(Marks::of).unwrap_or_default(),
            tree: tree(source)?,
            events,
            burst: None,
            contents: Contents::default(),
        })
    }

    /// Notices about how files are watched, once.
    pub(crate) fn take_notices(&mut self) -> Vec<String> {
        self.tree.take_notices()
    }

    /// Waits for a change or a mark. Can be dropped and called again: it loses nothing.
    pub(crate) async fn next(&mut self) -> Seen {
        loop {
            // A command that made a mark waits for the changes before it, and not for the rest of a burst.
            if self.marks.is_reached() {
                let paths = self.end_burst();
                if !paths.is_empty() {
                    return Seen::Changed(paths);
                }
                if let Some(mark) = self.marks.take() {
                    return Seen::Mark(mark);
                }
            }
            // The rest of a burst belongs to its change; but a file that is written all the time is not waited for.
            let next = match &self.burst {
                Some(burst) if burst.end() <= Instant::now() => Err(()),
                Some(burst) => timeout_at(burst.end(), self.events.recv())
                    .await
                    .map_err(|_elapsed| ()),
                None => Ok(self.events.recv().await),
            };
            match next {
                Ok(Some(event)) => self.hear(&event),
                // The watcher lives as long as this.
                Ok(None) => return std::future::pending().await,
                Err(()) => {
                    let paths = self.end_burst();
                    if !paths.is_empty() {
                        return Seen::Changed(paths);
                    }
                }
            }
        }
    }

    /// Marks this moment: the mark is seen after all earlier saves.
    pub(crate) fn mark(&mut self, number: u64) {
        if !self.tree.is_told_by_the_kernel() {
            self.marks.stop();
        }
        if !self.marks.make(number) {
            let now = Instant::now();
            let burst = self.burst.get_or_insert_with(|| Burst::begin(now));
            burst.add_lost(now);
        }
    }

    fn hear(&mut self, event: &notify::Event) {
        let now = Instant::now();
        if event.need_rescan() {
            let burst = self.burst.get_or_insert_with(|| Burst::begin(now));
            burst.add_lost(now);
        } else if self.marks.hear(event) {
            // A mark is no change.
        } else if self.tree.may_count(event) {
            let burst = self.burst.get_or_insert_with(|| Burst::begin(now));
            burst.add(event, now);
        }
    }

    /// The changed files of a burst. Each is looked at once, however often it was reported.
    fn end_burst(&mut self) -> Vec<PathBuf> {
        let Some(burst) = self.burst.take() else {
            return Vec::new();
        };
        if burst.is_incomplete() {
            return self.look_again();
        }
        let paths = self.tree.changed_by(burst.into_heard());
        self.contents.new_of(paths)
    }

    /// The kernel dropped events: anything may have changed.
    fn look_again(&mut self) -> Vec<PathBuf> {
        self.contents.forget();
        self.marks.reach_all();
        // A directory that cannot be watched any more cannot be reported here; the rest is watched.
        let _ = self.tree.look();
        self.tree.roots().to_vec()
    }

    /// Watches files that a build read, wherever they are.
    pub(crate) fn also(&mut self, inputs: &[PathBuf]) {
        self.tree.also(inputs);
    }

    /// The next write to a file counts, whatever it writes: the user wants another try.
    pub(crate) fn take_all_as_new(&mut self) {
        self.contents.forget();
    }
}

/// Our own files: `HOME` or the runtime directory may be inside the project, for example in a container. Otherwise a
/// handover would be a change, which starts a handover.
fn kept_in(store: &Store) -> Vec<PathBuf> {
    let kept = [store.run_directory(), store.state_directory()];
    // Events name files by their real paths.
    let real = kept.map(|path| path.canonicalize().unwrap_or_else(|_| path.to_owned()));
    real.to_vec()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use notify::event::Flag;
    use notify::{Event, EventKind};
    use tokio::time::timeout;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(10);

    impl Watch {
        async fn changed(&mut self) -> Vec<PathBuf> {
            loop {
                if let Seen::Changed(paths) = self.next().await {
                    return paths;
                }
            }
        }
    }

    #[tokio::test]
    async fn a_mark_is_seen_after_all_that_was_saved_before_it() {
        let directory = tempfile::tempdir().unwrap();
        let above = fs::canonicalize(directory.path()).unwrap();
        let (root, run) = (above.join("app"), above.join("run"));
        fs::create_dir_all(&root).unwrap();
        fs::create_dir_all(&run).unwrap();
        let mut sources = Watch::of(WatchMethod::Kernel, Some(&run), |source| {
            Ok(tree::tests::tree(source, &root, &[]))
        })
        .unwrap();
        for round in 1..=50 {
            let deep = root.join(format!("{round}/deep"));
            fs::create_dir_all(&deep).unwrap();
            let (a, b) = (root.join("a.rs"), deep.join("b.rs"));
            for file in [&a, &b] {
                fs::write(file, round.to_string()).unwrap();
            }
            sources.mark(round);
            let mut seen = std::collections::HashSet::new();
            loop {
                match timeout(DEADLINE, sources.next()).await.unwrap() {
                    Seen::Changed(paths) => seen.extend(paths),
                    Seen::Mark(mark) => {
                        assert_eq!(mark, round);
                        break;
                    }
                }
            }
            assert!(seen.contains(&a) && seen.contains(&b), "{round}: {seen:?}");
        }
        assert_eq!(fs::read_dir(run.join("marks")).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn where_no_mark_can_be_made_everything_is_looked_at_again() {
        let directory = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(directory.path()).unwrap();
        let mut sources = sources(&root, &[]);
        sources.mark(7);
        let seen = [
            timeout(DEADLINE, sources.next()).await.unwrap(),
            timeout(DEADLINE, sources.next()).await.unwrap(),
        ];
        assert_eq!(seen, [Seen::Changed(vec![root]), Seen::Mark(7)]);
    }

    /// Sources below `root`, and `single` besides.
    fn sources(root: &Path, single: &[&Path]) -> Watch {
        watched(WatchMethod::Kernel, root, single)
    }

    fn watched(way: WatchMethod, root: &Path, single: &[&Path]) -> Watch {
        Watch::of(way, None, |source| {
            Ok(tree::tests::tree(source, root, single))
        })
        .unwrap()
    }

    #[tokio::test]
    async fn what_is_looked_at_again_and_again_is_noticed_as_well() {
        let directory = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(directory.path()).unwrap();
        fs::create_dir(root.join("src")).unwrap();
        let main = root.join("src/main.rs");
        fs::write(&main, "x").unwrap();
        let mut sources = watched(WatchMethod::Poll(None), &root, &[]);
        expect_noticed(&mut sources, &main, "one").await;
        expect_noticed(&mut sources, &main, "two").await;
        let made = root.join("deep/er/new.rs");
        fs::create_dir_all(made.parent().unwrap()).unwrap();
        expect_noticed(&mut sources, &made, "new").await;
        expect_noticed(&mut sources, &made, "old").await;
        fs::remove_dir_all(root.join("deep")).unwrap();
        fs::create_dir_all(made.parent().unwrap()).unwrap();
        expect_noticed(&mut sources, &made, "again").await;
    }

    /// Writes `path` and waits until that is noticed, whatever else is reported before.
    async fn expect_noticed(sources: &mut Watch, path: &Path, what: &str) {
        fs::write(path, what).unwrap();
        let noticed = async { while !sources.changed().await.iter().any(|one| one == path) {} };
        let noticed = timeout(DEADLINE, noticed).await;
        assert!(noticed.is_ok(), "{} is not noticed: {what}", path.display());
    }

    /// Waits until everything that has happened so far is reported.
    async fn settle(sources: &mut Watch, root: &Path) {
        expect_noticed(
            sources,
            &root.join("settle.rs"),
            &format!("{:?}", Instant::now()),
        )
        .await;
    }

    #[tokio::test]
    async fn a_directory_that_is_made_anew_or_returns_is_watched_again() {
        let directory = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(directory.path()).unwrap();
        let (a, b) = (root.join("a"), root.join("b"));
        fs::create_dir_all(a.join("deep")).unwrap();
        fs::write(a.join("deep/x.rs"), "x").unwrap();
        let mut sources = sources(&root, &[]);

        fs::remove_dir_all(&a).unwrap();
        settle(&mut sources, &root).await;
        fs::create_dir_all(a.join("deep")).unwrap();
        settle(&mut sources, &root).await;
        expect_noticed(&mut sources, &a.join("deep/x.rs"), "made anew").await;

        fs::rename(&a, &b).unwrap();
        settle(&mut sources, &root).await;
        expect_noticed(&mut sources, &b.join("deep/x.rs"), "moved").await;
        fs::rename(&b, &a).unwrap();
        settle(&mut sources, &root).await;
        expect_noticed(&mut sources, &a.join("deep/x.rs"), "back again").await;

        // At once, as a checkout does it.
        fs::rename(&a, &b).unwrap();
        fs::rename(&b, &a).unwrap();
        fs::remove_dir_all(&a).unwrap();
        fs::create_dir_all(a.join("deep")).unwrap();
        fs::write(a.join("deep/x.rs"), "y").unwrap();
        settle(&mut sources, &root).await;
        expect_noticed(&mut sources, &a.join("deep/x.rs"), "in one go").await;
    }

    #[tokio::test]
    async fn what_a_build_looked_at_elsewhere_counts_from_then_on() {
        let directory = tempfile::tempdir().unwrap();
        let above = fs::canonicalize(directory.path()).unwrap();
        let (root, patch) = (above.join("app"), above.join("patch/src/lib.rs"));
        fs::create_dir_all(&root).unwrap();
        fs::create_dir_all(patch.parent().unwrap()).unwrap();
        fs::write(&patch, "one").unwrap();
        let mut sources = sources(&root, &[]);
        sources.also(&[patch.clone(), root.join("missing.rs")]);
        expect_noticed(&mut sources, &patch, "two").await;
    }

    #[tokio::test]
    async fn a_source_behind_a_link_is_edited_where_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let above = fs::canonicalize(directory.path()).unwrap();
        let (root, shared) = (above.join("app"), above.join("elsewhere/shared.rs"));
        fs::create_dir_all(&root).unwrap();
        fs::create_dir_all(shared.parent().unwrap()).unwrap();
        fs::write(&shared, "one").unwrap();
        let link = root.join("shared.rs");
        std::os::unix::fs::symlink(&shared, &link).unwrap();
        let mut sources = sources(&root, &[]);
        sources.also(std::slice::from_ref(&link));
        fs::write(&shared, "two").unwrap();
        let changed = timeout(DEADLINE, sources.changed()).await;
        assert_eq!(changed.unwrap(), [link]);
    }

    #[tokio::test]
    async fn many_files_are_listed_once_and_come_in_a_few_bursts() {
        let directory = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(directory.path()).unwrap();
        let up = root.join("up");
        fs::create_dir(&up).unwrap();
        let mut sources = sources(&root, &[]);
        const FILES: usize = 3000;
        for file in 0..FILES {
            fs::write(up.join(file.to_string()), "x").unwrap();
        }
        let mut seen = std::collections::HashSet::new();
        while seen.len() < FILES {
            let changed = timeout(DEADLINE, sources.changed()).await;
            seen.extend(changed.unwrap());
        }
    }

    #[tokio::test]
    async fn where_sources_begin_may_go_and_return() {
        let directory = tempfile::tempdir().unwrap();
        let above = fs::canonicalize(directory.path()).unwrap();
        let root = above.join("crates/hello");
        let config = above.join(".cargo/config.toml");
        fs::create_dir_all(root.join("src")).unwrap();
        let mut sources = sources(&root, &[&config]);
        for times in ["first", "second"] {
            fs::create_dir(above.join(".cargo")).unwrap();
            expect_noticed(&mut sources, &config, times).await;
            settle(&mut sources, &root).await;
            fs::remove_dir_all(above.join(".cargo")).unwrap();
            fs::remove_dir_all(above.join("crates")).unwrap();
            let gone = timeout(DEADLINE, sources.changed()).await;
            assert!(!gone.unwrap().is_empty());
            fs::create_dir_all(root.join("src")).unwrap();
            settle(&mut sources, &root).await;
            expect_noticed(&mut sources, &root.join("src/main.rs"), times).await;
        }
    }

    #[tokio::test]
    async fn lost_events_are_a_change_and_everything_is_looked_at_again() {
        let directory = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(directory.path()).unwrap();
        let mut sources = sources(&root, &[]);
        let main = root.join("main.rs");
        expect_noticed(&mut sources, &main, "x").await;
        sources.hear(&Event::new(EventKind::Other).set_flag(Flag::Rescan));
        let changed = timeout(DEADLINE, sources.changed()).await;
        assert!(changed.unwrap().contains(&root));
        // It may have been another in between.
        expect_noticed(&mut sources, &main, "x").await;
    }

    #[tokio::test]
    async fn what_is_written_as_it_was_is_not_heard_of() {
        let directory = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(directory.path()).unwrap();
        let (generated, main) = (root.join("gen.rs"), root.join("main.rs"));
        let mut sources = sources(&root, &[]);
        expect_noticed(&mut sources, &generated, "x").await;
        fs::write(&generated, "x").unwrap();
        fs::write(&main, "y").unwrap();
        let changed = timeout(DEADLINE, sources.changed()).await;
        assert_eq!(changed.unwrap(), [main]);
    }

    #[test]
    fn what_we_keep_ourselves_is_known_by_its_real_path() {
        let directory = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(directory.path()).unwrap();
        let linked = root.join("linked");
        std::os::unix::fs::symlink(&root, &linked).unwrap();
        let directories = portkeep_engine::Directories {
            run: linked.join("run/hello"),
            state: linked.join("state/hello"),
        };
        let store = Store::open(&"hello".parse().unwrap(), &directories).unwrap();
        assert_eq!(
            kept_in(&store),
            [root.join("run/hello"), root.join("state/hello")]
        );
    }
}
