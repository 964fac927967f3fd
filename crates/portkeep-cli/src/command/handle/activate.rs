//! The handle's `ExecStart=`.

use std::path::Path;
use std::process::ExitCode;

use portkeep_engine::handover::{Purpose, Unchanged};
use portkeep_engine::{Backend, EngineError, Moment, Phase, Request, hand_over};
use portkeep_spec::AppName;

use crate::locate::{own_manager, read_spec, systemd};
use crate::output::outcome_line;

pub(super) async fn run(
    name: &AppName,
    spec_path: &Path,
    asked: Moment,
) -> anyhow::Result<ExitCode> {
    let systemd = systemd(own_manager(), name).await?;
    let store = systemd.store();
    store.note_spec(spec_path)?;
    let spec = read_spec(spec_path)?;
    let request = Request {
        purpose: Purpose::Activate,
        unchanged: Unchanged::IsDone,
        asked,
    };
    match hand_over(&systemd, store, &spec, request).await {
        Ok(outcome) => {
            // `systemctl start` has no word for "fell back": the handle is up, and the journal says with which release.
            anstream::println!("{}", outcome_line(name, &outcome));
            Ok(ExitCode::SUCCESS)
        }
        // A restart of the handle while a generation serves: it serves on, and a failed handle would only be tried again.
        Err(error @ (EngineError::StartFailed { .. } | EngineError::Refused(_)))
            if systemd.running().await?.iter().any(|one| {
                one.phase == Phase::Serving && store.current() == Some(one.generation)
            }) =>
        {
            anstream::eprintln!("{error}\nthe current generation serves on");
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => Err(error.into()),
    }
}
