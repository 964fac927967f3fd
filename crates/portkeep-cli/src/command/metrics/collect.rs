//! Collects the facts of one app for its metrics. Decides nothing.

use std::io;

use jiff::Timestamp;
use portkeep_engine::Phase;
use portkeep_engine::backend::systemd::UnitState;
use portkeep_engine::metrics::{AppSample, Run, Serving, SocketSample, StatusCounts};
use portkeep_spec::Manager as Which;

use crate::facts::App;

/// The present facts of an app.
pub(super) fn sample(which: Which, app: &App) -> io::Result<AppSample> {
    let store = &app.store;
    let generations = &app.units.generations;
    // Processes are read before the history. An end in between is in both, and its run identifies it.
    let runs: Vec<_> = generations.iter().map(|(_, state)| run(state)).collect();
    let account = store.account_for(&runs)?;
    let current = store.current();
    let serving = generations
        .iter()
        .find(|(one, _)| Some(one.generation) == current && one.phase == Phase::Serving)
        .map(|(one, _)| one.generation);
    let release = serving.and_then(|generation| store.release_of(generation));
    Ok(AppSample {
        name: store.name().clone(),
        which,
        at: Timestamp::now(),
        serving: Serving::of(
            release.as_ref().map(|release| release.digest()),
            store.maintenance().is_some(),
        ),
        current: serving,
        label: release.as_ref().and_then(|release| release.label()),
        release: release.map(|release| release.digest().clone()),
        draining: generations
            .iter()
            .filter(|(one, _)| one.phase == Phase::Draining)
            .count() as u64,
        taken_out: store.taken_out().is_some(),
        sockets: app
            .units
            .sockets
            .iter()
            .map(|(unit, state)| SocketSample {
                unit: unit.clone(),
                is_open: state.is_active(),
            })
            .collect(),
        last: app.last.clone(),
        totals: account.totals,
        answered_since: account.answered_since,
    })
}

fn run(state: &UnitState) -> Run {
    Run {
        invocation: state.invocation.clone(),
        said: StatusCounts::of(&state.status_text),
    }
}
