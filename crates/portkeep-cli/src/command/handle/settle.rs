//! A generation's `ExecStopPost=`: notes how it ended, and sees that no active handle is left without a generation.

use std::env;
use std::process::ExitCode;

use jiff::Timestamp;
use portkeep_engine::Generation;
use portkeep_engine::crash::{self, Settle};
use portkeep_engine::store::{End, Store};
use portkeep_spec::{AppName, unit_names};

use crate::locate::{own_manager, place, store, systemd};

pub(super) async fn run(name: &AppName, generation: Generation) -> anyhow::Result<ExitCode> {
    let store = store(name, place(own_manager()))?;
    let end = end_from_environment();
    store.note_end(generation, &end)?;
    if crash::settle(&end, store.current() == Some(generation)) == Settle::Nothing {
        return Ok(ExitCode::SUCCESS);
    }
    // A handover may be replacing it at this moment: it decides, we look again when it is done.
    let lock = tokio::task::spawn_blocking({
        let store = store.clone();
        move || store.lock()
    });
    let _lock = lock.await??;
    let Settle::DropHandle { release_is_bad } = crash::settle(&end, store.current() == Some(generation)) else {
        return Ok(ExitCode::SUCCESS);
    };
    if release_is_bad {
        mark_bad(&store, generation)?;
    }
    store.clear_current()?;
    let systemd = systemd(own_manager(), name).await?;
    let handle = unit_names::handle(name);
    let state = systemd.manager().state(&handle).await?;
    // One that is being started or stopped finds no current generation by itself; a stop would cancel that job.
    if state.is_active() && !state.has_job {
        systemd.manager().stop_without_waiting(&handle).await?;
    }
    Ok(ExitCode::SUCCESS)
}

fn mark_bad(store: &Store, generation: Generation) -> anyhow::Result<()> {
    let last = store.ends(generation).into_iter().rev().find(End::is_crash);
    let reason = last.map_or_else(|| "it crashed too often".to_owned(), |end| {
        format!("it crashed too often; at last {}", end.describe())
    });
    anstream::println!("generation {generation}: {reason}; its release is not started again by itself");
    if let Some(release) = store.release_of(generation) {
        store.mark_bad(&release.digest, &reason)?;
    }
    Ok(())
}

/// How the process ended, as systemd tells an `ExecStopPost=`.
fn end_from_environment() -> End {
    let variable = |name: &str| env::var(name).unwrap_or_default();
    End {
        at: Timestamp::now(),
        result: variable("SERVICE_RESULT"),
        code: variable("EXIT_CODE"),
        status: variable("EXIT_STATUS"),
    }
}
