//! portkeep: with systemd, and without.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use super::{Develop, Part, Running, Tool, parts, words};
use crate::place::{Kind, Place};
use crate::processes::{Started, end_program, named, run, run_within, tree};
use crate::project::App;

/// The app for a place.
fn base(place: &Place) -> &'static str {
    match place.tls {
        None => "hello-portkeep",
        Some(_) => "hello-portkeep-s2n",
    }
}

/// What a command of it may take.
const LONGEST: Duration = Duration::from_secs(60);

fn version() -> anyhow::Result<String> {
    Ok(run(["portkeep", "--version"])?.trim().to_owned())
}

/// The app as everybody has it, and on the server library.
fn develop(words: fn(SocketAddr) -> Vec<String>) -> Vec<Develop> {
    let with = |app| Develop {
        app,
        words,
        settles_on: Some("portkeep-dev"),
    };
    [App::Axum, App::Portkeep].map(with).into()
}

fn write_spec(place: &Place) -> anyhow::Result<std::path::PathBuf> {
    let environment: std::collections::BTreeMap<_, _> = place.environment().into_iter().collect();
    let spec = serde_json::json!({
        "name": place.name,
        "exec": [place.app()],
        "listen": [{ "stream": place.address.to_string() }],
        "environment": environment,
        "watch": place.app(),
        // `portkeep dev` takes a release when it is told to, as all others do, and not when it sees it too.
        "ignore": ["*"],
    });
    let path = place.directory.join("portkeep.json");
    std::fs::write(&path, spec.to_string())?;
    Ok(path)
}

/// `portkeep install --system`.
pub(super) struct OnSystemd;

struct Installed(Place);

impl Tool for OnSystemd {
    fn name(&self) -> &'static str {
        "portkeep-systemd"
    }

    fn used(&self) -> &'static str {
        "`portkeep install --system`, `systemctl reload`; default settings (sandbox strict)"
    }

    fn version(&self) -> anyhow::Result<String> {
        version()
    }

    fn publish(&self, place: &Place, version: &str, kind: Kind) -> anyhow::Result<()> {
        place.publish(base(place), version, kind)
    }

    fn start(&self, place: &Place) -> anyhow::Result<Box<dyn Running>> {
        let spec = write_spec(place)?;
        let install = ["portkeep", "install", "--system", "--now", "--spec"].map(OsStr::new);
        run(install.into_iter().chain([spec.as_os_str()]))?;
        Ok(Box::new(Installed(place.clone())))
    }

    fn lists(&self) -> Option<&'static [&'static str]> {
        Some(&["portkeep", "status", "--system"])
    }

    fn renders(&self, place: &Place) -> Option<Vec<String>> {
        let spec = place.directory.join("portkeep.json");
        let units = place.directory.join("units");
        let [spec, units] = [&spec, &units].map(|path| path.to_string_lossy());
        Some(words(&[
            "portkeep", "units", "--spec", &spec, "--out", &units,
        ]))
    }

    fn serves_tls(&self) -> bool {
        true
    }

    fn develop(&self) -> Vec<Develop> {
        develop(|address| words(&["portkeep", "dev", "--listen", &address.to_string()]))
    }
}

impl Running for Installed {
    fn reload(&mut self) -> anyhow::Result<()> {
        run(["systemctl", "reload", &format!("{}.service", self.0.name)]).map(drop)
    }

    fn parts(&self) -> anyhow::Result<Vec<Part>> {
        let history = run(["portkeep", "history", "--system", "--json", &self.0.name])?;
        parts::of_last(&history, &self.0, true)
    }

    fn own_processes(&self) -> Vec<i32> {
        // Its helper runs while a generation starts, hands over or ends; nothing stays.
        named("portkeep")
    }

    fn stop(self: Box<Self>) {
        if let Err(error) = run(["portkeep", "uninstall", "--system", &self.0.name]) {
            eprintln!("{error:#}");
        }
    }
}

/// `portkeep dev --backend local`.
pub(super) struct Local;

struct Dev {
    place: Place,
    process: Started,
}

impl Tool for Local {
    fn name(&self) -> &'static str {
        "portkeep-local"
    }

    fn used(&self) -> &'static str {
        "`portkeep dev --backend local`, `portkeep reload`"
    }

    fn version(&self) -> anyhow::Result<String> {
        version()
    }

    fn publish(&self, place: &Place, version: &str, kind: Kind) -> anyhow::Result<()> {
        place.publish(base(place), version, kind)
    }

    fn start(&self, place: &Place) -> anyhow::Result<Box<dyn Running>> {
        write_spec(place)?;
        let home = place.directory.with_extension("home");
        if home.exists() {
            std::fs::remove_dir_all(&home)?;
        }
        std::fs::create_dir_all(&home)?;
        let mut command = portkeep(place);
        command.args(["dev", "--backend", "local", "--project"]);
        command.arg(&place.directory);
        let process = Started::spawn(command, &place.directory.join("log"))?;
        Ok(Box::new(Dev {
            place: place.clone(),
            process,
        }))
    }

    fn is_for_production(&self) -> bool {
        false
    }

    fn serves_tls(&self) -> bool {
        true
    }

    fn develop(&self) -> Vec<Develop> {
        develop(|address| {
            let listen = address.to_string();
            words(&["portkeep", "dev", "--backend", "local", "--listen", &listen])
        })
    }
}

/// Where nobody else's apps are.
fn portkeep(place: &Place) -> Command {
    let mut command = Command::new("portkeep");
    // Beside the project, as everybody's are.
    let home = place.directory.with_extension("home");
    command.env("HOME", &home).env("XDG_RUNTIME_DIR", &home);
    command
}

impl Running for Dev {
    fn reload(&mut self) -> anyhow::Result<()> {
        let mut command = portkeep(&self.place);
        command.args(["reload", &self.place.name]);
        run_within(command, LONGEST).map(drop)
    }

    fn parts(&self) -> anyhow::Result<Vec<Part>> {
        let mut command = portkeep(&self.place);
        command.args(["history", "--json", &self.place.name]);
        parts::of_last(&run_within(command, LONGEST)?, &self.place, false)
    }

    fn own_processes(&self) -> Vec<i32> {
        let app = self.place.app();
        // Generations run a copy, so they are told apart by their name.
        tree(self.process.pid(), &app)
            .into_iter()
            .filter(|pid| named("portkeep").contains(pid))
            .collect()
    }

    fn stop(self: Box<Self>) {
        self.process.end();
        end_program(&self.place.app());
    }
}
