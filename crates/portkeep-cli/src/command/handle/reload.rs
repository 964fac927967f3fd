//! The handle's `ExecReload=`.

use std::path::Path;
use std::process::ExitCode;

use portkeep_engine::backend::systemd::Systemd;
use portkeep_engine::handover::Purpose;
use portkeep_engine::{Backend, Moment, Outcome, Phase, Request, Running, hand_over};
use portkeep_spec::{AppName, unit_names};

use crate::exit;
use crate::holding;
use crate::locate::{own_manager, read_spec, systemd};
use crate::output::outcome_line;

pub(super) async fn run(
    name: &AppName,
    spec_path: &Path,
    asked: Moment,
) -> anyhow::Result<ExitCode> {
    let systemd = systemd(own_manager(), name).await?;
    perform(&systemd, name, spec_path, Purpose::Reload, asked).await
}

/// A handover while the handle is active.
pub(super) async fn perform(
    systemd: &Systemd,
    name: &AppName,
    spec_path: &Path,
    purpose: Purpose,
    asked: Moment,
) -> anyhow::Result<ExitCode> {
    systemd.store().note_spec(spec_path)?;
    let spec = read_spec(spec_path)?;
    let request = Request {
        asked,
        ..Request::now(purpose)
    };
    let request = request.or_hold(holding::page(&spec, systemd.store()));
    match hand_over(systemd, systemd.store(), &spec, request).await {
        Ok(outcome @ Outcome::Holding(_)) => {
            crate::output::errln!("{}", outcome_line(name, &outcome));
            Ok(exit::code_of(&outcome).into())
        }
        Ok(outcome) => {
            crate::output::outln!("{}", outcome_line(name, &outcome));
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            // Told first: to drop the handle ends this very process, where it is part of it.
            let code = exit::report(&error.into());
            drop_idle_handle(systemd, name).await?;
            Ok(code)
        }
    }
}

/// An active handle without a generation would make connections wait for ever. Dropped, it is started again by the next
/// connection.
async fn drop_idle_handle(systemd: &Systemd, name: &AppName) -> anyhow::Result<()> {
    let store = systemd.store();
    // Nobody switches meanwhile; whoever holds the lock is a handover that ends with this same look.
    let Some(_lock) = store.try_lock()? else {
        return Ok(());
    };
    let current = store.current();
    let alive = |one: &Running| Some(one.generation) == current && one.phase != Phase::Draining;
    if !systemd.running().await?.iter().any(alive) {
        store.clear_current()?;
        let handle = unit_names::handle(name);
        systemd.manager().stop_without_waiting(&handle).await?;
    }
    Ok(())
}
