use std::process::ExitCode;

use anyhow::Context;
use portkeep_engine::store::{HistoryEvent, Repeated, fold};
use portkeep_engine::trace::Trace;
use portkeep_engine::{Generation, Place};
use portkeep_spec::{AppName, Manager as Which};

use crate::exit::usage;
use crate::locate::{ManagerArgs, existing_store, place};
use crate::{control, output};

/// Show the history of an app, oldest first: handovers, crashes and the decisions about them, ends of drains
///
/// Equal events in a row are one line, with the time of the first and of the last.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  portkeep history hello\n  portkeep history hello --all              each event, also where it repeats the one before\n  portkeep history hello 41 --trace | curl --json @- http://127.0.0.1:4318/v1/traces\n  portkeep history hello --json | jq '.[] | select(.result == \"failed\")'"
)]
pub(crate) struct Args {
    /// The app.
    name: AppName,
    /// Only events of this generation.
    #[arg(value_name = "N")]
    generation: Option<u64>,
    #[command(flatten)]
    manager: ManagerArgs,
    /// Show each event, also repeated ones.
    #[arg(long)]
    all: bool,
    /// Print JSON: an array of events (`event` is `handover`, `crash`, `drained`, `taken-out` or `put-back`; `count` and
    /// `firstAt` are for repetitions), durations in milliseconds.
    #[arg(long)]
    json: bool,
    /// Print the handover that started generation N as a trace, with its steps as spans: OTLP in JSON, for a collector or
    /// Jaeger.
    #[arg(long, requires = "generation", conflicts_with_all = ["json", "all"])]
    trace: bool,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let place = match self.manager.named() {
            None if control::is_served(&self.name) => Place::Local,
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
                "cannot read the history of {}; only its owner may read it",
                self.name
            )
        })?;
        let generation = self.generation.map(Generation);
        if self.trace {
            return trace(&self.name, place, &events, generation);
        }
        let is_wanted =
            |event: &HistoryEvent| generation.is_none() || event.generation() == generation;
        let events: Vec<_> = events.into_iter().filter(is_wanted).collect();
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

/// Prints the handover that started a generation, for a collector of traces.
fn trace(
    name: &AppName,
    place: Place,
    events: &[HistoryEvent],
    generation: Option<Generation>,
) -> anyhow::Result<ExitCode> {
    let trace = generation.and_then(|generation| Trace::of(events, generation));
    let Some(trace) = trace else {
        let number = generation.map_or_else(String::new, |one| one.to_string());
        return Err(usage(format!(
            "the history of {name} has no handover to generation {number}; `portkeep history {name}` lists what it has"
        )));
    };
    let which = match place {
        Place::System => Which::System,
        Place::User | Place::Local => Which::User,
    };
    output::json(&trace.otlp(name, which, env!("CARGO_PKG_VERSION")))?;
    Ok(ExitCode::SUCCESS)
}
