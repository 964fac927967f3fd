//! Row 6: from a save to the new answer, with a real build.

mod asking;
mod session;
mod settled;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::{Measure, Row};
use crate::processes::{run, run_within};
use crate::project::{App, Library, Project};
use crate::results::Measurement;
use crate::serving::Bench;
use crate::times::Times;
use crate::tool::Tool;
use session::Session;

pub(super) const ROW: Row = Row {
    number: 6,
    title: "From a save to the new answer",
    explained: "The smallest axum app (`app/`), unchanged with every tool, and with portkeep on its server library too; every tool as \
                it comes, and `cargo build` with the profile `dev` as it comes. All run at the same time and take turns: in each \
                round one string is saved for each, and `cargo build` is run alone on both apps. Meanwhile somebody asks every \
                10 ms, each time on a new connection, and 40 times a second on four connections that are kept.",
    charts: &[(UNCHANGED, "save ms"), (ON_PORTKEEP, "save ms")],
    columns: &[
        ("save ms", "save to new answer, ms"),
        ("cargo ms", "`cargo build` alone, ms"),
        ("axum ms", "`cargo build` alone of plain axum, ms"),
        (
            "save to axum",
            "save to new answer, times that of plain axum",
        ),
        ("longest ms", "longest wait of a request, ms"),
        ("failed", "failed requests"),
        ("closed", "connections closed"),
        ("error ms", "save to error in the terminal, ms"),
        ("broken failed", "failed while it does not build"),
        ("saves", "saves"),
    ],
    rounds: 1,
    takes: Duration::from_secs(60),
    measure: Measure::Together(measure),
};

const UNCHANGED: &str = "the app unchanged";
const ON_PORTKEEP: &str = "the app on portkeep::serve";

/// What the first build may take, with all that the app depends on.
const FIRST: Duration = Duration::from_secs(600);
const EACH: Duration = Duration::from_secs(60);
/// Where guests have the checkout.
const CHECKOUT: &str = "/checkout";

/// A project that cargo builds with no tool around it.
struct Alone {
    project: Project,
    times: Times,
}

fn measure(bench: &Bench, tools: &[Box<dyn Tool>]) -> anyhow::Result<Vec<Measurement>> {
    let axum = Alone::new(bench, "alone-axum", App::Axum, None)?;
    let built = axum.project.target();
    let portkeep = Alone::new(bench, "alone-portkeep", App::Portkeep, Some(built))?;
    let mut alone = [axum, portkeep];
    let mut sessions: Vec<Session> = Vec::new();
    for tool in tools {
        for develop in tool.develop() {
            // Nobody waits twice for the same dependencies: of cargo alone, or of who has built with the same profile before.
            let built = match develop.settles_on {
                None => Some(alone[0].project.target()),
                profile => sessions.iter().rev().find_map(|one| one.built(profile)),
            };
            eprintln!("row 6: {} begins, {}", tool.name(), case(develop.app));
            sessions.push(Session::start(bench, tool.name(), &develop, built));
        }
    }
    for round in 1..=if bench.quick { 2 } else { 15 } {
        let version = format!("v{round}");
        for one in &mut alone {
            one.build(&version)?;
        }
        for index in turn(round, sessions.len()) {
            sessions[index].save(&version);
        }
    }
    for session in &mut sessions {
        session.breaks();
    }
    let [axum, portkeep] = &alone;
    Ok(sessions
        .into_iter()
        .map(|session| {
            let own = if session.app == App::Axum {
                axum
            } else {
                portkeep
            };
            measurement(session, &own.times, &axum.times)
        })
        .collect())
}

/// The order of a round: each begins with another one, so that nobody always follows the same.
fn turn(round: usize, count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |index| (index + round) % count)
}

fn case(app: App) -> &'static str {
    match app {
        App::Axum => UNCHANGED,
        App::Portkeep => ON_PORTKEEP,
    }
}

/// Ends the session.
fn measurement(session: Session, own: &Times, axum: &Times) -> Measurement {
    let mut measured = Measurement::of(case(session.app));
    session.tool.clone_into(&mut measured.tool);
    match session.end() {
        Ok(seen) => {
            let times = [
                ("save ms", &seen.saves),
                ("cargo ms", own),
                ("axum ms", axum),
            ];
            for (name, times) in times {
                measured = measured.time(name, times.median().unwrap_or_default());
            }
            measured = match seen.error {
                Some(error) => measured.time("error ms", error),
                None => measured.word("error ms", "not shown"),
            };
            measured
                .value(
                    "save to axum",
                    seen.saves.ratio_to(axum).unwrap_or_default(),
                )
                .time("longest ms", seen.asked.longest)
                .count("failed", seen.asked.failed)
                .count("closed", seen.asked.closed)
                .count("broken failed", seen.broken.failed)
                .count("saves", seen.saves.count())
        }
        Err(error) => {
            measured.error = Some(format!("{}: {error:#}", measured.case));
            measured
        }
    }
}

impl Alone {
    fn new(bench: &Bench, name: &str, app: App, built: Option<PathBuf>) -> anyhow::Result<Self> {
        let project = create(bench, name, app, built)?;
        eprintln!("row 6: cargo builds what the app needs, on {}", app.title());
        run_within(as_developer(&project.build()), FIRST).context("the first cargo build")?;
        Ok(Self {
            project,
            times: Times::default(),
        })
    }

    fn build(&mut self, version: &str) -> anyhow::Result<()> {
        self.project.save(version)?;
        let begun = Instant::now();
        run_within(as_developer(&self.project.build()), EACH).context("cargo build")?;
        self.times.push(begun.elapsed());
        Ok(())
    }
}

/// A project of the user who develops. `built` is a build directory that has what the app depends on.
fn create(bench: &Bench, name: &str, app: App, built: Option<PathBuf>) -> anyhow::Result<Project> {
    let project = Project::create(&bench.root, name, app, Library::Path(Path::new(CHECKOUT)))?;
    project.save("v0")?;
    if let Some(built) = built {
        let copy = ["cp", "-a", "--reflink=auto"].map(OsStr::new);
        let both = [built, project.target()];
        run(copy
            .into_iter()
            .chain(both.iter().map(|path| path.as_os_str())))?;
    }
    let directory = project.directory.to_string_lossy();
    run(["chown", "-R", "--no-dereference", "dev:", &directory])?;
    Ok(project)
}

/// The same command as the user `dev`, who has a user manager.
fn as_developer(command: &Command) -> Command {
    let mut theirs = Command::new("setpriv");
    theirs.args(["--reuid=dev", "--regid=dev", "--init-groups", "--"]);
    theirs.arg(command.get_program()).args(command.get_args());
    if let Some(directory) = command.get_current_dir() {
        theirs.current_dir(directory);
    }
    theirs.env("HOME", "/home/dev").env("USER", "dev");
    theirs.env("XDG_RUNTIME_DIR", "/run/user/1000");
    theirs
        .env("CARGO_HOME", "/srv/cargo")
        .env("CARGO_NET_OFFLINE", "true");
    let own = command.get_envs();
    theirs.envs(own.filter_map(|(name, value)| Some((name, value?))));
    theirs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_have_their_turn_in_each_round_and_another_begins() {
        assert_eq!(turn(1, 3).collect::<Vec<_>>(), [1, 2, 0]);
        assert_eq!(turn(2, 3).collect::<Vec<_>>(), [2, 0, 1]);
        assert_eq!(turn(1, 0).count(), 0);
    }
}
