//! Tools of development: they restart the app when its file changes.

use std::net::SocketAddr;
use std::process::Command;

use rustix::process::Signal;

use super::{Develop, Running, Tool, words};
use crate::place::{Kind, Place};
use crate::processes::{Started, end_program, run, signal, tree};
use crate::project::App;

/// What starts the app anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trigger {
    /// The change of its file.
    Change,
    /// SIGHUP, as its documentation says.
    Hangup,
}

struct Watching {
    name: &'static str,
    used: &'static str,
    versions: &'static [&'static [&'static str]],
    words: fn(&Place) -> Vec<String>,
    develop: fn(SocketAddr) -> Vec<String>,
    trigger: Trigger,
}

struct Process {
    place: Place,
    process: Started,
    trigger: Trigger,
}

pub(super) fn all() -> [Box<dyn Tool>; 4] {
    [
        Box::new(Watching {
            name: "systemfd-watchexec",
            used: "`systemfd -s http::ADDR -- watchexec -r -w bin -- bin/app`",
            versions: &[&["systemfd", "--version"], &["watchexec", "--version"]],
            words: |place| {
                let socket = format!("http::{}", place.address);
                let systemfd = words(&["systemfd", "--no-pid", "-s", &socket, "--"]);
                [systemfd, watchexec(&[])].concat()
            },
            develop: |address| {
                let socket = format!("http::{address}");
                let systemfd = words(&["systemfd", "--no-pid", "-s", &socket, "--"]);
                [systemfd, cargo_run(&[])].concat()
            },
            trigger: Trigger::Change,
        }),
        Box::new(Watching {
            name: "watchexec-socket",
            used: "`watchexec --socket ADDR -r -w bin -- bin/app`",
            versions: &[&["watchexec", "--version"]],
            words: |place| watchexec(&["--socket", &place.address.to_string()]),
            develop: |address| cargo_run(&["--socket", &address.to_string()]),
            trigger: Trigger::Change,
        }),
        Box::new(Watching {
            name: "watchexec",
            used: "`watchexec -r -w bin -- bin/app`: the app binds the port",
            versions: &[&["watchexec", "--version"]],
            words: |_| watchexec(&[]),
            develop: |_| cargo_run(&[]),
            trigger: Trigger::Change,
        }),
        Box::new(Watching {
            name: "cargo-devserver",
            used: "`cargo devserver --bin bin/app`; SIGHUP. This version closes its own socket before it starts the app, so nothing ever answers",
            versions: &[&["cargo-devserver", "devserver", "--version"]],
            words: |place| {
                let port = place.address.port().to_string();
                let devserver = [
                    "cargo-devserver",
                    "devserver",
                    "--watch",
                    "src",
                    "--bin",
                    "bin/app",
                ];
                words(&[&devserver[..], &["--host", "127.0.0.1", "--port", &port]].concat())
            },
            develop: |address| {
                let port = address.port().to_string();
                words(&[
                    "cargo-devserver",
                    "devserver",
                    "--watch",
                    "src",
                    "--host",
                    "127.0.0.1",
                    "--port",
                    &port,
                ])
            },
            trigger: Trigger::Hangup,
        }),
    ]
}

fn cargo_run(options: &[&str]) -> Vec<String> {
    let common = [
        "-r",
        "-w",
        "src",
        "--shell=none",
        "--",
        "cargo",
        "run",
        "--quiet",
    ];
    words(&[&["watchexec"], options, &common].concat())
}

fn watchexec(options: &[&str]) -> Vec<String> {
    let common = ["-r", "-w", "bin", "--shell=none", "--", "bin/app"];
    words(&[&["watchexec"], options, &common].concat())
}

impl Tool for Watching {
    fn name(&self) -> &'static str {
        self.name
    }

    fn used(&self) -> &'static str {
        self.used
    }

    fn version(&self) -> anyhow::Result<String> {
        let versions: anyhow::Result<Vec<_>> = self
            .versions
            .iter()
            .map(|words| first_line(words))
            .collect();
        Ok(versions?.join(", "))
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
            words: self.develop,
            settles_on: None,
        }]
    }

    fn start(&self, place: &Place) -> anyhow::Result<Box<dyn Running>> {
        std::fs::create_dir_all(place.directory.join("src"))?;
        let words = (self.words)(place);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        command.current_dir(&place.directory);
        command.envs(place.environment());
        let process = Started::spawn(command, &place.directory.join("log"))?;
        Ok(Box::new(Process {
            place: place.clone(),
            process,
            trigger: self.trigger,
        }))
    }
}

/// Such as "watchexec 2.8.0", without the date of the build.
fn first_line(words: &[&str]) -> anyhow::Result<String> {
    let text = run(words)?;
    let line = text.lines().next().unwrap_or_default();
    Ok(line
        .split_whitespace()
        .take(2)
        .collect::<Vec<_>>()
        .join(" "))
}

impl Running for Process {
    fn reload(&mut self) -> anyhow::Result<()> {
        if self.trigger == Trigger::Hangup {
            signal(self.process.pid(), Signal::HUP);
        }
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
