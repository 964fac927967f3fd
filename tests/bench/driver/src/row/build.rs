//! Row 6: from a save to the new answer, with a real build.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::Row;
use crate::processes::{Started, end_program, run, run_within};
use crate::results::Measurement;
use crate::serving::{Bench, ask};
use crate::tool::{Develop, Tool};

pub(super) const ROW: Row = Row {
    number: 6,
    title: "From a save to the new answer",
    explained: "A small axum project, built without optimisation. `cargo build` alone is measured with the same change, in the same \
                round, before the tool is started. Meanwhile somebody asks every 10 ms, each time on a new connection.",
    charts: &[("debug build", "save ms")],
    columns: &[
        ("save ms", "save to new answer, ms"),
        ("cargo ms", "`cargo build` alone, ms"),
        ("longest ms", "longest wait of a request, ms"),
        ("failed", "failed requests"),
        ("error ms", "save to error in the terminal, ms"),
        ("broken failed", "failed while it does not build"),
    ],
    rounds: 1,
    takes: Duration::from_secs(25),
    measure,
};

const LONGEST: Duration = Duration::from_secs(60);
/// What the first build may take, with all that the app depends on.
const BUILD: Duration = Duration::from_secs(300);
const BETWEEN: Duration = Duration::from_secs(1);

fn measure(bench: &Bench, tool: &dyn Tool) -> anyhow::Result<Vec<Measurement>> {
    let Some(develop) = tool.develop() else {
        return Ok(Vec::new());
    };
    let project = Project::new(&bench.root, &develop)?;
    project.save("0", true)?;
    // Everything that the app depends on.
    project.cargo()?;
    let mut alone = Vec::new();
    for number in 0..3 {
        project.save(&format!("alone{number}"), true)?;
        let begun = Instant::now();
        project.cargo()?;
        alone.push(begun.elapsed());
    }
    project.save("v0", true)?;
    project.cargo()?;

    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let words = (develop.words)(address);
    // Outside of the project: a tool that watches it would see each of its own lines as a change.
    let log = bench.root.join("build.log");
    let _ = fs::remove_file(&log);
    let process = Started::spawn(project.command(&words, address), &log)?;
    let measured = project.session(address, &log, if bench.quick { 2 } else { 5 });
    process.end();
    end_program(&project.directory.join("target/debug/app"));
    let (saves, asked, error, broken) = measured?;
    let mut measured = Measurement::of("debug build")
        .time("save ms", median(saves))
        .time("cargo ms", median(alone))
        .time("longest ms", asked.0)
        .count("failed", asked.1)
        .count("broken failed", broken);
    measured = match error {
        Some(error) => measured.time("error ms", error),
        None => measured.word("error ms", "not shown"),
    };
    Ok(vec![measured])
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

struct Project {
    directory: PathBuf,
    source: &'static str,
}

/// How long each save took, the longest wait and the number of failures, when an error was shown, and what failed then.
type Session = (Vec<Duration>, (Duration, u64), Option<Duration>, u64);

impl Project {
    fn new(root: &Path, develop: &Develop) -> anyhow::Result<Self> {
        let directory = root.join(format!("project-{}", develop.library));
        fs::create_dir_all(directory.join("src"))?;
        let manifest = include_str!("../../project/Cargo.toml");
        fs::write(directory.join("Cargo.toml"), manifest)?;
        fs::write(
            directory.join("Cargo.lock"),
            include_str!("../../../Cargo.lock"),
        )?;
        let source = match develop.library {
            "portkeep" => include_str!("../../project/portkeep.rs"),
            _ => include_str!("../../project/listenfd.rs"),
        };
        Ok(Self { directory, source })
    }

    /// As an editor that replaces the file.
    fn save(&self, version: &str, builds: bool) -> anyhow::Result<()> {
        let mut source = self.source.replace("VERSION", version);
        if !builds {
            source.push_str("\nfn broken() -> u32 { missing }\n");
        }
        let next = self.directory.with_extension("next");
        fs::write(&next, source)?;
        fs::rename(next, self.directory.join("src/main.rs"))?;
        // The project belongs to the user who develops.
        run([
            "chown",
            "-R",
            "--no-dereference",
            "dev:",
            &self.directory.join("src").to_string_lossy(),
        ])?;
        if fs::metadata(self.directory.join("target")).is_err() {
            run(["chown", "-R", "dev:", &self.directory.to_string_lossy()])?;
        }
        Ok(())
    }

    fn cargo(&self) -> anyhow::Result<()> {
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], 9));
        let words = ["cargo", "build", "--quiet"].map(str::to_owned);
        run_within(self.command(&words, address), BUILD).context("cargo build")?;
        Ok(())
    }

    /// As the user `dev`, who has a user manager.
    fn command(&self, words: &[String], address: std::net::SocketAddr) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=dev", "--regid=dev", "--init-groups", "--"]);
        command.args(words);
        command.current_dir(&self.directory);
        command.env("HOME", "/home/dev").env("USER", "dev");
        command.env("XDG_RUNTIME_DIR", "/run/user/1000");
        command
            .env("CARGO_HOME", "/srv/cargo")
            .env("CARGO_NET_OFFLINE", "true");
        command.env("BENCH_LISTEN", address.to_string());
        command
    }

    fn session(
        &self,
        address: std::net::SocketAddr,
        log: &Path,
        saves: u32,
    ) -> anyhow::Result<Session> {
        answers(address, "v0").context("the first version")?;
        thread::sleep(BETWEEN);
        let mut times = Vec::new();
        let asking = Asking::start(address);
        for number in 1..=saves {
            let version = format!("v{number}");
            self.save(&version, true)?;
            times.push(answers(address, &version)?);
            thread::sleep(BETWEEN);
        }
        let asked = asking.finish();
        let asking = Asking::start(address);
        let before = fs::metadata(log).map_or(0, |metadata| metadata.len());
        let begun = Instant::now();
        self.save("broken", false)?;
        let mut shown = None;
        while shown.is_none() && begun.elapsed() < Duration::from_secs(20) {
            let text = fs::read(log).unwrap_or_default();
            let new = text
                .get(usize::try_from(before).unwrap_or_default()..)
                .unwrap_or_default();
            if String::from_utf8_lossy(new).contains("E0425") {
                shown = Some(begun.elapsed());
            }
            thread::sleep(Duration::from_millis(2));
        }
        thread::sleep(BETWEEN);
        let (_, broken) = asking.finish();
        Ok((times, asked, shown, broken))
    }
}

fn answers(address: std::net::SocketAddr, version: &str) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    while begun.elapsed() < LONGEST {
        if ask(address).is_ok_and(|answered| answered == version) {
            return Ok(begun.elapsed());
        }
        thread::sleep(Duration::from_millis(2));
    }
    anyhow::bail!("{version} did not answer within {LONGEST:?}")
}

/// Somebody who asks every 10 ms.
struct Asking {
    stop: std::sync::Arc<AtomicBool>,
    thread: thread::JoinHandle<(Duration, u64)>,
}

impl Asking {
    fn start(address: std::net::SocketAddr) -> Self {
        let stop = std::sync::Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let thread = thread::spawn(move || {
            let (mut longest, mut failed) = (Duration::ZERO, 0);
            while !told.load(Ordering::Relaxed) {
                let begun = Instant::now();
                match ask(address) {
                    Ok(_) => longest = longest.max(begun.elapsed()),
                    Err(_) => failed += 1,
                }
                thread::sleep(Duration::from_millis(10));
            }
            (longest, failed)
        });
        Self { stop, thread }
    }

    fn finish(self) -> (Duration, u64) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}
