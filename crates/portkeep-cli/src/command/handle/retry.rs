//! What runs beside a holding page: hands over as soon as there is a release that can serve, and ends.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use portkeep_engine::backend::systemd::Systemd;
use portkeep_engine::handover::Purpose;
use portkeep_engine::{EngineError, Request, drive, hand_over, retry};
use portkeep_spec::{AppName, Spec};

use crate::holding;
use crate::locate::{own_manager, read_spec, systemd};
use crate::output::outcome_line;

/// How often we look. A new build, or a file that was missing, is served within this time and its own start.
const LOOK: Duration = Duration::from_millis(250);

pub(super) async fn run(name: &AppName, spec_path: &Path) -> anyhow::Result<ExitCode> {
    let mut systemd = systemd(own_manager(), name).await?;
    let mut tried = Instant::now();
    loop {
        tokio::time::sleep(LOOK).await;
        if !is_needed(&systemd) {
            return Ok(ExitCode::SUCCESS);
        }
        // What cannot be read now may be in a second: somebody is at work on it.
        let Ok(spec) = read_spec(spec_path) else {
            continue;
        };
        let purpose = if drive::has_changed(systemd.store(), &spec) {
            Purpose::Deploy
        } else if tried.elapsed() >= pause(&systemd) {
            Purpose::Retry
        } else {
            continue;
        };
        tried = Instant::now();
        match attempt(&systemd, &spec, purpose).await {
            Ok(line) => crate::output::outln!("{line}"),
            Err(EngineError::Backend(error)) => {
                crate::output::errln!("{error}");
                // The bus may have been restarted: the old connection would never know.
                systemd = crate::locate::systemd(own_manager(), name).await?;
            }
            Err(error) => crate::output::errln!("{error}"),
        }
    }
}

/// Whether a holding page is shown, or about to be: whoever starts one starts us first, and has the lock meanwhile. That of
/// maintenance ends when a person says so.
fn is_needed(systemd: &Systemd) -> bool {
    let store = systemd.store();
    let at_work = || matches!(store.try_lock(), Ok(None));
    let is_held = || store.current().is_some_and(|one| store.is_holding(one));
    at_work() || is_held() && store.maintenance().is_none()
}

fn pause(systemd: &Systemd) -> Duration {
    retry::pause(&systemd.store().history().unwrap_or_default())
}

async fn attempt(systemd: &Systemd, spec: &Spec, purpose: Purpose) -> Result<String, EngineError> {
    let store = systemd.store();
    let request = Request::now(purpose).or_hold(holding::page(spec, store));
    let outcome = hand_over(systemd, store, spec, request).await?;
    Ok(outcome_line(store.name(), &outcome))
}
