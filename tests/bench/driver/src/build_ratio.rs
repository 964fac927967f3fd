//! What the server library costs at each build: the app on `portkeep::serve` beside the same app on `axum::serve`.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, ensure};
use clap::Args;

use crate::processes::run_within;
use crate::project::{App, Project};
use crate::times::Times;

/// Edit one string and build, again and again and in turns, the app on `axum::serve` and on `portkeep::serve`; fails if the
/// library makes builds slower than the limit.
#[derive(Debug, Args)]
pub(crate) struct BuildRatio {
    /// How often each is built after an edit.
    #[arg(default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How many times as long as plain axum a build may take (medians).
    #[arg(long, default_value_t = 1.10)]
    limit: f64,
    /// Where the library is.
    #[arg(long)]
    checkout: PathBuf,
    /// Where the projects are put.
    #[arg(long)]
    directory: PathBuf,
}

/// With all that the app depends on.
const FIRST: Duration = Duration::from_secs(1200);
const EACH: Duration = Duration::from_secs(120);

struct Side {
    app: App,
    project: Project,
    times: Times,
}

impl BuildRatio {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let [mut plain, mut ours] = [
            self.side("on-axum", App::Axum)?,
            self.side("on-portkeep", App::Portkeep)?,
        ];
        for round in 1..=self.rounds {
            let version = format!("v{round}");
            // Whatever comes second may find the machine warmer than the first.
            let both = match round % 2 {
                0 => [&mut plain, &mut ours],
                _ => [&mut ours, &mut plain],
            };
            for side in both {
                let took = side.edit_and_build(&version)?;
                side.times.push(took);
            }
            eprintln!("round {round} of {}", self.rounds);
        }
        println!(
            "`cargo build` after an edit of one string, profile dev, {} rounds in turns:",
            self.rounds
        );
        for side in [&plain, &ours] {
            let size = fs::metadata(side.project.executable("debug"))?.len();
            println!(
                "  {:<26} {}, executable {} KiB",
                side.app.title(),
                side.times,
                size / 1024
            );
        }
        let ratio = ours.times.ratio_to(&plain.times).context("no rounds")?;
        println!("ratio of medians: {ratio:.2} (limit {:.2})", self.limit);
        ensure!(
            ratio <= self.limit,
            "the library makes its users' builds {ratio:.2} times as long"
        );
        Ok(())
    }

    fn side(&self, name: &str, app: App) -> anyhow::Result<Side> {
        let project = Project::create(&self.directory, name, app, &self.checkout)?;
        let side = Side {
            app,
            project,
            times: Times::default(),
        };
        eprintln!(
            "building the app on {}, first with all that it depends on",
            app.title()
        );
        side.project.save("v0")?;
        run_within(side.project.build(), FIRST)?;
        // The first build after an edit has more to do than those that follow.
        side.edit_and_build("warm")?;
        Ok(side)
    }
}

impl Side {
    fn edit_and_build(&self, version: &str) -> anyhow::Result<Duration> {
        self.project.save(version)?;
        let edited = SystemTime::now();
        let mut build = self.project.build();
        build.arg("--offline");
        let begun = Instant::now();
        run_within(build, EACH)?;
        let took = begun.elapsed();
        let built = fs::metadata(self.project.executable("debug"))?.modified()?;
        ensure!(built > edited, "cargo has built nothing after an edit");
        Ok(took)
    }
}
