use std::process::ExitCode;

use portkeep_engine::helper::{Helper, HelperError};
use portkeep_spec::AppName;
use serde::Serialize;

use super::reload::not_installed;
use crate::locate::{self, ManagerArgs};
use crate::output::{json, outln};

/// Put an app back that was taken out by `portkeep drain`
///
/// Its health sockets say that it is ready, if it is.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  portkeep undrain hello")]
pub(crate) struct Args {
    /// The app.
    name: AppName,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    manager: ManagerArgs,
}

/// The shape of `--json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    app: &'a AppName,
    /// It was taken out before.
    changed: bool,
    drained: bool,
}

impl Args {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let which = self.manager.which();
        let systemd = locate::systemd(which, &self.name).await?;
        let helper = Helper::new(&systemd, systemd.store(), |_| {});
        match helper.installed_spec().await {
            Ok(_) => {}
            Err(HelperError::NotInstalled(name)) => return Err(not_installed(&name, which)),
            Err(error) => return Err(error.into()),
        }
        let changed = helper.put_back()?;
        let name = &self.name;
        if self.json {
            json(&Report {
                app: name,
                changed,
                drained: systemd.store().taken_out().is_some(),
            })?;
        } else if changed {
            outln!("{name}: put back");
        } else {
            outln!("{name}: it was not taken out");
        }
        Ok(ExitCode::SUCCESS)
    }
}
