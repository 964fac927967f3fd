//! Measures portkeep and its peers in one run. `tests/bench/run` builds what it needs and starts it where systemd runs.

mod about;
mod build_ratio;
mod chart;
mod client;
mod place;
mod processes;
mod project;
mod render;
mod results;
mod row;
mod schedule;
mod serving;
mod soak;
mod times;
mod tool;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use results::{About, Measurement, Results};
use serving::Bench;
use tool::Tool;

/// Measures portkeep and its peers in one run.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure, and write the results as JSON.
    Measure(Measure),
    /// Make the table of results.
    Render(Render),
    /// Reload an app again and again under load, and watch what grows.
    Soak(soak::Soak),
    /// What the server library costs at each build.
    BuildRatio(build_ratio::BuildRatio),
}

#[derive(Debug, Args)]
struct Measure {
    /// Only these tools.
    #[arg(long, value_delimiter = ',')]
    tools: Vec<String>,
    /// Only these rows.
    #[arg(long, value_delimiter = ',')]
    rows: Vec<u32>,
    /// How often all is measured; tools take turns [default: what each row says, quick: 1].
    #[arg(long)]
    rounds: Option<u32>,
    /// Reloads under load, in row 1 [default: 100, quick: 10].
    #[arg(long)]
    reloads: Option<u32>,
    /// After so many minutes nothing new is begun; what is left out is named in the results.
    #[arg(long, default_value_t = 70)]
    minutes: u64,
    /// Shows that everything works, not how well.
    #[arg(long)]
    quick: bool,
    /// The commit that is measured.
    #[arg(long, default_value = "unknown")]
    commit: String,
    /// Where apps are placed.
    #[arg(long, default_value = "/srv/bench")]
    root: PathBuf,
    /// Where the apps of the peers are.
    #[arg(long, default_value = "/opt/portkeep/bin")]
    programs: PathBuf,
    /// The results; what other tools and rows have in there is kept.
    #[arg(long)]
    out: PathBuf,
}

#[derive(Debug, Args)]
struct Render {
    /// What `measure` wrote.
    results: PathBuf,
    /// The table, in Markdown.
    #[arg(long)]
    out: PathBuf,
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Measure(measure) => measure.run(),
        Command::Render(render) => {
            let results = read(&render.results)?;
            let (page, pictures) = render::page(&results);
            fs::write(&render.out, page)?;
            for (name, picture) in pictures {
                fs::write(render.out.with_file_name(name), picture)?;
            }
            Ok(())
        }
        Command::Soak(soak) => soak.run(),
        Command::BuildRatio(build_ratio) => build_ratio.run(),
    }
}

fn read(path: &std::path::Path) -> anyhow::Result<Results> {
    let text = fs::read(path).with_context(|| path.display().to_string())?;
    serde_json::from_slice(&text).with_context(|| path.display().to_string())
}

/// Thousands of connections need as many descriptors; what is started inherits the limit.
fn raise_limit() -> anyhow::Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, raised).context("raising the limit of open files")
}

impl Measure {
    fn run(self) -> anyhow::Result<()> {
        raise_limit()?;
        let tools = self.chosen_tools()?;
        let rows = self.chosen_rows()?;
        let mut results = if self.out.exists() {
            read(&self.out)?
        } else {
            Results::default()
        };
        results.about = about::machine(&self.commit, self.quick)?;
        let load_before = about::load()?;
        results.measurements.retain(|old| {
            let again = rows.iter().any(|row| row.number == old.row)
                && tools.iter().any(|tool| tool.name() == old.tool);
            !again
        });
        for tool in &tools {
            let about = About {
                name: tool.name().to_owned(),
                used: tool.used().to_owned(),
                version: tool.version()?,
            };
            // In its place: their order is that of the tables.
            match results.tools.iter_mut().find(|known| known.name == about.name) {
                Some(known) => *known = about,
                None => results.tools.push(about),
            }
        }
        let bench = Bench {
            root: self.root.clone(),
            programs: self.programs.clone(),
            quick: self.quick,
            reloads: self.reloads.unwrap_or(if self.quick { 10 } else { 100 }),
        };
        let turns = schedule::turns(&rows, self.rounds.or(self.quick.then_some(1)));
        println!("{}", schedule::estimate(&rows, &turns, tools.len()));
        let end = Instant::now() + Duration::from_secs(60) * u32::try_from(self.minutes)?;
        for (row, round) in turns {
            let in_time = Instant::now() < end;
            let mut keep = |measured: Vec<Measurement>| {
                for mut measurement in measured {
                    (measurement.row, measurement.round) = (row.number, round);
                    println!("{}", serde_json::to_string(&measurement)?);
                    results.measurements.push(measurement);
                }
                // Each, because a run takes long and may be interrupted.
                fs::write(&self.out, serde_json::to_vec_pretty(&results)?)?;
                anyhow::Ok(())
            };
            let those = || tools.iter().filter(|tool| row.has(tool.as_ref()));
            match row.measure {
                row::Measure::Together(measure) if in_time => {
                    let measured = measure(&bench, &tools);
                    keep(measured.unwrap_or_else(|error| {
                        those().map(|tool| failed(tool.as_ref(), &error)).collect()
                    }))?;
                }
                row::Measure::Each(_) | row::Measure::Together(_) => {
                    for tool in those() {
                        keep(one(row, round, &bench, tool.as_ref(), end))?;
                    }
                }
            }
        }
        results.about.push((
            "load average before and after".to_owned(),
            format!("{load_before} and {}", about::load()?),
        ));
        fs::write(&self.out, serde_json::to_vec_pretty(&results)?)?;
        Ok(())
    }

    fn chosen_tools(&self) -> anyhow::Result<Vec<Box<dyn Tool>>> {
        let mut all = tool::all();
        for name in &self.tools {
            let names: Vec<_> = all.iter().map(|tool| tool.name()).collect();
            anyhow::ensure!(
                names.contains(&name.as_str()),
                "no tool `{name}`; there are: {}",
                names.join(", ")
            );
        }
        if !self.tools.is_empty() {
            all.retain(|tool| self.tools.iter().any(|name| name == tool.name()));
        }
        Ok(all)
    }

    fn chosen_rows(&self) -> anyhow::Result<Vec<row::Row>> {
        for number in &self.rows {
            anyhow::ensure!(
                (1..=8).contains(number),
                "no row {number}; there are 1 to 8"
            );
        }
        let chosen = |row: &row::Row| self.rows.is_empty() || self.rows.contains(&row.number);
        Ok(row::ALL.into_iter().filter(chosen).collect())
    }
}

/// A tool by itself, if there is time for it.
fn one(
    row: &row::Row,
    round: u32,
    bench: &Bench,
    tool: &dyn Tool,
    end: Instant,
) -> Vec<Measurement> {
    let measured = match row.measure {
        row::Measure::Each(measure) if Instant::now() < end => measure(bench, tool),
        _ if round == 1 => Err(anyhow::anyhow!("the time of the run was up")),
        // Fewer rounds, which the table states.
        _ => Ok(Vec::new()),
    };
    let mut measured = measured.unwrap_or_else(|error| vec![failed(tool, &error)]);
    for measurement in &mut measured {
        tool.name().clone_into(&mut measurement.tool);
    }
    measured
}

fn failed(tool: &dyn Tool, error: &anyhow::Error) -> Measurement {
    Measurement {
        tool: tool.name().to_owned(),
        error: Some(format!("{error:#}")),
        ..Measurement::default()
    }
}
