//! The handle's `ExecStart=`.

use std::path::Path;
use std::process::ExitCode;

use portkeep_engine::backend::systemd::Systemd;
use portkeep_engine::handover::{HandoverId, Purpose};
use portkeep_engine::{Backend, EngineError, Moment, Outcome, Phase, Request, hand_over};
use portkeep_spec::AppName;

use super::begin;
use super::installed::Installed;
use crate::holding;
use crate::locate::{own_manager, systemd};
use crate::output::outcome_line;

pub(super) async fn run(
    name: &AppName,
    spec_path: &Path,
    asked: Moment,
) -> anyhow::Result<ExitCode> {
    let systemd = systemd(own_manager(), name).await?;
    let store = systemd.store();
    store.note_spec(spec_path)?;
    let installed = Installed::read(spec_path)?;
    let id = begin(&systemd, name, Purpose::Activate).await;
    let request = Request {
        asked,
        ..Request::now(Purpose::Activate)
    };
    let request = request
        .called(id.clone())
        .or_hold(holding::page(&installed.spec, store));
    match hand_over(&systemd, store, &installed.spec, request).await {
        Ok(outcome) => {
            // `systemctl start` has no word for "fell back": the handle is up, and the journal says with which release.
            crate::output::outln!("{}", outcome_line(name, &outcome));
            if matches!(outcome, Outcome::InMaintenance(_)) {
                return Ok(ExitCode::SUCCESS);
            }
            catch_up(&systemd, name, installed, &id).await
        }
        // A restart of the handle while a generation serves: it serves on, and a failed handle would only be tried again.
        Err(error @ (EngineError::StartFailed { .. } | EngineError::Refused(_)))
            if systemd.running().await?.iter().any(|one| {
                one.phase == Phase::Serving && store.current() == Some(one.generation)
            }) =>
        {
            crate::output::errln!("{error}\nthe current generation serves on");
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => Err(error.into()),
    }
}

/// systemd merges a reload that is asked for while the handle starts into that start, and never runs it. What such a
/// reload was to take is taken here, before its caller is told that it is done.
async fn catch_up(
    systemd: &Systemd,
    name: &AppName,
    mut installed: Installed,
    id: &HandoverId,
) -> anyhow::Result<ExitCode> {
    while let Some(newer) = installed.newer(systemd, name).await {
        installed = newer;
        systemd.store().note_spec(&installed.path)?;
        let request = Request::now(Purpose::Reload).called(id.clone());
        match hand_over(systemd, systemd.store(), &installed.spec, request).await {
            Ok(outcome) => crate::output::outln!("{}", outcome_line(name, &outcome)),
            // The handle is up, and what serves serves on; but whoever asked for the new version must not be told that it
            // does.
            Err(error) => {
                crate::output::errln!("{error}");
                break;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
