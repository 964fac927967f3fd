//! The command line as a whole.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::command;

/// systemd holds the port: zero-downtime reloads, in development and in production, with the same units.
///
/// In a cargo project, `portkeep dev` builds, serves and reloads at every change. On a server, `portkeep install`
/// places the units, and `systemctl reload NAME` hands over to a new release without losing a request.
#[derive(Debug, Parser)]
#[command(name = "portkeep", version, max_term_width = 100, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  portkeep dev                               build, serve and reload the project in this directory
  portkeep install --system --now            place the units of ./portkeep.json and open the port
  portkeep install --dry-run                 show what install would change
  portkeep reload hello                      hand over to the newest build
  portkeep rollback hello                    hand over to the release before
  portkeep maintenance hello on              answer with a page until it is turned off
  portkeep drain hello --wait                take it out of its load balancers before a reboot
  portkeep status                            what runs
  portkeep doctor                            what is wrong, and what to do about it

Exit codes:
  0 done   1 failed, nothing changed   2 bad usage or bad spec   3 fell back to the last good release
  4 needs a person: nothing can serve (a holding page answers on HTTP sockets), or the doctor found a problem";

#[derive(Debug, Subcommand)]
enum Command {
    Dev(Box<command::dev::Args>),
    Units(command::units::Args),
    Install(command::install::Args),
    Uninstall(command::uninstall::Args),
    Reload(command::reload::Args),
    Rollback(command::rollback::Args),
    Maintenance(command::maintenance::Args),
    Drain(command::drain::Args),
    Undrain(command::undrain::Args),
    Serves(command::serves::Args),
    Status(command::status::Args),
    History(command::history::Args),
    Logs(command::logs::Args),
    Doctor(command::doctor::Args),
    Metrics(command::metrics::Args),
    Port(command::port::Args),
    Prove(command::prove::Args),
    Schema(command::schema::Args),
    Catalog(command::catalog::Args),
    Completions(command::completions::Args),
    Man(command::man::Args),
    Handle(command::handle::Args),
}

impl Command {
    /// Builds and apps under development have the umask of the shell.
    fn runs_programs_of_the_caller(&self) -> bool {
        matches!(self, Self::Dev(_) | Self::Prove(_))
    }
}

impl Cli {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        if !self.command.runs_programs_of_the_caller() {
            crate::caller::set_umask();
        }
        match self.command {
            Command::Dev(args) => (*args).run().await,
            Command::Units(args) => args.run(),
            Command::Install(args) => args.run().await,
            Command::Uninstall(args) => args.run().await,
            Command::Reload(args) => args.run().await,
            Command::Rollback(args) => args.run().await,
            Command::Maintenance(args) => args.run().await,
            Command::Drain(args) => args.run().await,
            Command::Undrain(args) => args.run().await,
            Command::Serves(args) => args.run().await,
            Command::Status(args) => args.run().await,
            Command::History(args) => args.run(),
            Command::Logs(args) => args.run().await,
            Command::Doctor(args) => args.run().await,
            Command::Metrics(args) => args.run().await,
            Command::Port(args) => args.run().await,
            Command::Prove(args) => args.run().await,
            Command::Schema(args) => args.run(),
            Command::Catalog(args) => args.run(),
            Command::Completions(args) => args.run(),
            Command::Man(args) => args.run(),
            Command::Handle(args) => args.run().await,
        }
    }
}
