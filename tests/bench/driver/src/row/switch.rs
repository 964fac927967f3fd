//! Row 5: how soon the new version answers.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::{Measure, Row};
use crate::place::Kind;
use crate::results::Measurement;
use crate::serving::{Bench, ask};
use crate::tool::Tool;

pub(super) const ROW: Row = Row {
    number: 5,
    title: "From the reload to the first new answer",
    explained: "Nothing but one request after the other, each on a connection of its own. Counted from the moment in which the \
                release is in place, minus the start of the app. The median of the reloads of each round. Where the time goes: \
                portkeep's history, and what systemd notes of the generation's unit. The engine's own share is what is \
                neither systemd's start of the unit nor the app's start: lock, copy and digest of the release, and the \
                rest (what runs, the switch, asking the old one to drain, history). The command's own start is what \
                the reload command took beyond that: for systemd, the job and the helper's process.",
    charts: &[("start-up 0.3 s", "median ms")],
    columns: &[
        ("median ms", "median, ms"),
        ("least ms", "least, ms"),
        ("most ms", "most, ms"),
        ("never", "reloads that never came"),
        ("command ms", "reload command and helper, ms"),
        ("lock ms", "lock, ms"),
        ("take ms", "copy and digest, ms"),
        ("ask ms", "D-Bus, job to start and back, ms"),
        ("unit ms", "systemd: fork, sandbox, ms"),
        ("app ms", "exec to READY less start-up, ms"),
        ("rest ms", "rest, ms"),
        ("engine ms", "engine's own share, ms"),
    ],
    rounds: 1,
    takes: Duration::from_secs(24),
    measure: Measure::Each(measure),
};

/// Beyond the app's start.
const LONGEST: Duration = Duration::from_secs(8);
/// Reloads that never came, after which nothing more is expected.
const ENOUGH: u64 = 2;

fn measure(bench: &Bench, tool: &dyn Tool) -> anyhow::Result<Vec<Measurement>> {
    let starts: &[u64] = match (tool.runs_the_app(), bench.quick) {
        (false, _) => &[0],
        (true, true) => &[0, 300],
        (true, false) => &[0, 300, 5000],
    };
    let mut measured = Vec::new();
    for milliseconds in starts {
        measured.extend(switch(bench, tool, Duration::from_millis(*milliseconds))?);
    }
    Ok(measured)
}

fn switch(bench: &Bench, tool: &dyn Tool, start: Duration) -> anyhow::Result<Vec<Measurement>> {
    let reloads = match (bench.quick, start.as_millis()) {
        (true, _) => 3,
        (false, 1000..) => 2,
        (false, 1..) => 5,
        (false, 0) => 10,
    };
    let mut serving = bench.serve(tool, start)?;
    let address = serving.place.address;
    let longest = start + LONGEST;
    let mut times = Vec::new();
    let mut parts = BTreeMap::<&str, Vec<Duration>>::new();
    let mut never = 0;
    for number in 1..=reloads {
        let version = format!("v{number}");
        // The question is asked from another thread, because a reload may return only when all is done.
        let (answered, when) = mpsc::channel();
        let wanted = version.clone();
        let asking = thread::spawn(move || {
            let begun = Instant::now();
            while begun.elapsed() < longest {
                if ask(address).is_ok_and(|version| version == wanted) {
                    // Who does not wait any more does not need it.
                    let _ = answered.send(Instant::now());
                    return;
                }
            }
        });
        serving.publish(&version, Kind::Good)?;
        let published = Instant::now();
        let _ = serving.reload();
        let commanded = published.elapsed();
        match when.recv_timeout(longest) {
            Ok(moment) => times.push((moment - published).saturating_sub(start)),
            Err(_) => never += 1,
        }
        let _ = asking.join();
        thread::sleep(Duration::from_millis(300));
        if never == ENOUGH {
            break;
        }
        let told = serving.running.as_ref().map(|running| running.parts());
        let told = told.transpose()?.unwrap_or_default();
        if !told.is_empty() {
            let inside: Duration = told
                .iter()
                // A sum of others.
                .filter(|(name, _)| *name != "engine ms")
                .map(|(_, time)| *time)
                .sum();
            let around = ("command ms", commanded.saturating_sub(inside + start));
            for (name, time) in told.into_iter().chain([around]) {
                parts.entry(name).or_default().push(time);
            }
        }
    }
    times.sort_unstable();
    let case = format!("start-up {} s", start.as_secs_f64());
    let mut all = vec![spread(Measurement::of(&case).count("never", never), &times)];
    if !parts.is_empty() {
        let case = format!("{case}: where the time goes");
        let mut measured = Measurement::of(case);
        for (name, mut times) in parts {
            times.sort_unstable();
            measured = measured.time(name, times[times.len() / 2]);
        }
        all.push(measured);
    }
    Ok(all)
}

/// Of times that are sorted.
fn spread(measured: Measurement, times: &[Duration]) -> Measurement {
    match (times.first(), times.get(times.len() / 2), times.last()) {
        (Some(least), Some(median), Some(most)) => measured
            .time("median ms", *median)
            .time("least ms", *least)
            .time("most ms", *most),
        _ => measured,
    }
}
