use std::process::ExitCode;

use portkeep_engine::backend::systemd::Manager;
use portkeep_engine::units::{self, RemovalError};
use portkeep_spec::AppName;

use crate::caller;
use crate::exit::usage;
use crate::locate::ManagerArgs;
use crate::output::{ending_line, errln, outln};

/// Undo `install`: stop apps, close their ports, remove their units
///
/// Stops the apps. Open requests are finished first, for `drainTimeout` at most; the command says what it waits for, and
/// how to cut the wait short. Releases and history are removed too, unless --keep-state is given. What is not portkeep's
/// stays, and is listed: drop-ins, environment files, credentials, the apps' data.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sudo portkeep uninstall --system hello\n  portkeep uninstall one two       both, or none of them if one is not installed"
)]
pub(crate) struct Args {
    /// The apps.
    #[arg(id = "name", required = true, value_name = "NAME")]
    names: Vec<AppName>,
    #[command(flatten)]
    manager: ManagerArgs,
    /// Keep releases and history.
    #[arg(long)]
    keep_state: bool,
}

impl Args {
    pub(crate) async fn run(mut self) -> anyhow::Result<ExitCode> {
        let which = self.manager.which();
        caller::may_change(which)?;
        self.names.sort();
        self.names.dedup();
        let manager = Manager::connect(which).await?;
        let removed = units::told_of_endings(
            &manager,
            &self.names,
            |ending| errln!("{}", ending_line(which, ending)),
            units::remove(&manager, &self.names, self.keep_state),
        );
        let removed = removed.await;
        let removed = removed.map_err(|error| match error {
            RemovalError::NotInstalled { .. } => usage(error.to_string()),
            error => error.into(),
        })?;
        for app in removed {
            outln!("{}: stopped, {} units removed", app.name, app.units);
            for left in app.left {
                outln!("  left: {left}");
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
