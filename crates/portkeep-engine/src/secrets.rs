//! Changes of secrets: files that other programs replace while the app runs, as agenix, sops-nix and certificate renewal do.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

use portkeep_spec::Spec;

use crate::prerequisites::Prerequisites;
use crate::store::Store;

/// As many symbolic links as the kernel follows.
const MOST_LINKS: u32 = 40;
/// Files never change below these.
const FIXED: [&str; 2] = ["/nix/store", "/gnu/store"];
/// How long nothing must change before a change counts: several files are replaced together, and a file must not be read in
/// the middle of a write.
const CALM: Duration = Duration::from_millis(150);
/// The longest wait for that.
const PATIENCE: Duration = Duration::from_secs(2);

/// The directories in which a change of a secret of `spec` can be seen. None if it does not watch secrets.
#[must_use]
pub fn directories(spec: &Spec) -> BTreeSet<PathBuf> {
    if !spec.watch_secrets {
        return BTreeSet::new();
    }
    let files = spec.environment_files.iter();
    files
        .chain(spec.credentials.values())
        .flat_map(|file| on_the_way(file))
        .filter(|directory| !FIXED.iter().any(|fixed| directory.starts_with(fixed)))
        .collect()
}

/// The directories with an entry whose replacement would change where `path` leads: each link on the way, and the file
/// itself. The way ends at a missing entry, which is seen when it appears.
fn on_the_way(path: &Path) -> Vec<PathBuf> {
    let mut pending = Vec::new();
    push(&mut pending, path);
    let mut here = PathBuf::from("/");
    let mut found = Vec::new();
    let mut links = 0;
    while let Some(component) = pending.pop() {
        if component == ".." {
            here.pop();
            continue;
        }
        let next = here.join(&component);
        let kind = fs::symlink_metadata(&next).map(|metadata| metadata.file_type());
        let Ok(kind) = kind else {
            found.push(here);
            return found;
        };
        if kind.is_symlink() {
            found.push(here.clone());
            links += 1;
            let Ok(target) = fs::read_link(&next) else {
                return found;
            };
            if links > MOST_LINKS {
                return found;
            }
            if target.is_absolute() {
                here = PathBuf::from("/");
            }
            push(&mut pending, &target);
        } else if kind.is_dir() {
            here = next;
        } else {
            found.push(here);
            return found;
        }
    }
    // A credential may be a directory of files.
    found.push(here);
    found
}

fn push(pending: &mut Vec<OsString>, path: &Path) {
    for component in path.components().rev() {
        match component {
            Component::Normal(name) => pending.push(name.to_owned()),
            Component::ParentDir => pending.push("..".into()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
}

/// Whether there may be other secrets than at the last handover. Reads only the state of the files. A missing file is no
/// difference: its replacement will be a new event.
#[must_use]
pub fn have_changed(store: &Store, spec: &Spec) -> bool {
    let now = Prerequisites::of(spec).secrets();
    spec.watch_secrets
        && now.missing().is_empty()
        && store
            .seen()
            .is_none_or(|seen| seen.prerequisites.secrets() != now)
}

/// Waits until nobody writes to the secrets of `spec`.
pub async fn calm(spec: &Spec) {
    let begun = Instant::now();
    let mut before = Prerequisites::of(spec).secrets();
    while begun.elapsed() < PATIENCE {
        tokio::time::sleep(CALM).await;
        let now = Prerequisites::of(spec).secrets();
        if now == before {
            return;
        }
        before = now;
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use portkeep_spec::Spec;

    use super::*;

    #[test]
    fn each_link_and_the_file_itself_are_seen_where_they_are() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        let below = |path: &str| root.join(path);
        for made in ["run/agenix.d/1", "etc", "plain", "cred.d"] {
            fs::create_dir_all(below(made)).unwrap();
        }
        fs::write(below("run/agenix.d/1/token"), "1").unwrap();
        fs::write(below("plain/env"), "A=1").unwrap();
        symlink(below("run/agenix.d/1"), below("run/agenix")).unwrap();
        symlink("../run/agenix/token", below("etc/token")).unwrap();
        symlink("loop", below("loop")).unwrap();
        for (path, seen) in [
            ("plain/env", &["plain"][..]),
            ("plain/other", &["plain"]),
            ("plain/no/other", &["plain"]),
            ("run/agenix/token", &["run", "run/agenix.d/1"]),
            ("run/agenix/other", &["run", "run/agenix.d/1"]),
            ("etc/token", &["etc", "run", "run/agenix.d/1"]),
            ("cred.d", &["cred.d"]),
        ] {
            let expected: Vec<_> = seen.iter().map(|path| below(path)).collect();
            assert_eq!(on_the_way(&below(path)), expected, "{path}");
        }
        assert!(!on_the_way(&below("loop")).is_empty());
        assert_eq!(on_the_way(Path::new("/")), [Path::new("/")]);
    }

    #[test]
    fn only_who_asks_for_it_watches_and_no_store() {
        let mut spec = Spec::new("a".parse().unwrap(), vec!["/a".into()], Vec::new());
        spec.environment_files = vec!["/proc/none".into(), "/nix/store/none/env".into()];
        assert!(directories(&spec).is_empty());
        spec.watch_secrets = true;
        let watched = directories(&spec);
        assert!(watched.contains(Path::new("/proc")), "{watched:?}");
        assert!(watched.iter().all(|path| !path.starts_with("/nix/store")));
    }

    #[test]
    fn what_others_replace_has_changed_and_what_is_missing_has_not() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::below(root.path());
        let file = root.path().join("env");
        let mut spec = Spec::new("a".parse().unwrap(), vec!["/a".into()], Vec::new());
        spec.environment_files = vec![file.clone()];
        fs::write(&file, "A=1").unwrap();
        assert!(!have_changed(&store, &spec), "nobody watches");
        spec.watch_secrets = true;
        assert!(have_changed(&store, &spec), "nothing is known yet");
        fs::remove_file(&file).unwrap();
        assert!(!have_changed(&store, &spec), "it will come back");
    }
}
