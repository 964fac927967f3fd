//! A generation's `ExecStopPost=`: notes how it ended, backs off before a restart, and sees that no active handle is left
//! without a generation.

use std::env;
use std::path::Path;
use std::process::ExitCode;

use jiff::Timestamp;
use portkeep_engine::crash::{self, Budget, Settle};
use portkeep_engine::store::{End, Lock, Store};
use portkeep_engine::{EngineError, Generation};
use portkeep_spec::{AppName, unit_names};

use crate::locate::{own_manager, place, read_spec, store, systemd};

pub(super) async fn run(
    name: &AppName,
    generation: Generation,
    spec_path: &Path,
) -> anyhow::Result<ExitCode> {
    let store = store(name, place(own_manager()))?;
    store.note_end(generation, &end_from_environment())?;
    let spec = read_spec(spec_path)?;
    let decide = || {
        let is_current = store.current() == Some(generation);
        crash::settle(
            Budget::of(&spec),
            &store.ends(generation),
            is_current,
            Timestamp::now(),
        )
    };
    match decide() {
        Settle::Nothing => return Ok(ExitCode::SUCCESS),
        Settle::Restart { after } => tokio::time::sleep(after).await,
        Settle::Abandon | Settle::DropHandle { .. } => {}
    }
    // A handover may be replacing it at this moment: it decides, and we look again when it is done.
    let _lock = lock(&store).await?;
    match decide() {
        Settle::Restart { .. } => Ok(ExitCode::SUCCESS),
        // It is not current any more (or never was): nothing is to start it again.
        Settle::Nothing | Settle::Abandon => {
            let systemd = systemd(own_manager(), name).await?;
            systemd
                .manager()
                .stop_without_waiting(&unit_names::generation(name, generation.0))
                .await?;
            Ok(ExitCode::SUCCESS)
        }
        Settle::DropHandle { release_is_bad } => {
            if release_is_bad {
                mark_bad(&store, generation)?;
            }
            store.clear_current()?;
            drop_handle(name, generation).await?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn lock(store: &Store) -> anyhow::Result<Lock> {
    let store = store.clone();
    let lock = tokio::task::spawn_blocking(move || store.lock()).await?;
    Ok(lock.map_err(|source| EngineError::Store {
        doing: "take the lock",
        source,
    })?)
}

async fn drop_handle(name: &AppName, generation: Generation) -> anyhow::Result<()> {
    let systemd = systemd(own_manager(), name).await?;
    // Cancels the restart that systemd would do next.
    systemd
        .manager()
        .stop_without_waiting(&unit_names::generation(name, generation.0))
        .await?;
    let handle = unit_names::handle(name);
    let state = systemd.manager().state(&handle).await?;
    // One that is being started or stopped finds no current generation by itself; a stop would cancel that job.
    if state.is_active() && !state.has_job {
        systemd.manager().stop_without_waiting(&handle).await?;
    }
    Ok(())
}

fn mark_bad(store: &Store, generation: Generation) -> anyhow::Result<()> {
    let last = store.ends(generation).into_iter().rev().find(End::is_crash);
    let reason = last.map_or_else(
        || "it crashed too often".to_owned(),
        |end| format!("it crashed too often; at last {}", end.describe()),
    );
    anstream::println!(
        "generation {generation}: {reason}; its release is not started again by itself"
    );
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
