//! Units that nix built, installed as a switch would install them, and disturbed.
//!
//! `releases.nix` has put the directories to install below `/srv/releases`, one for each version.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "guest/installed.rs"]
mod installed;
#[path = "guest/system.rs"]
mod system;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use portkeep_tests::command::run;
use portkeep_tests::{request, wait_until};

use installed::Installed;

const RELEASES: &str = "/srv/releases";
const ANSWER: Duration = Duration::from_secs(10);

fn address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8080))
}

fn version() -> String {
    request(address(), "/", ANSWER).expect_answer().version
}

mod user {
    use super::*;

    use portkeep_tests::stamp::stamp;
    use portkeep_tests::{Behaviour, probe};

    #[test]
    fn the_path_unit_hands_over_to_a_new_build() {
        let directory = Path::new("/home/dev/apps/watched");
        fs::create_dir_all(directory).unwrap();
        let publish = |version: &str| {
            let target = directory.join("probe");
            let staged = directory.join("staged");
            stamp(&probe(), &staged, &Behaviour::version(version)).unwrap();
            fs::rename(staged, target).unwrap();
        };
        publish("v1");
        let mut app = Installed::new("watched");
        app.switch_to("watched");
        app.systemctl(&["start", "watched.path"]);
        assert_eq!(version(), "v1");
        for release in ["v2", "v3"] {
            publish(release);
            wait_until("the new build answers", ANSWER, || {
                (version() == release).then_some(())
            });
        }
    }
}

/// Run last, because little of what the others need is left.
mod collected {
    use super::*;

    #[test]
    fn what_a_rollback_needs_survives_a_garbage_collection() {
        let mut app = Installed::new("nixed");
        let mut programs = Vec::new();
        for release in ["v3", "v4", "v5"] {
            app.switch_to(release);
            assert_eq!(version(), release);
            programs.push(program(&app));
        }
        // As the profile of a machine does it, for the units that are installed now. Nothing else is kept for tests.
        let installed = fs::canonicalize(Path::new(RELEASES).join("v5")).unwrap();
        let root = "/srv/installed";
        let words = ["--realise", "--add-root", root, installed.to_str().unwrap()];
        let _ = run("nix-store", words).expect_success();
        fs::remove_file(RELEASES).unwrap();

        let _ = run("nix-store", ["--gc"]).expect_success();
        let is_there: Vec<bool> = programs.iter().map(|program| program.exists()).collect();
        // keepGenerations is 2, and what runs is one of them.
        assert_eq!(is_there, [false, true, true], "{programs:?}");
        assert_eq!(version(), "v5");
        let _ = run("portkeep", ["rollback", app.name]).expect_success();
        assert_eq!(version(), "v4");
    }

    /// What the current generation executes.
    fn program(app: &Installed) -> PathBuf {
        let active = ["list-units", "--plain", "--no-legend", "--state=active"];
        let units = app
            .manager
            .systemctl(&[&active[..], &["nixed@*.service"]].concat());
        let unit = units.stdout.split_whitespace().next().unwrap().to_owned();
        let process = app.manager.property(&unit, "MainPID");
        fs::read_link(format!("/proc/{process}/exe")).unwrap()
    }
}
