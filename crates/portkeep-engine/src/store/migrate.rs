//! Closes files and directories that an older version left readable for all.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{Store, write::PRIVATE};
use crate::directories::{TRAVERSED, make};

/// Files that older versions wrote with 0644.
const IN_RUN: [&str; 2] = ["lock", "dev.lock"];
const IN_STATE: [&str; 2] = ["good.json", "last-generation"];
const IN_RELEASE: [&str; 1] = ["release.json"];
const IN_GENERATION: [&str; 3] = ["release", "ends.jsonl", "pid"];

/// Closes them. A file that cannot be changed is no reason not to serve.
pub(super) fn close_files(store: &Store) {
    let below = |directory: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    };
    let fixed = [
        (vec![store.run.clone()], &IN_RUN[..]),
        (vec![store.state.clone()], &IN_STATE),
        (below(&store.releases_directory()), &IN_RELEASE),
        (below(&store.generations_directory()), &IN_GENERATION),
    ];
    for (directories, names) in fixed {
        for directory in directories {
            stop_listing(&directory);
            for name in names {
                close(&directory.join(name));
            }
        }
    }
}

/// A release that is closed stays closed.
fn stop_listing(directory: &Path) {
    let is_listed = fs::symlink_metadata(directory)
        .is_ok_and(|found| found.is_dir() && found.mode() & 0o077 & !TRAVERSED != 0);
    if is_listed {
        // One that cannot be changed stays as it is.
        let _ = make(directory, TRAVERSED);
    }
}

fn close(path: &Path) {
    let is_open = fs::symlink_metadata(path)
        .is_ok_and(|file| file.is_file() && file.mode() & 0o777 != PRIVATE);
    if is_open && let Ok(file) = File::open(path) {
        let _ = file.set_permissions(Permissions::from_mode(PRIVATE));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directories::Directories;
    use crate::generation::Generation;
    use crate::release::Digest;

    const DIGEST: &str = "0123456789abcdef0123456789abcdef";

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    /// Files of the last version: its modes and its texts.
    fn older(root: &Path) -> Directories {
        let (run, state) = (root.join("portkeep-run/app"), root.join("portkeep/app"));
        let release = state.join("releases").join(DIGEST);
        let generation = run.join("generations/7");
        let executable = release.join("app");
        let look =
            r#"{"device":1,"inode":2,"size":3,"modified_nanoseconds":4,"changed_nanoseconds":5}"#;
        let release_json = format!(
            r#"{{"digest":"{DIGEST}","executable":"{}","look":{{"executable":["/srv/app",{look}],"others":[]}},
            "recipe":{{"arguments":["-x"],"settings":"s"}}}}"#,
            executable.display()
        );
        let handover = format!(
            r#"{{"event":"handover","at":"2026-01-01T00:00:00Z","purpose":"reload","result":"handed-over","generation":7,
            "previous":null,"digest":"{DIGEST}","source":"/srv/app","drained":[],"steps":{{"lockMilliseconds":0.1,
            "takeMilliseconds":0.1,"startMilliseconds":0.1,"totalMilliseconds":0.1}},"reason":null}}"#
        );
        let handover = handover.replace("\n", "") + "\n";
        let end =
            r#"{"at":"2026-01-01T00:00:00Z","result":"signal","code":"killed","status":"KILL"}"#;
        for (path, contents, mode) in [
            (run.join("lock"), "", 0o644),
            (generation.join("release"), DIGEST, 0o644),
            (generation.join("ends.jsonl"), &format!("{end}\n"), 0o644),
            (generation.join("environment"), "A=\"1\"\n", 0o600),
            (state.join("good.json"), &format!("[\"{DIGEST}\"]"), 0o644),
            (state.join("last-generation"), "7", 0o644),
            (state.join("history.jsonl"), &handover, 0o600),
            (release.join("release.json"), &release_json, 0o644),
            (release.join("environment.json"), r#"{"A":"1"}"#, 0o600),
            (executable, "#!/bin/sh\n", 0o755),
        ] {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, contents).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        }
        std::os::unix::fs::symlink("generations/7", run.join("current")).unwrap();
        Directories { run, state }
    }

    #[test]
    fn an_older_installation_is_closed_and_loses_nothing() {
        let root = tempfile::tempdir().unwrap();
        let directories = older(root.path());
        let Directories { run, state } = &directories;
        let seven = Generation(7);
        // Repeating it does no harm.
        for _ in 0..2 {
            let store = Store::open(&"app".parse().unwrap(), &directories).unwrap();
            assert_eq!(store.current(), Some(seven));
            let release = store.release_of(seven).unwrap();
            assert_eq!(release.digest().as_str(), DIGEST);
            assert_eq!(release.arguments(), ["-x"]);
            assert_eq!(release.environment()["A"], "1");
            assert!(release.is_intact());
            assert_eq!(release.argv0(), None);
            assert_eq!(store.last_good(None).unwrap().digest().as_str(), DIGEST);
            assert_eq!(store.history().unwrap().len(), 1);
            assert_eq!(store.ends(seven).len(), 1);
            assert_eq!(store.next_generation(std::iter::empty()), Generation(8));
            assert_eq!(
                store.rollback_target(Some(seven)).unwrap(),
                Digest(DIGEST.to_owned())
            );
            assert!(store.try_lock().unwrap().is_some());
        }
        let release = state.join("releases").join(DIGEST);
        for (path, expected) in [
            (run.clone(), 0o711),
            (run.join("generations"), 0o711),
            (state.clone(), 0o711),
            (state.join("releases"), 0o711),
            (run.join("generations/7"), 0o711),
            (release.clone(), 0o711),
            (run.join("lock"), 0o600),
            (run.join("generations/7/release"), 0o600),
            (run.join("generations/7/ends.jsonl"), 0o600),
            (state.join("good.json"), 0o600),
            (state.join("last-generation"), 0o600),
            (release.join("release.json"), 0o600),
            // It runs.
            (release.join("app"), 0o755),
        ] {
            assert_eq!(mode(&path), expected, "{}", path.display());
        }
    }

    #[test]
    fn a_link_in_place_of_a_file_of_ours_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let directories = older(root.path());
        let elsewhere = root.path().join("elsewhere");
        fs::write(&elsewhere, "").unwrap();
        fs::set_permissions(&elsewhere, Permissions::from_mode(0o644)).unwrap();
        let good = directories.state.join("good.json");
        fs::remove_file(&good).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &good).unwrap();
        Store::open(&"app".parse().unwrap(), &directories).unwrap();
        assert_eq!(mode(&elsewhere), 0o644);
    }
}
