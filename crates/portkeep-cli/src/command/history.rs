use std::process::ExitCode;

use anyhow::Context;
use portkeep_engine::store::{Repeated, fold};
use portkeep_spec::AppName;

use crate::exit::usage;
use crate::locate::{ManagerArgs, existing_store, place};
use crate::{control, output};

/// Show what happened to an app, oldest first: handovers, crashes and what was made of them, ends of drains
///
/// What happened several times in a row for the same reason is one line, with the time of the last and of the first.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  portkeep history hello\n  portkeep history hello --all              each event, also where it repeats the one before\n  portkeep history hello --json | jq '.[] | select(.result == \"failed\")'"
)]
pub(crate) struct Args {
    /// The app.
    name: AppName,
    #[command(flatten)]
    manager: ManagerArgs,
    /// Show each event, also where it repeats the one before.
    #[arg(long)]
    all: bool,
    /// As JSON: an array of events (`event` is `handover`, `crash` or `drained`; `count` and `firstAt` say how often it came in a
    /// row), durations in milliseconds.
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let place = match self.manager.named() {
            None if control::is_served(&self.name) => portkeep_engine::Place::Local,
            _ => place(self.manager.which()),
        };
        let store = existing_store(&self.name, place)?;
        if !store.state_directory().exists() {
            return Err(usage(format!(
                "no app `{}` was ever started here; try --system or --user",
                self.name
            )));
        }
        let events = store.events().with_context(|| {
            format!(
                "cannot read the history of {}; it is its owner's to read",
                self.name
            )
        })?;
        let history: Vec<Repeated> = match self.all {
            true => events.into_iter().map(Repeated::once).collect(),
            false => fold(events),
        };
        if self.json {
            output::json(&history)?;
        } else {
            for event in &history {
                crate::output::outln!("{}", output::repeated_line(event));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
