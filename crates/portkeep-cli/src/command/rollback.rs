use std::process::ExitCode;

use anyhow::{Context, anyhow};
use portkeep_engine::backend::systemd::Systemd;
use portkeep_engine::handover::Purpose;
use portkeep_engine::{Generation, Outcome, Request, Wanted, hand_over};
use portkeep_spec::{AppName, unit_names};

use super::reload::{ask_dev, code, not_installed};
use crate::control::{self, Ask};
use crate::holding;
use crate::locate::{self, ManagerArgs};
use crate::output::outcome_line;

/// Hand over to a release that served before
///
/// As lossless as any handover: if the old release does not become READY, the current one serves on. What was rolled
/// back is not started again by itself; `portkeep reload NAME` does it when you ask.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  portkeep rollback hello        to the last good release before the current one\n  portkeep rollback hello 41     to the release of generation 41 (`portkeep history hello`)"
)]
pub(crate) struct Args {
    /// The app.
    name: AppName,
    /// The generation whose release is to serve again [default: the newest good release that is not current].
    #[arg(value_name = "N")]
    generation: Option<u64>,
    #[command(flatten)]
    manager: ManagerArgs,
}

impl Args {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        if self.manager.named().is_none() && control::is_served(&self.name) {
            let generation = self.generation;
            return ask_dev(&self.name, &Ask::Rollback { generation });
        }
        let (name, which) = (&self.name, self.manager.which());
        let systemd = locate::systemd(which, name).await?;
        let handle = unit_names::handle(name);
        let state = systemd.manager().state(&handle).await?;
        if state.load != "loaded" {
            return Err(not_installed(name, which));
        }
        // Refused before anything is started.
        systemd
            .store()
            .rollback_target(self.generation.map(Generation))?;
        if !state.is_active() {
            // Else the next connection would start it, and with it the release that is not wanted.
            systemd.manager().start(&handle).await?;
        }
        let outcome = roll_back(&systemd, self.generation.map(Generation)).await?;
        crate::output::outln!("{}", outcome_line(name, &outcome));
        Ok(code(&outcome))
    }
}

async fn roll_back(systemd: &Systemd, generation: Option<Generation>) -> anyhow::Result<Outcome> {
    let store = systemd.store();
    let path = store
        .spec_path()
        .context("the app could not be started; see `portkeep history`")?;
    let spec = locate::read_spec(&path)?;
    let request = request(store, generation)?.or_hold(holding::page(&spec, store));
    hand_over(systemd, store, &spec, request)
        .await
        .map_err(|error| anyhow!(error))
}

/// A handover to a kept release.
pub(crate) fn request(
    store: &portkeep_engine::Store,
    generation: Option<Generation>,
) -> anyhow::Result<Request> {
    Ok(Request {
        wanted: Wanted::Kept(store.rollback_target(generation)?),
        ..Request::now(Purpose::Rollback)
    })
}
