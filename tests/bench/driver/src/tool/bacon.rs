//! bacon, with its job `run-long`: it kills what runs as soon as a file changes, and starts it anew.

use std::net::SocketAddr;
use std::process::Command;

use super::{Develop, Running, Tool, words};
use crate::place::{Kind, Place};
use crate::processes::{Started, end_program, run, tree};
use crate::project::App;

pub(super) struct Bacon;

struct Process {
    place: Place,
    process: Started,
}

/// `run-long` as bacon brings it, with a program that is there in place of `cargo run`.
const JOB: &str = r#"[jobs.run-long]
command = ["bin/app"]
default_watch = false
watch = ["bin"]
need_stdout = true
allow_warnings = true
background = false
on_change_strategy = "kill_then_restart"
"#;

/// Nobody is at a terminal.
fn run_long(_: SocketAddr) -> Vec<String> {
    words(&["bacon", "--headless", "run-long"])
}

impl Tool for Bacon {
    fn name(&self) -> &'static str {
        "bacon"
    }

    fn used(&self) -> &'static str {
        "`bacon run-long` (`kill_then_restart`, as it comes): the app binds the port"
    }

    fn version(&self) -> anyhow::Result<String> {
        Ok(run(["bacon", "--version"])?.trim().to_owned())
    }

    fn publish(&self, place: &Place, version: &str, kind: Kind) -> anyhow::Result<()> {
        place.publish("hello-axum", version, kind)
    }

    fn is_for_production(&self) -> bool {
        false
    }

    fn develop(&self) -> Vec<Develop> {
        vec![Develop {
            app: App::Axum,
            words: run_long,
            settles_on: None,
        }]
    }

    fn start(&self, place: &Place) -> anyhow::Result<Box<dyn Running>> {
        std::fs::write(place.directory.join("bacon.toml"), JOB)?;
        let words = run_long(place.address);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        command.current_dir(&place.directory);
        command.envs(place.environment());
        let process = Started::spawn(command, &place.directory.join("log"))?;
        Ok(Box::new(Process {
            place: place.clone(),
            process,
        }))
    }
}

impl Running for Process {
    /// It sees the release.
    fn reload(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    fn own_processes(&self) -> Vec<i32> {
        tree(self.process.pid(), &self.place.app())
    }

    fn stop(self: Box<Self>) {
        self.process.end();
        end_program(&self.place.app());
    }
}
