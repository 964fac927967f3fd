//! Reloads for a long time, under load: nothing is lost, nothing grows.

use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;
use serde::Serialize;

use crate::client::{Load, Protocol};
use crate::place::Kind;
use crate::processes::{memory, run};
use crate::serving::Bench;
use crate::tool;

/// A server that begins to serve takes memory in its first minutes.
const WARM: usize = 3;
/// What the last samples may be above the first ones.
const FLAT: f64 = 1.10;
/// The client and the machine do not hold a rate exactly.
const HELD: f64 = 0.95;

/// Reload an app on systemd again and again under load; fails if a request or a connection is lost, or memory or
/// descriptors grow.
#[derive(Debug, Args)]
pub(crate) struct Soak {
    /// How many reloads.
    #[arg(long, default_value_t = 1000)]
    reloads: u32,
    /// Over how many minutes.
    #[arg(long, default_value_t = 30)]
    minutes: u32,
    /// Requests a second.
    #[arg(long, default_value_t = 1000)]
    rate: u32,
    /// Where the app is placed.
    #[arg(long, default_value = "/srv/bench")]
    root: PathBuf,
    /// Where the app comes from.
    #[arg(long, default_value = "/opt/portkeep/bin")]
    programs: PathBuf,
    /// The figures, as JSON.
    #[arg(long)]
    out: Option<PathBuf>,
}

/// What the parts take at one moment.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Sample {
    reloads: u32,
    app_kib: u64,
    app_descriptors: u64,
    systemd_kib: u64,
    systemd_descriptors: u64,
    state_files: u64,
    generations: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    reloads: u32,
    seconds: f64,
    requests: u64,
    failed: u64,
    closed: u64,
    slowest_milliseconds: f64,
    samples: Vec<Sample>,
}

impl Soak {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let bench = Bench {
            root: self.root.clone(),
            programs: self.programs.clone(),
            quick: false,
            reloads: self.reloads,
        };
        let tools = tool::all();
        let portkeep = tools
            .iter()
            .find(|tool| tool.name() == "portkeep-systemd")
            .context("no adapter for portkeep")?;
        let mut serving = bench.serve(portkeep.as_ref(), Duration::ZERO)?;
        let load = Load {
            address: serving.place.address,
            protocol: Protocol::KeepAlive,
            tls: None,
            connections: 50,
            rate: self.rate,
        };
        let load = load.start()?;
        let pace = Duration::from_secs(60) * self.minutes / self.reloads;
        let start = Instant::now();
        let mut samples = Vec::new();
        // Twenty and one, however long it takes.
        let between = (self.reloads / 20).max(1);
        for number in 1..=self.reloads {
            sleep((start + pace * number).saturating_duration_since(Instant::now()));
            let version = format!("v{number}");
            serving.publish(&version, Kind::Good)?;
            serving.reload()?;
            serving.wait_for(&version, Duration::from_secs(10))?;
            if number % between == 0 {
                // Half of the pace is enough for an old generation to end.
                sleep(pace / 2);
                let sample = sample(&serving.place.name, number)?;
                println!("{}", serde_json::to_string(&sample)?);
                samples.push(sample);
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        let report = load.finish()?;
        let figures = Figures {
            reloads: self.reloads,
            seconds,
            requests: report.requests,
            failed: report.failed(),
            closed: report.closed,
            slowest_milliseconds: report.slowest().as_secs_f64() * 1000.0,
            samples,
        };
        let json = serde_json::to_vec_pretty(&figures)?;
        if let Some(out) = &self.out {
            fs::write(out, &json)?;
        }
        println!(
            "measured: {} reloads in {seconds:.0} s, {} requests, {} failed, {} connections closed, slowest {:.1} ms",
            figures.reloads,
            figures.requests,
            figures.failed,
            figures.closed,
            figures.slowest_milliseconds
        );
        self.judge(&figures, report.versions.len())
    }

    fn judge(&self, figures: &Figures, versions: usize) -> anyhow::Result<()> {
        ensure!(figures.failed == 0, "{} requests failed", figures.failed);
        ensure!(
            figures.closed == 0,
            "{} connections were closed",
            figures.closed
        );
        ensure!(
            versions > self.reloads as usize,
            "only {versions} versions answered"
        );
        #[allow(clippy::cast_precision_loss, reason = "nobody counts that far")]
        let rate = figures.requests as f64 / figures.seconds;
        ensure!(
            rate >= f64::from(self.rate) * HELD,
            "the rate was only {rate:.0} requests/s"
        );
        flat("memory of the app", &figures.samples, |sample| {
            sample.app_kib
        })?;
        flat("descriptors of the app", &figures.samples, |sample| {
            sample.app_descriptors
        })?;
        flat("memory of systemd", &figures.samples, |sample| {
            sample.systemd_kib
        })?;
        flat("descriptors of systemd", &figures.samples, |sample| {
            sample.systemd_descriptors
        })?;
        flat("files of portkeep", &figures.samples, |sample| {
            sample.state_files
        })?;
        flat("generations", &figures.samples, |sample| sample.generations)
    }
}

/// The median of the last samples is not above the median of the first ones, but for what is measured inexactly.
#[allow(clippy::cast_precision_loss, reason = "nobody counts that far")]
fn flat(what: &str, samples: &[Sample], value: fn(&Sample) -> u64) -> anyhow::Result<()> {
    let values: Vec<u64> = samples.iter().skip(WARM).map(value).collect();
    let third = values.len() / 3;
    ensure!(third > 0, "too few samples to tell whether {what} grows");
    let median = |part: &[u64]| {
        let mut part = part.to_vec();
        part.sort_unstable();
        part[part.len() / 2]
    };
    let (first, last) = (
        median(&values[..third]),
        median(&values[values.len() - third..]),
    );
    // One file or descriptor more is no growth.
    ensure!(
        last as f64 <= first as f64 * FLAT || last <= first + 1,
        "{what} grew from {first} to {last}"
    );
    println!("measured: {what}: {first}, at the end {last}");
    Ok(())
}

fn sample(name: &str, reloads: u32) -> anyhow::Result<Sample> {
    let pattern = format!("{name}@*.service");
    let units = run([
        "systemctl",
        "list-units",
        "--plain",
        "--no-legend",
        "--state=active,activating,deactivating",
        &pattern,
    ])?;
    let mut app = 0;
    let mut newest = 0;
    for unit in units
        .lines()
        .filter_map(|line| line.split_whitespace().next())
    {
        let number = unit
            .split(['@', '.'])
            .nth(1)
            .and_then(|number| number.parse::<u32>().ok());
        if number.is_some_and(|number| number > newest) {
            newest = number.unwrap_or_default();
            let pid = run(["systemctl", "show", "--value", "--property=MainPID", unit])?;
            app = pid.trim().parse().unwrap_or_default();
        }
    }
    let descriptors = |pid: i32| {
        fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, |entries| entries.count() as u64)
    };
    Ok(Sample {
        reloads,
        app_kib: memory(&[app]),
        app_descriptors: descriptors(app),
        systemd_kib: memory(&[1]),
        systemd_descriptors: descriptors(1),
        state_files: ["/var/lib/portkeep", "/run/portkeep", "/var/cache/portkeep"]
            .into_iter()
            .map(|directory| files(&PathBuf::from(directory).join(name)))
            .sum(),
        generations: units.lines().count() as u64,
    })
}

fn files(directory: &std::path::Path) -> u64 {
    fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| {
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            1 + if is_directory {
                files(&entry.path())
            } else {
                0
            }
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_told_from_noise() {
        let samples = |values: fn(u32) -> u64| -> Vec<Sample> {
            (0..20)
                .map(|number| Sample {
                    reloads: number,
                    app_kib: values(number),
                    app_descriptors: 0,
                    systemd_kib: 0,
                    systemd_descriptors: 0,
                    state_files: 0,
                    generations: 0,
                })
                .collect()
        };
        let judged = |values| flat("it", &samples(values), |sample| sample.app_kib).is_ok();
        assert!(judged(|number| 1000 + u64::from(number % 3) * 20));
        assert!(!judged(|number| 1000 + u64::from(number) * 20));
    }
}
