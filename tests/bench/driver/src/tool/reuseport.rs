//! Two processes that both bind the port with `SO_REUSEPORT`: the new one first, then the old one goes.

use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{Running, Tool, locked};
use crate::place::{Kind, Place};
use crate::processes::{Started, end_program, signal};

pub(super) struct Pair;

struct Serving {
    place: Place,
    current: Started,
    old: Vec<Started>,
    number: u32,
}

impl Tool for Pair {
    fn name(&self) -> &'static str {
        "so-reuseport"
    }

    fn used(&self) -> &'static str {
        "plain axum with SO_REUSEPORT; a script starts the new one, waits until it serves, and sends SIGTERM to the old one"
    }

    fn version(&self) -> anyhow::Result<String> {
        locked("axum")
    }

    fn publish(&self, place: &Place, version: &str, kind: Kind) -> anyhow::Result<()> {
        place.publish("hello-axum", version, kind)
    }

    fn start(&self, place: &Place) -> anyhow::Result<Box<dyn Running>> {
        Ok(Box::new(Serving {
            current: spawn(place, 0)?,
            place: place.clone(),
            old: Vec::new(),
            number: 0,
        }))
    }
}

fn ready(place: &Place, number: u32) -> std::path::PathBuf {
    place.directory.join(format!("ready-{number}"))
}

fn spawn(place: &Place, number: u32) -> anyhow::Result<Started> {
    let mut command = Command::new(place.app());
    command.envs(place.environment());
    command.env("BENCH_REUSEPORT", "1");
    command.env("BENCH_READY", ready(place, number));
    Started::spawn(command, &place.directory.join("log"))
}

impl Running for Serving {
    fn reload(&mut self) -> anyhow::Result<()> {
        self.number += 1;
        let next = spawn(&self.place, self.number)?;
        let file = ready(&self.place, self.number);
        let deadline = Instant::now() + self.place.start + Duration::from_secs(2);
        while !file.exists() {
            if Instant::now() > deadline {
                next.end();
                anyhow::bail!("the new process does not serve");
            }
            sleep(Duration::from_millis(2));
        }
        fs::remove_file(file)?;
        let old = std::mem::replace(&mut self.current, next);
        signal(old.pid(), Signal::TERM);
        self.old.push(old);
        Ok(())
    }

    fn own_processes(&self) -> Vec<i32> {
        Vec::new()
    }

    fn stop(self: Box<Self>) {
        self.current.end();
        self.old.into_iter().for_each(Started::end);
        end_program(&self.place.app());
    }
}
