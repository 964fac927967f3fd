use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use portkeep_engine::backend::systemd::{Depth, Manager};
use portkeep_engine::metrics::{self, Format};
use portkeep_spec::AppName;

mod collect;

use crate::exit::usage;
use crate::facts;
use crate::locate::{ManagerArgs, installed_apps};
use crate::output;

/// Print metrics of apps, for Prometheus
///
/// Handovers by result and their steps, crashes, roll backs, generation and label, connections that moved or were cut,
/// answered requests, drains, and how long the holding page answered. Counters never fall, at a handover or a reboot. No
/// process stays resident: `portkeep install --metrics` places a timer that writes a file for node_exporter.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  portkeep metrics                                    OpenMetrics\n  portkeep metrics hello --format prometheus | promtool check metrics\n  sudo portkeep metrics --textfile /var/lib/prometheus/node-exporter\n  sudo portkeep install --metrics                     a timer does that every 15 s"
)]
pub(crate) struct Args {
    /// The apps [default: all].
    names: Vec<AppName>,
    #[command(flatten)]
    manager: ManagerArgs,
    /// Write the metrics to portkeep.prom in this directory, in the format that node_exporter reads, and print nothing.
    #[arg(long, value_name = "DIR")]
    textfile: Option<PathBuf>,
    /// The format [default: openmetrics; prometheus with --textfile].
    #[arg(long, value_enum)]
    format: Option<TextFormat>,
}

/// A text format for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum TextFormat {
    /// OpenMetrics 1.0, what Prometheus asks for first.
    Openmetrics,
    /// The older text format, which node_exporter and promtool read.
    Prometheus,
}

impl Args {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let which = self.manager.which();
        if let Some(directory) = &self.textfile {
            // Before anything is asked for.
            metrics::check_directory(directory).map_err(|error| usage(error.to_string()))?;
        }
        let names = match self.names.is_empty() {
            true => installed_apps(which).await,
            false => self.names,
        };
        let manager = Manager::connect(which).await?;
        let mut samples = Vec::new();
        for app in facts::apps(&manager, &names, Depth::Runs).await? {
            let name = app.store.name().clone();
            if app.units.handle.load == "not-found" {
                return Err(usage(format!(
                    "the app {name} is not installed here; try --system or --user"
                )));
            }
            let sample = collect::sample(which, &app).with_context(|| {
                format!("cannot read the history of {name}; only its owner may read it")
            })?;
            samples.push(sample);
        }
        let format = match (self.format, &self.textfile) {
            (Some(TextFormat::Prometheus), _) | (None, Some(_)) => Format::Prometheus,
            (Some(TextFormat::Openmetrics), _) | (None, None) => Format::OpenMetrics,
        };
        let text = metrics::render(&metrics::families(&samples), format);
        match &self.textfile {
            Some(directory) => metrics::write(directory, &metrics::file_name(which), &text)?,
            None => output::raw(text.as_bytes())?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
