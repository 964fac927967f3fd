use std::process::ExitCode;

use clap::Subcommand;
use portkeep_engine::helper::{Helper, HelperError};
use portkeep_engine::maintenance::{Change, Changed, Message};
use portkeep_engine::{Outcome, Store};
use portkeep_spec::AppName;

use super::reload::{ask_dev, not_installed};
use crate::control::{self, Ask};
use crate::exit;
use crate::locate::{self, ManagerArgs};
use crate::output::outcome_line;

/// Answer with a page instead of the app, until that is turned off
///
/// The page says so (503, with Retry-After; as HTML, JSON or text, as the client asks), and health checks see it. Open
/// requests finish, and no connection is refused. It lasts until you end it, also over a reboot; a reload meanwhile fails
/// and changes nothing.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  portkeep maintenance hello on\n  portkeep maintenance hello on --message \"Back at 10:00\"\n  portkeep maintenance hello off\n  portkeep maintenance hello off --reload      with what was built meanwhile"
)]
pub(crate) struct Args {
    /// The app.
    name: AppName,
    #[command(subcommand)]
    what: MaintenanceCommand,
    #[command(flatten)]
    manager: ManagerArgs,
}

#[derive(Debug, Subcommand)]
enum MaintenanceCommand {
    /// Show the page, or change its message
    On {
        /// Text of the page: one line of at most 500 characters [default: portkeep's own text].
        #[arg(long, value_name = "TEXT")]
        message: Option<Message>,
    },
    /// Hand over to the release that served before
    Off {
        /// Hand over to the newest build instead.
        #[arg(long)]
        reload: bool,
    },
}

impl MaintenanceCommand {
    fn change(self) -> Change {
        match self {
            Self::On { message } => Change::On(message),
            Self::Off { reload: false } => Change::Off,
            Self::Off { reload: true } => Change::OffByWhatIsThere,
        }
    }
}

impl Args {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let (name, which) = (self.name, self.manager.which());
        let change = self.what.change();
        if self.manager.named().is_none() && control::is_served(&name) {
            return ask_dev(&name, &Ask::Maintenance(change));
        }
        let systemd = locate::systemd(which, &name).await?;
        // What there is to tell is the outcome.
        let helper = Helper::new(&systemd, systemd.store(), |_| {});
        match helper.maintain(&change).await {
            Ok(changed) => Ok(tell(&name, systemd.store(), &changed)),
            Err(HelperError::NotInstalled(name)) => Err(not_installed(&name, which)),
            Err(error) => Err(error.into()),
        }
    }
}

fn tell(name: &AppName, store: &Store, changed: &Changed) -> ExitCode {
    let (state, next) = match store.maintenance() {
        Some(_) => ("in maintenance", "the page"),
        None => ("not in maintenance", "the app"),
    };
    match changed {
        Changed::Already => crate::output::outln!("{name}: {state}"),
        Changed::AtTheNextConnection => {
            crate::output::outln!("{name}: {state}; the next connection gets {next}");
        }
        Changed::HandedOver(outcome) => {
            crate::output::outln!("{}", outcome_line(name, outcome));
            if !matches!(**outcome, Outcome::InMaintenance(_)) {
                return ExitCode::from(exit::code_of(outcome));
            }
        }
    }
    ExitCode::SUCCESS
}
