use std::process::ExitCode;

use anyhow::Context;
use portkeep_spec::AppName;

use crate::exit::usage;
use crate::locate::{ManagerArgs, existing_store, place};
use crate::{control, output};

/// Show what happened to an app, oldest first: handovers, crashes and what was made of them, ends of drains
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  portkeep history hello\n  portkeep history hello --json | jq '.[] | select(.result == \"failed\")'"
)]
pub(crate) struct Args {
    /// The app.
    name: AppName,
    #[command(flatten)]
    manager: ManagerArgs,
    /// As JSON: an array of events (`event` is `handover`, `crash` or `drained`), durations in milliseconds.
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
        let history = store.events().with_context(|| {
            format!(
                "cannot read the history of {}; it is its owner's to read",
                self.name
            )
        })?;
        if self.json {
            output::json(&history)?;
        } else {
            for event in &history {
                crate::output::outln!("{}", output::event_line(event));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
