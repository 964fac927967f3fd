use std::process::ExitCode;
use std::time::Duration;

use anyhow::anyhow;
use portkeep_engine::backend::systemd::{Manager, Systemd};
use portkeep_engine::helper::{Helper, HelperError, Serving};
use portkeep_spec::AppName;

use super::reload::not_installed;
use crate::locate::{self, ManagerArgs};
use crate::output::{self, ServingReport};

/// Say whether the installed release serves, and keeps serving
///
/// For rollouts: release to one host, run this, then go on with the others. The exit code is 0 if the installed release
/// served all the time; it is 1 as soon as that crashed, was replaced, or something else serves.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  portkeep serves hello\n  portkeep reload hello && portkeep serves hello --for 30s"
)]
pub(crate) struct Args {
    /// The app.
    name: AppName,
    #[command(flatten)]
    manager: ManagerArgs,
    /// How long it has to serve without a crash, counted from its handover.
    #[arg(long = "for", value_name = "TIME", default_value = "0s", value_parser = humantime::parse_duration)]
    time: Duration,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let (name, which) = (self.name, self.manager.which());
        let store = locate::existing_store(&name, locate::place(which))?;
        let systemd = Systemd::new(Manager::connect(which).await?, store);
        let helper = Helper::new(&systemd, systemd.store(), |_| {});
        let serving = match helper.serving(self.time).await {
            Ok(serving) => serving,
            Err(HelperError::NotInstalled(name)) => return Err(not_installed(&name, which)),
            Err(error) => return Err(error.into()),
        };
        if self.json {
            output::json(&ServingReport::of(&name, &serving))?;
        }
        match serving {
            Serving::Yes(generation) => {
                if !self.json {
                    output::outln!("{name}: generation {generation} serves");
                }
                Ok(ExitCode::SUCCESS)
            }
            Serving::No(why) => Err(anyhow!(
                "what is installed of {name} does not serve: {why}; see `portkeep history {name}`"
            )),
        }
    }
}
