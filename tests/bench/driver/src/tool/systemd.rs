//! A plain `.socket`, and `systemctl restart`.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use super::{Running, Tool, locked};
use crate::place::{Kind, Place};
use crate::processes::run;

/// systemd's start limit, five starts in ten seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limits {
    /// As it comes.
    Default,
    /// Switched off, which more reloads than that need.
    Off,
}

/// Plain axum on a `.socket`.
pub(super) struct Restart(pub(super) Limits);

struct Units(Place);

impl Tool for Restart {
    fn name(&self) -> &'static str {
        match self.0 {
            Limits::Off => "systemd-restart",
            Limits::Default => "systemd-restart-default-limits",
        }
    }

    fn used(&self) -> &'static str {
        match self.0 {
            Limits::Off => {
                "plain axum on a `.socket`, `systemctl restart`, `Restart=on-failure`, start and trigger limits off"
            }
            Limits::Default => "the same with systemd's default limits",
        }
    }

    fn version(&self) -> anyhow::Result<String> {
        let version = run(["systemctl", "--version"])?;
        let systemd = version
            .split_whitespace()
            .take(2)
            .collect::<Vec<_>>()
            .join(" ");
        Ok(format!("{systemd}, {}", locked("axum")?))
    }

    fn publish(&self, place: &Place, version: &str, kind: Kind) -> anyhow::Result<()> {
        place.publish("hello-axum", version, kind)
    }

    fn start(&self, place: &Place) -> anyhow::Result<Box<dyn Running>> {
        let (mut unit, mut socket) = (String::from("[Unit]\n"), String::from("[Socket]\n"));
        if self.0 == Limits::Off {
            unit.push_str("StartLimitIntervalSec=0\n");
            socket.push_str("TriggerLimitIntervalSec=0\n");
        }
        writeln!(socket, "ListenStream={}", place.address)?;
        writeln!(unit, "[Service]\nExecStart={}", place.app().display())?;
        unit.push_str("NonBlocking=yes\nRestart=on-failure\nTimeoutStopSec=30\n");
        for (name, value) in place.environment() {
            writeln!(unit, "Environment={name}={value}")?;
        }
        fs::write(file(place, "service"), unit)?;
        fs::write(file(place, "socket"), socket)?;
        run(["systemctl", "daemon-reload"])?;
        let units = Box::new(Units(place.clone()));
        run(["systemctl", "start", &format!("{}.socket", place.name)])?;
        Ok(units)
    }

    fn lists(&self) -> Option<&'static [&'static str]> {
        Some(&[
            "systemctl",
            "status",
            "--no-pager",
            "--lines=0",
            "bench-app-*",
        ])
    }
}

fn file(place: &Place, kind: &str) -> PathBuf {
    PathBuf::from(format!("/run/systemd/system/{}.{kind}", place.name))
}

impl Running for Units {
    fn reload(&mut self) -> anyhow::Result<()> {
        run(["systemctl", "restart", &format!("{}.service", self.0.name)]).map(drop)
    }

    fn own_processes(&self) -> Vec<i32> {
        Vec::new()
    }

    fn stop(self: Box<Self>) {
        let [service, socket] = ["service", "socket"].map(|kind| format!("{}.{kind}", self.0.name));
        let _ = run(["systemctl", "stop", &socket, &service]);
        let _ = run(["systemctl", "reset-failed", &socket, &service]);
        for kind in ["service", "socket"] {
            let _ = fs::remove_file(file(&self.0, kind));
        }
        let _ = run(["systemctl", "daemon-reload"]);
    }
}
