//! Row 7: what it costs while nothing happens, and how that grows with the number of apps.

use std::thread;
use std::time::{Duration, Instant};

use super::{Measure, Row};
use crate::place::Kind;
use crate::processes::{memory, run};
use crate::results::Measurement;
use crate::serving::{Bench, Serving};
use crate::tool::Tool;

pub(super) const ROW: Row = Row {
    number: 7,
    title: "Many apps, idle",
    explained: "Processes of the tool besides the app's, their memory (proportional set size), what systemd itself grew by, how long it \
                takes to render all units (one process an app), to set all of them up one after the other, to reload all of them at once until each new version answers, and \
                to list them with the tool's own command.",
    charts: &[("10 apps", "memory KiB")],
    columns: &[
        ("processes", "processes"),
        ("memory KiB", "memory, KiB"),
        ("systemd KiB", "systemd grew by, KiB"),
        ("render ms", "render all units, ms"),
        ("set up ms", "set up, ms"),
        ("reload ms", "reload all, ms"),
        ("list ms", "list, ms"),
    ],
    rounds: 1,
    takes: Duration::from_secs(20),
    measure: Measure::Each(measure),
};

const LONGEST: Duration = Duration::from_secs(30);
/// Until a reload that nobody awaits is over.
const CALM: Duration = Duration::from_millis(500);

fn measure(bench: &Bench, tool: &dyn Tool) -> anyhow::Result<Vec<Measurement>> {
    let counts: &[u32] = match (bench.quick, tool.is_for_production()) {
        (true, _) => &[1, 3],
        (false, false) => &[1, 10],
        (false, true) => &[1, 10, 100],
    };
    counts
        .iter()
        .map(|count| many(bench, tool, *count))
        .collect()
}

fn many(bench: &Bench, tool: &dyn Tool, count: u32) -> anyhow::Result<Measurement> {
    let before = memory(&[1]);
    let begun = Instant::now();
    let mut apps: Vec<Serving<'_>> = (0..count)
        .map(|number| bench.start(tool, &format!("bench-app-{number}"), Duration::ZERO))
        .collect::<anyhow::Result<_>>()?;
    let set_up = begun.elapsed();
    for app in &apps {
        app.wait_for("v0", LONGEST)?;
    }
    thread::sleep(CALM);
    let mut own: Vec<i32> = apps
        .iter()
        .flat_map(|app| {
            app.running
                .as_ref()
                .map(|running| running.own_processes())
                .unwrap_or_default()
        })
        .collect();
    own.sort_unstable();
    own.dedup();
    let mut measured = Measurement::of(format!("{count} apps"))
        .count("processes", own.len() as u64)
        .count("memory KiB", memory(&own))
        .count("systemd KiB", memory(&[1]).saturating_sub(before))
        .time("set up ms", set_up);
    let commands: Option<Vec<_>> = apps.iter().map(|app| tool.renders(&app.place)).collect();
    if let Some(commands) = commands {
        let begun = Instant::now();
        for words in commands {
            run(words)?;
        }
        measured = measured.time("render ms", begun.elapsed());
    }
    if let Some(words) = tool.lists() {
        let begun = Instant::now();
        run(words)?;
        measured = measured.time("list ms", begun.elapsed());
    }
    for app in &apps {
        app.publish("v1", Kind::Good)?;
    }
    let begun = Instant::now();
    thread::scope(|scope| {
        for app in &mut apps {
            let running = &mut app.running;
            scope.spawn(move || running.as_mut().map(|running| running.reload()));
        }
    });
    let answered = apps
        .iter()
        .try_for_each(|app| app.wait_for("v1", LONGEST).map(drop));
    Ok(match answered {
        Ok(()) => measured.time("reload ms", begun.elapsed()),
        Err(_) => measured.word("reload ms", "not all"),
    })
}
