//! A tool at work on a project of its own: what is saved, and what is seen meanwhile.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::asking::{Asked, Asking};
use super::{FIRST, as_developer, create, settled};
use crate::processes::Started;
use crate::project::{App, Project};
use crate::serving::{Bench, ask};
use crate::times::Times;
use crate::tool::Develop;

/// For a new version to answer.
const LONGEST: Duration = Duration::from_secs(60);
/// For an error to be shown.
const SHOWN: Duration = Duration::from_secs(20);
/// After each answer, until it is another one's turn: what ends then is still asked.
const BETWEEN: Duration = Duration::from_secs(1);

pub(super) struct Session {
    pub(super) tool: &'static str,
    pub(super) app: App,
    settles_on: Option<&'static str>,
    /// Nothing more is asked of a tool after its first failure.
    work: anyhow::Result<Work>,
}

struct Work {
    project: Project,
    address: SocketAddr,
    /// What it shows.
    log: PathBuf,
    process: Started,
    seen: Seen,
}

#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) saves: Times,
    pub(super) asked: Asked,
    /// When an error was shown in the terminal.
    pub(super) error: Option<Duration>,
    /// After the save that does not build.
    pub(super) broken: Asked,
}

impl Session {
    /// `built` is a build directory that has what the app depends on.
    pub(super) fn start(
        bench: &Bench,
        tool: &'static str,
        develop: &Develop,
        built: Option<PathBuf>,
    ) -> Self {
        Self {
            tool,
            app: develop.app,
            settles_on: develop.settles_on,
            work: Work::start(bench, tool, develop, built),
        }
    }

    /// Its build directory, if it builds with this profile.
    pub(super) fn built(&self, profile: Option<&str>) -> Option<PathBuf> {
        let work = self.work.as_ref().ok()?;
        (self.settles_on == profile).then(|| work.project.target())
    }

    pub(super) fn save(&mut self, version: &str) {
        self.go_on(|work| work.save(version));
    }

    pub(super) fn breaks(&mut self) {
        self.go_on(Work::breaks);
    }

    fn go_on(&mut self, step: impl FnOnce(&mut Work) -> anyhow::Result<()>) {
        let Ok(work) = &mut self.work else { return };
        if let Err(error) = step(work) {
            let failed = std::mem::replace(&mut self.work, Err(error));
            if let Ok(work) = failed {
                work.process.end_all();
            }
        }
    }

    pub(super) fn end(self) -> anyhow::Result<Seen> {
        let work = self.work?;
        work.process.end_all();
        Ok(work.seen)
    }
}

impl Work {
    fn start(
        bench: &Bench,
        tool: &str,
        develop: &Develop,
        built: Option<PathBuf>,
    ) -> anyhow::Result<Self> {
        let name = match develop.app {
            App::Axum => format!("{tool}-unchanged"),
            App::Portkeep => format!("{tool}-library"),
        };
        let project = create(bench, &name, develop.app, built)?;

        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let words = (develop.words)(address);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).current_dir(&project.directory);
        command.env("LISTEN", address.to_string());
        // Outside of the project: a tool that watches it would see each of its own lines as a change.
        let log = bench.root.join(format!("{name}.log"));
        let process = Started::spawn(as_developer(&command), &log)?;
        let work = Self {
            project,
            address,
            log,
            process,
            seen: Seen::default(),
        };
        match work.begins(develop) {
            Ok(()) => Ok(work),
            Err(error) => {
                work.process.end_all();
                Err(error)
            }
        }
    }

    fn begins(&self, develop: &Develop) -> anyhow::Result<()> {
        self.answers("v0", Instant::now(), FIRST)
            .context("the first version")?;
        if let Some(profile) = develop.settles_on {
            settled::wait(&self.project.executable(profile), &self.log)?;
        }
        thread::sleep(BETWEEN);
        Ok(())
    }

    fn save(&mut self, version: &str) -> anyhow::Result<()> {
        let asking = Asking::start(self.address)?;
        let begun = Instant::now();
        self.project.save(version)?;
        let took = self.answers(version, begun, LONGEST);
        thread::sleep(BETWEEN);
        self.seen.asked.add(&asking.finish()?);
        self.seen.saves.push(took?);
        Ok(())
    }

    fn breaks(&mut self) -> anyhow::Result<()> {
        let asking = Asking::start(self.address)?;
        let before = fs::metadata(&self.log).map_or(0, |metadata| metadata.len());
        let begun = Instant::now();
        self.project.save_broken()?;
        while self.seen.error.is_none() && begun.elapsed() < SHOWN {
            let text = fs::read(&self.log).unwrap_or_default();
            let new = text.get(usize::try_from(before).unwrap_or_default()..);
            if String::from_utf8_lossy(new.unwrap_or_default()).contains("E0425") {
                self.seen.error = Some(begun.elapsed());
            }
            thread::sleep(Duration::from_millis(2));
        }
        thread::sleep(BETWEEN);
        self.seen.broken.add(&asking.finish()?);
        Ok(())
    }

    fn answers(
        &self,
        version: &str,
        since: Instant,
        longest: Duration,
    ) -> anyhow::Result<Duration> {
        while since.elapsed() < longest {
            if ask(self.address).is_ok_and(|answered| answered == version) {
                return Ok(since.elapsed());
            }
            thread::sleep(Duration::from_millis(2));
        }
        anyhow::bail!("{version} did not answer within {longest:?}")
    }
}
