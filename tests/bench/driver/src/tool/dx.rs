//! `dx serve` of Dioxus, for a server: it goes on serving while it builds, then ends what runs and starts what it has built.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use super::{Develop, Running, Tool, words};
use crate::place::{Kind, Place};
use crate::processes::{Started, run, tree};
use crate::project::App;

struct Dx;

/// It is compiled only where somebody has asked for it.
pub(super) fn if_installed() -> Option<Box<dyn Tool>> {
    let path = std::env::var_os("PATH")?;
    let is_there = std::env::split_paths(&path).any(|directory| directory.join("dx").is_file());
    is_there.then(|| Box::new(Dx) as Box<dyn Tool>)
}

struct Process {
    place: Place,
    process: Started,
}

/// The project of row 1. It runs nothing that it has not built itself, so it builds one line, which becomes the release.
const MANIFEST: &str =
    "[package]\nname = \"release\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n";
const SOURCE: &str = r#"// VERSION
fn main() {
    let error = std::os::unix::process::CommandExt::exec(&mut std::process::Command::new("APP"));
    panic!("{error}");
}
"#;

/// Nobody is at a terminal, and nothing is told to anybody.
fn serve(_: SocketAddr) -> Vec<String> {
    words(&[
        "env",
        "DX_TELEMETRY_ENABLED=false",
        "dx",
        "serve",
        "--server",
        "--interactive",
        "false",
    ])
}

impl Tool for Dx {
    fn name(&self) -> &'static str {
        "dx"
    }

    fn used(&self) -> &'static str {
        "`dx serve --server`: the app binds the port. Row 1: it builds one line, which becomes the release"
    }

    fn version(&self) -> anyhow::Result<String> {
        let text = run(["dx", "--version"])?;
        // Such as "dioxus 0.7.10 (…)".
        let words: Vec<_> = text.split_whitespace().take(2).collect();
        Ok(words.join(" "))
    }

    fn publish(&self, place: &Place, version: &str, kind: Kind) -> anyhow::Result<()> {
        place.publish("hello-axum", version, kind)?;
        let source = SOURCE
            .replace("VERSION", version)
            .replace("APP", &place.app().to_string_lossy());
        fs::create_dir_all(place.directory.join("src"))?;
        fs::write(place.directory.join("Cargo.toml"), MANIFEST)?;
        fs::write(place.directory.join("src/main.rs"), source)?;
        Ok(())
    }

    fn is_for_production(&self) -> bool {
        false
    }

    /// In the others, a build of its own would be what is measured.
    fn rows(&self) -> Option<&'static [u32]> {
        Some(&[1, 6])
    }

    fn develop(&self) -> Vec<Develop> {
        vec![Develop {
            app: App::Axum,
            words: serve,
            settles_on: None,
        }]
    }

    fn start(&self, place: &Place) -> anyhow::Result<Box<dyn Running>> {
        let words = serve(place.address);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        command.current_dir(&place.directory);
        command.envs(place.environment());
        command.env("CARGO_NET_OFFLINE", "true");
        let log = place.directory.with_extension("log");
        let process = Started::spawn(command, &log)?;
        Ok(Box::new(Process {
            place: place.clone(),
            process,
        }))
    }
}

impl Running for Process {
    /// It sees the change.
    fn reload(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    fn own_processes(&self) -> Vec<i32> {
        tree(self.process.pid(), &self.place.app())
    }

    fn stop(self: Box<Self>) {
        self.process.end_all();
    }
}
