//! The handle's `ExecReload=`.

use std::path::Path;
use std::process::ExitCode;

use portkeep_engine::backend::systemd::Systemd;
use portkeep_engine::handover::Purpose;
use portkeep_engine::{EngineError, Moment, Outcome, Request, hand_over};
use portkeep_spec::AppName;

use super::begin;
use super::installed::Installed;
use crate::exit;
use crate::holding;
use crate::locate::{own_manager, systemd};
use crate::output::outcome_line;

pub(super) async fn run(
    name: &AppName,
    spec_path: &Path,
    asked: Moment,
) -> anyhow::Result<ExitCode> {
    let systemd = systemd(own_manager(), name).await?;
    perform(&systemd, name, spec_path, Purpose::Reload, asked).await
}

/// Handovers while the handle is active, until what was handed over is what is installed.
pub(super) async fn perform(
    systemd: &Systemd,
    name: &AppName,
    spec_path: &Path,
    purpose: Purpose,
    asked: Moment,
) -> anyhow::Result<ExitCode> {
    let mut installed = Installed::read(spec_path)?;
    let mut result = once(systemd, name, &installed, purpose, asked).await;
    while may_look_again(&result)
        && let Some(newer) = installed.newer(systemd, name).await
    {
        installed = newer;
        if let Err(error) = result {
            crate::output::errln!("{error:#}");
        }
        // What was built is tried once, however often it is built.
        let purpose = match purpose {
            Purpose::Deploy => Purpose::Deploy,
            _ => Purpose::Reload,
        };
        result = once(systemd, name, &installed, purpose, Moment::now()).await;
        if result.is_err() {
            break;
        }
    }
    result
}

/// Another spec may do what this one could not. A lock that is held, or a manager that does not answer, is so for both.
fn may_look_again(result: &anyhow::Result<ExitCode>) -> bool {
    match result {
        Ok(_) => true,
        Err(error) => matches!(
            error.downcast_ref(),
            Some(EngineError::StartFailed { .. } | EngineError::Refused(_))
        ),
    }
}

pub(super) async fn once(
    systemd: &Systemd,
    name: &AppName,
    installed: &Installed,
    purpose: Purpose,
    asked: Moment,
) -> anyhow::Result<ExitCode> {
    systemd.store().note_spec(&installed.path)?;
    let request = Request {
        asked,
        ..Request::now(purpose)
    };
    let id = begin(systemd, name, purpose).await;
    let request = request
        .called(id)
        .or_hold(holding::page(&installed.spec, systemd.store()));
    let outcome = hand_over(systemd, systemd.store(), &installed.spec, request).await?;
    let line = outcome_line(name, &outcome);
    if matches!(outcome, Outcome::Holding(_)) {
        crate::output::errln!("{line}");
        return Ok(exit::code_of(&outcome).into());
    }
    crate::output::outln!("{line}");
    Ok(ExitCode::SUCCESS)
}
