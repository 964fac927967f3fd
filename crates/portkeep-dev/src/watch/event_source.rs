//! Sources of file events: the kernel's notifications, or polling.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use notify::{ErrorKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use super::polling::Polling;

/// File systems of which the kernel reports only this machine's changes: network file systems, and those that a virtual
/// machine or a container shares with its host.
const BLIND: [&str; 22] = [
    "9p",
    "afs",
    "ceph",
    "cifs",
    "drvfs",
    "fakeowner",
    "fuse.glusterfs",
    "fuse.grpcfuse",
    "fuse.osxfs",
    "fuse.rclone",
    "fuse.sshfs",
    "fuse.vmhgfs-fuse",
    "glusterfs",
    "nfs",
    "nfs4",
    "osxfs",
    "prl_fs",
    "smb3",
    "smbfs",
    "vboxsf",
    "virtiofs",
    "vmhgfs",
];

/// How changes are noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WatchMethod {
    Kernel,
    /// By polling, for this reason if it is not the user's wish.
    Poll(Option<String>),
}

impl WatchMethod {
    /// The method for these directories. `mounts` has mount points with the types of their file systems, later ones on top.
    pub(super) fn of(directories: &[PathBuf], mounts: &[(PathBuf, String)]) -> Self {
        for directory in directories {
            let around = mounts
                .iter()
                .filter(|(point, _)| directory.starts_with(point));
            let nearest = around.max_by_key(|(point, _)| point.components().count());
            if let Some((_, kind)) = nearest.filter(|(_, kind)| BLIND.contains(&kind.as_str())) {
                return Self::Poll(Some(format!(
                    "{} is on {kind}, where the kernel does not tell what others change: files are looked at again and again \
                     (--poll)",
                    directory.display()
                )));
            }
        }
        Self::Kernel
    }
}

/// The mount points that this process sees.
pub(super) fn mounts() -> Vec<(PathBuf, String)> {
    let mounts = procfs::process::Process::myself().and_then(|own| own.mountinfo());
    let mounts = mounts.map(|all| all.0).unwrap_or_default();
    let mounts = mounts.into_iter();
    mounts.map(|one| (one.mount_point, one.fs_type)).collect()
}

enum Kind {
    Kernel(RecommendedWatcher),
    Poll(Polling),
}

/// Watches single directories.
pub(super) struct EventSource {
    kind: Kind,
    events: mpsc::UnboundedSender<notify::Event>,
    watched: BTreeSet<PathBuf>,
    notices: Vec<String>,
}

impl EventSource {
    pub(super) fn open(way: WatchMethod, events: mpsc::UnboundedSender<notify::Event>) -> Self {
        let mut notices = Vec::new();
        let kind = match way {
            WatchMethod::Kernel => match recommended(events.clone()) {
                Ok(watcher) => Kind::Kernel(watcher),
                Err(error) => {
                    notices.push(without(&error, "fs.inotify.max_user_instances"));
                    Kind::Poll(Polling::start(events.clone()))
                }
            },
            WatchMethod::Poll(why) => {
                notices.extend(why);
                Kind::Poll(Polling::start(events.clone()))
            }
        };
        Self {
            kind,
            events,
            watched: BTreeSet::new(),
            notices,
        }
    }

    pub(super) fn are_told_by_the_kernel(&self) -> bool {
        matches!(self.kind, Kind::Kernel(_))
    }

    /// Notices about the method, once.
    pub(super) fn take_notices(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notices)
    }

    /// Watches a directory and its direct entries. If the kernel has no more watches, it polls from then on.
    pub(super) fn watch(&mut self, directory: &Path) -> notify::Result<()> {
        let watched = match &mut self.kind {
            Kind::Kernel(watcher) => watcher.watch(directory, RecursiveMode::NonRecursive),
            Kind::Poll(polling) => {
                polling.watch(directory);
                return Ok(());
            }
        };
        match watched {
            Err(error) if is_limit(&error) => {
                self.notices
                    .push(without(&error, "fs.inotify.max_user_watches"));
                self.look_instead();
                self.watch(directory)
            }
            Ok(()) => {
                self.watched.insert(directory.to_owned());
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn look_instead(&mut self) {
        let polling = Polling::start(self.events.clone());
        for directory in std::mem::take(&mut self.watched) {
            polling.watch(&directory);
        }
        self.kind = Kind::Poll(polling);
    }
}

fn recommended(events: mpsc::UnboundedSender<notify::Event>) -> notify::Result<RecommendedWatcher> {
    notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading a file changes nothing; and if nobody receives any more, this process is ending.
        let _ = event.map(|event| !event.kind.is_access() && events.send(event).is_ok());
    })
}

fn is_limit(error: &notify::Error) -> bool {
    match &error.kind {
        ErrorKind::MaxFilesWatch => true,
        ErrorKind::Io(error) => {
            error.raw_os_error() == Some(rustix::io::Errno::NOSPC.raw_os_error())
        }
        _ => false,
    }
}

fn without(error: &notify::Error, setting: &str) -> String {
    format!(
        "the kernel watches no more files for this user ({error}): they are looked at again and again, which takes longer to see a \
         change; `sysctl {setting}` shows the limit"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_system_of_the_project_decides() {
        let mounts = [
            ("/", "ext4"),
            ("/home", "nfs4"),
            ("/home/me/local", "btrfs"),
            ("/work", "9p"),
            ("/mnt", "nfs"),
            ("/mnt", "tmpfs"),
        ];
        let mounts = mounts.map(|(point, kind)| (point.into(), kind.to_owned()));
        for (directory, kind) in [
            ("/srv/app", None),
            ("/home/me/app", Some("nfs4")),
            ("/home/me/local/app", None),
            ("/work/app", Some("9p")),
            ("/workshop/app", None),
            ("/mnt/app", None),
        ] {
            let way = WatchMethod::of(&[directory.into()], &mounts);
            match (way, kind) {
                (WatchMethod::Kernel, None) => {}
                (WatchMethod::Poll(Some(why)), Some(kind)) => assert!(why.contains(kind), "{why}"),
                (way, _) => panic!("{directory}: {way:?}"),
            }
        }
        assert!(
            super::mounts()
                .iter()
                .any(|(point, _)| point == Path::new("/"))
        );
    }

    #[tokio::test]
    async fn the_end_of_the_kernels_watches_is_told_and_everything_is_looked_at() {
        let directory = tempfile::tempdir().unwrap();
        let (a, b) = (directory.path().join("a"), directory.path().join("b"));
        std::fs::create_dir(&a).unwrap();
        std::fs::create_dir(&b).unwrap();
        let (sender, mut events) = mpsc::unbounded_channel();
        let mut source = EventSource::open(WatchMethod::Kernel, sender);
        source.watch(&a).unwrap();
        assert_eq!(source.take_notices(), Vec::<String>::new());
        let limit = notify::Error::new(ErrorKind::MaxFilesWatch);
        assert!(is_limit(&limit));
        source.look_instead();
        source.watch(&b).unwrap();
        for one in [a, b] {
            let file = one.join("x.rs");
            std::fs::write(&file, "x").unwrap();
            let deadline = std::time::Duration::from_secs(30);
            let heard = async { while !events.recv().await.unwrap().paths.contains(&file) {} };
            tokio::time::timeout(deadline, heard).await.unwrap();
        }
        let told = without(&limit, "fs.inotify.max_user_watches");
        assert!(
            told.contains("sysctl fs.inotify.max_user_watches"),
            "{told}"
        );
    }
}
