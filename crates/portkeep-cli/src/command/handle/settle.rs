//! A generation's `ExecStopPost=`: notes how it ended, backs off before a restart, and sees that no active handle is left
//! without a generation. It never fails for a reason that another step could work around: nobody would come after it.

use std::env;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use portkeep_engine::Generation;
use portkeep_engine::crash::{self, Budget, Settle};
use portkeep_engine::store::{End, Lock, Store};
use portkeep_spec::{AppName, unit_names};

use crate::locate::{own_manager, place, read_spec, store, systemd};

/// How long to wait for a handover that is about to end. A longer one is still at work, and will see what is left.
const LOCK_DEADLINE: Duration = Duration::from_secs(2);
const LOCK_STEP: Duration = Duration::from_millis(5);

pub(super) async fn run(
    name: &AppName,
    generation: Generation,
    spec_path: &Path,
) -> anyhow::Result<ExitCode> {
    let store = store(name, place(own_manager()))?;
    let end = end_from_environment();
    if let Err(error) = store.note_end(generation, &end) {
        anstream::eprintln!("the end of generation {generation} could not be noted: {error}");
    }
    let budget = budget(spec_path);
    let decide = || {
        let mut ends = store.ends(generation);
        if ends.last() != Some(&end) {
            ends.push(end.clone());
        }
        let is_current = store.current() == Some(generation);
        crash::settle(budget, &ends, is_current, Timestamp::now())
    };
    match decide() {
        Settle::Nothing => return Ok(ExitCode::SUCCESS),
        Settle::Restart { after } => tokio::time::sleep(after).await,
        // Not under the lock: the handover that waits for this very step may hold it.
        Settle::Abandon => return cancel_restart(name, generation).await,
        Settle::DropHandle { .. } => {}
    }
    // A handover may be replacing it at this moment: it decides, and drains all others or drops the handle itself.
    let Some(_lock) = lock(&store).await? else {
        return Ok(ExitCode::SUCCESS);
    };
    match decide() {
        Settle::Restart { .. } => Ok(ExitCode::SUCCESS),
        // It is not current any more: nothing is to start it again.
        Settle::Nothing | Settle::Abandon => cancel_restart(name, generation).await,
        Settle::DropHandle { release_is_bad } => {
            if release_is_bad && let Err(error) = mark_bad(&store, generation) {
                anstream::eprintln!("its release could not be marked: {error}");
            }
            store.clear_current()?;
            drop_handle(name, generation).await
        }
    }
}

/// A spec that cannot be read must not leave an active handle without a generation.
fn budget(spec_path: &Path) -> Budget {
    read_spec(spec_path)
        .map(|spec| Budget::of(&spec))
        .unwrap_or_else(|error| {
            anstream::eprintln!("{error:#}; restarting by the default rules");
            Budget::default()
        })
}

async fn lock(store: &Store) -> anyhow::Result<Option<Lock>> {
    let deadline = Instant::now() + LOCK_DEADLINE;
    loop {
        match store.try_lock()? {
            Some(lock) => return Ok(Some(lock)),
            None if Instant::now() > deadline => return Ok(None),
            None => tokio::time::sleep(LOCK_STEP).await,
        }
    }
}

/// Cancels the restart that systemd would do next.
async fn cancel_restart(name: &AppName, generation: Generation) -> anyhow::Result<ExitCode> {
    let systemd = systemd(own_manager(), name).await?;
    systemd
        .manager()
        .stop_without_waiting(&unit_names::generation(name, generation.0))
        .await?;
    Ok(ExitCode::SUCCESS)
}

async fn drop_handle(name: &AppName, generation: Generation) -> anyhow::Result<ExitCode> {
    let systemd = systemd(own_manager(), name).await?;
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
    Ok(ExitCode::SUCCESS)
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
        store.mark_bad(release.digest(), &reason)?;
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
