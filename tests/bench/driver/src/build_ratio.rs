//! What the server library costs at each build: the app on `portkeep::serve` beside the same app on `axum::serve`.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, ensure};
use clap::Args;

use crate::processes::run_within;
use crate::project::{App, Library, Project};
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
    /// Its place in what is printed.
    number: usize,
    title: &'static str,
    project: Project,
    times: Times,
}

impl BuildRatio {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let (git, path) = (Library::Git(&self.checkout), Library::Path(&self.checkout));
        let mut sides = [
            self.side(0, "on-axum", "axum::serve and listenfd", App::Axum, git)?,
            self.side(1, "on-portkeep", "portkeep::serve", App::Portkeep, git)?,
            self.side(
                2,
                "on-path",
                "portkeep::serve, by its path",
                App::Portkeep,
                path,
            )?,
        ];
        for round in 1..=self.rounds {
            let version = format!("v{round}");
            // Whoever comes later may find the machine warmer than the first.
            sides.rotate_left(1);
            for side in &mut sides {
                let took = side.edit_and_build(&version)?;
                side.times.push(took);
            }
            eprintln!("round {round} of {}", self.rounds);
        }
        println!(
            "`cargo build` after an edit of one string, profile dev, {} rounds in turns:",
            self.rounds
        );
        sides.sort_by_key(|side| side.number);
        for side in &sides {
            let size = fs::metadata(side.project.executable("debug"))?.len();
            println!(
                "  {:<28} {}, executable {} KiB",
                side.title,
                side.times,
                size / 1024
            );
        }
        let [plain, users, path] = &sides;
        let to_plain = |side: &Side| side.times.ratio_to(&plain.times).context("no rounds");
        let ratio = to_plain(users)?;
        println!("ratio of medians: {ratio:.2} (limit {:.2})", self.limit);
        println!("by its path, for who works on both: {:.2}", to_plain(path)?);
        ensure!(
            ratio <= self.limit,
            "the library makes its users' builds {ratio:.2} times as long"
        );
        Ok(())
    }

    fn side(
        &self,
        number: usize,
        name: &str,
        title: &'static str,
        app: App,
        library: Library<'_>,
    ) -> anyhow::Result<Side> {
        let project = Project::create(&self.directory, name, app, library)?;
        let side = Side {
            number,
            title,
            project,
            times: Times::default(),
        };
        eprintln!("building the app on {title}, first with all that it depends on");
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
