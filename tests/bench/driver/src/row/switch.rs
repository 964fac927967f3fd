//! Row 5: how soon the new version answers.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::Row;
use crate::place::Kind;
use crate::results::Measurement;
use crate::serving::{Bench, ask};
use crate::tool::Tool;

pub(super) const ROW: Row = Row {
    number: 5,
    title: "From the reload to the first new answer",
    explained: "Nothing but one request after the other, each on a connection of its own. Counted from the moment in which the \
                release is in place, minus the start of the app. The median of the reloads of each round.",
    columns: &[
        ("median ms", "median, ms"),
        ("least ms", "least, ms"),
        ("most ms", "most, ms"),
        ("never", "reloads that never came"),
    ],
    measure,
};

const LONGEST: Duration = Duration::from_secs(25);

fn measure(bench: &Bench, tool: &dyn Tool) -> anyhow::Result<Vec<Measurement>> {
    let starts: &[u64] = match (tool.runs_the_app(), bench.quick) {
        (false, _) => &[0],
        (true, true) => &[300],
        (true, false) => &[0, 300, 5000],
    };
    starts
        .iter()
        .map(|milliseconds| switch(bench, tool, Duration::from_millis(*milliseconds)))
        .collect()
}

fn switch(bench: &Bench, tool: &dyn Tool, start: Duration) -> anyhow::Result<Measurement> {
    let reloads = match (bench.quick, start.as_secs()) {
        (true, _) | (_, 1..) => 3,
        (false, 0) => 10,
    };
    let mut serving = bench.serve(tool, start)?;
    let address = serving.place.address;
    let mut times = Vec::new();
    let mut never = 0;
    for number in 1..=reloads {
        let version = format!("v{number}");
        // The question is asked from another thread, because a reload may return only when all is done.
        let (answered, when) = mpsc::channel();
        let wanted = version.clone();
        let asking = thread::spawn(move || {
            let begun = Instant::now();
            while begun.elapsed() < LONGEST {
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
        match when.recv_timeout(LONGEST) {
            Ok(moment) => times.push((moment - published).saturating_sub(start)),
            Err(_) => never += 1,
        }
        let _ = asking.join();
        thread::sleep(Duration::from_millis(300));
    }
    times.sort_unstable();
    let measured = Measurement::of(format!("start-up {start:?}")).count("never", never);
    match (times.first(), times.get(times.len() / 2), times.last()) {
        (Some(least), Some(median), Some(most)) => Ok(measured
            .time("median ms", *median)
            .time("least ms", *least)
            .time("most ms", *most)),
        _ => Ok(measured),
    }
}
