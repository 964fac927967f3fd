//! Libraries that start the next process themselves when SIGHUP comes.

use std::fs;
use std::process::Command;

use anyhow::Context;
use rustix::process::Signal;

use super::{Running, Tool, locked};
use crate::place::{Kind, Place};
use crate::processes::{Started, end_program, of_program, signal};

pub(super) struct GracefulRestart;
pub(super) struct Ecdysis;

struct Serving {
    place: Place,
    first: Started,
}

fn start(place: &Place) -> anyhow::Result<Box<dyn Running>> {
    let mut command = Command::new(place.app());
    command.envs(place.environment());
    let first = Started::spawn(command, &place.directory.join("log"))?;
    Ok(Box::new(Serving {
        place: place.clone(),
        first,
    }))
}

impl Tool for GracefulRestart {
    fn name(&self) -> &'static str {
        "axum_graceful_restart"
    }

    fn used(&self) -> &'static str {
        "as its README shows it; SIGHUP"
    }

    fn version(&self) -> anyhow::Result<String> {
        locked("axum_graceful_restart")
    }

    fn publish(&self, place: &Place, version: &str, kind: Kind) -> anyhow::Result<()> {
        place.publish("hello-graceful-restart", version, kind)
    }

    fn start(&self, place: &Place) -> anyhow::Result<Box<dyn Running>> {
        start(place)
    }
}

impl Tool for Ecdysis {
    fn name(&self) -> &'static str {
        "ecdysis"
    }

    fn used(&self) -> &'static str {
        "as its example shows it, with hyper-util's graceful shutdown; SIGHUP"
    }

    fn version(&self) -> anyhow::Result<String> {
        locked("ecdysis")
    }

    fn publish(&self, place: &Place, version: &str, kind: Kind) -> anyhow::Result<()> {
        place.publish("hello-ecdysis", version, kind)
    }

    fn start(&self, place: &Place) -> anyhow::Result<Box<dyn Running>> {
        start(place)
    }
}

impl Running for Serving {
    fn reload(&mut self) -> anyhow::Result<()> {
        let newest = of_program(&self.place.app())
            .into_iter()
            .max_by_key(|pid| started_at(*pid))
            .context("no process of the app is left")?;
        signal(newest, Signal::HUP);
        Ok(())
    }

    fn own_processes(&self) -> Vec<i32> {
        Vec::new()
    }

    fn stop(self: Box<Self>) {
        self.first.end();
        end_program(&self.place.app());
    }
}

/// In ticks since the boot.
fn started_at(pid: i32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name, in parentheses, may contain spaces.
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    after_name
        .split(' ')
        .nth(19)
        .and_then(|ticks| ticks.parse().ok())
        .unwrap_or_default()
}
