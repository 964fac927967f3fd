use std::io::{BufRead, BufReader};
use std::process::ExitCode;

use anyhow::Context;
use portkeep_engine::Generation;
use portkeep_spec::AppName;
use tokio::io::{AsyncBufReadExt, BufReader as AsyncReader};

mod line;
mod query;

use crate::control::{self, Ask, LogLine};
use crate::locate::ManagerArgs;
use crate::output;
use portkeep_engine::journal::Entry;
use query::Query;

/// Show what an app wrote, with the generation that wrote it
///
/// From the journal, together with messages of portkeep and systemd about the app. Under `portkeep dev` without systemd,
/// its last 1000 lines.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  portkeep logs hello\n  portkeep logs hello -f\n  portkeep logs hello -g 3 -n 100\n  portkeep logs hello --json     a line an object: at, generation, unit, message"
)]
pub(crate) struct Args {
    /// The app.
    name: AppName,
    #[command(flatten)]
    manager: ManagerArgs,
    /// Print new lines as they are written.
    #[arg(short, long)]
    follow: bool,
    /// Only this generation.
    #[arg(short, long, value_name = "N")]
    generation: Option<u64>,
    /// The last N lines; 0 for none (with -f: only new ones).
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    lines: usize,
    /// Print JSON, one object on each line.
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let written = match self.manager.named() {
            None if control::is_served(&self.name) => self.ask_dev()?,
            _ => self.read_journal().await?,
        };
        if written == 0 && !self.follow && self.lines > 0 {
            output::errln!("{}", self.nothing());
        }
        Ok(ExitCode::SUCCESS)
    }

    fn query(&self) -> Query<'_> {
        Query {
            name: &self.name,
            which: self.manager.which(),
            generation: self.generation.map(Generation),
            lines: self.lines,
            follow: self.follow,
        }
    }

    /// Returns the number of lines.
    async fn read_journal(&self) -> anyhow::Result<usize> {
        let query = self.query();
        let mut child = tokio::process::Command::new("journalctl")
            .args(query.arguments())
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot run journalctl, which reads the journal")?;
        let Some(stdout) = child.stdout.take() else {
            return Ok(0);
        };
        let mut entries = AsyncReader::new(stdout).lines();
        let mut written = 0;
        while let Some(json) = entries.next_line().await? {
            let Ok(entry) = serde_json::from_str::<Entry>(&json) else {
                continue;
            };
            if !query.is_of_app(entry.unit(query.which)) {
                continue;
            }
            if !self.write(&line::of(&entry, &query))? {
                break;
            }
            written += 1;
        }
        Ok(written)
    }

    /// Asks the `portkeep dev` that runs it.
    fn ask_dev(&self) -> anyhow::Result<usize> {
        let ask = Ask::Logs {
            generation: self.generation.map(Generation),
            lines: self.lines,
            follow: self.follow,
        };
        let mut written = 0;
        for json in BufReader::new(control::open(&self.name, &ask)?).lines() {
            let line: LogLine = serde_json::from_str(&json?)
                .context("`portkeep dev` is of another version than this command; restart it")?;
            if !self.write(&line)? {
                break;
            }
            written += 1;
        }
        Ok(written)
    }

    /// False if nobody reads any more.
    fn write(&self, line: &LogLine) -> anyhow::Result<bool> {
        if self.json {
            output::follow_json(line)
        } else {
            Ok(output::follow(line::text(line))?)
        }
    }

    fn nothing(&self) -> String {
        let whose = match self.generation {
            Some(generation) => format!("generation {generation} of {}", self.name),
            None => self.name.to_string(),
        };
        format!(
            "The journal shows nothing of {whose}. Either it wrote nothing, or it is not yours to read: a system app's log needs \
             root or the group systemd-journal; --user and --system choose the manager."
        )
    }
}
