use std::process::ExitCode;

use portkeep_engine::Generation;
use portkeep_engine::helper::Helper;
use portkeep_spec::AppName;

use super::reload::{ask_dev, only_of_units, print};
use crate::control::{self, Ask};
use crate::locate::{self, ManagerArgs};

/// Hand over to a release that served before
///
/// No request is lost, as in any handover: if the old release does not become READY, the current one serves on. The release
/// that is rolled back does not come back by itself; `portkeep reload NAME` starts it again.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  portkeep rollback hello        to the last good release before the current one\n  portkeep rollback hello 41     to the release of generation 41 (`portkeep history hello`)"
)]
pub(crate) struct Args {
    /// The app.
    name: AppName,
    /// The generation whose release serves again [default: the newest good release that is not current].
    #[arg(value_name = "N")]
    generation: Option<u64>,
    #[command(flatten)]
    manager: ManagerArgs,
    /// Print JSON, as `portkeep reload --json`.
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        if self.manager.named().is_none() && control::is_served(&self.name) {
            only_of_units(&self.name, self.json)?;
            let generation = self.generation;
            return ask_dev(&self.name, &Ask::Rollback { generation });
        }
        let (name, which) = (&self.name, self.manager.which());
        let systemd = locate::systemd(which, name).await?;
        let helper = Helper::new(&systemd, systemd.store(), |_| {});
        let outcome = helper.roll_back(self.generation.map(Generation)).await;
        print(name, which, outcome, self.json)
    }
}
