//! Client of a `portkeep dev` that runs already, whichever backend it has.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use portkeep_contract::development::{Question, VERSION};
use portkeep_engine::{Directories, Place};
use portkeep_spec::AppName;
use serde::Deserialize;

use super::control::connect;
use super::pages;
use super::verdict::{Found, Verdict};

/// A running `portkeep dev` writes a line each second.
const SILENCE: Duration = Duration::from_secs(10);
/// How long a running `portkeep dev` may take to name its app.
const HELLO: Duration = Duration::from_secs(5);

/// Which running `portkeep dev` is asked.
#[derive(Debug, Clone)]
pub enum Choice {
    /// The one that runs this app.
    App(AppName),
    /// The one whose project is this directory or contains it.
    Project(PathBuf),
}

/// A running `portkeep dev`.
#[derive(Debug)]
struct Attached {
    app: String,
    project: PathBuf,
    socket: PathBuf,
}

#[derive(Debug, Deserialize)]
struct Hello {
    app: String,
    project: PathBuf,
}

/// Waits until what is saved at this moment serves or fails, at most for `limit` where there is one.
#[must_use]
pub fn wait(choice: &Choice, limit: Option<Duration>) -> Verdict {
    let mut attached = match find(choice) {
        Ok(attached) => attached,
        Err(error) => return Verdict::unknown(None, Found::NotRunning, format!("{error:#}")),
    };
    let until = limit.map(|limit| Instant::now() + limit);
    loop {
        let error = match ask(&attached, until) {
            Ok(Some(verdict)) => return verdict,
            Ok(None) => {
                let limit = limit.unwrap_or_default();
                let reason =
                    format!("what is saved is still built, checked or started after {limit:?}");
                return Verdict::unknown(Some(attached.app), Found::Late, reason);
            }
            Err(error) => error,
        };
        // The app may have another name now, or another backend: then it is asked elsewhere.
        match find(choice) {
            Ok(moved) if moved.socket != attached.socket => attached = moved,
            _ => {
                let reason = format!("{error:#}");
                return Verdict::unknown(Some(attached.app), Found::NotRunning, reason);
            }
        }
    }
}

/// The verdict; nothing if the time is over before there is one.
fn ask(attached: &Attached, until: Option<Instant>) -> anyhow::Result<Option<Verdict>> {
    let mut lines = question(&attached.socket, "wait now", SILENCE)?;
    loop {
        let rest = until.map(|until| until.saturating_duration_since(Instant::now()));
        if rest.is_some_and(|rest| rest.is_zero()) {
            return Ok(None);
        }
        let patience = rest.map_or(SILENCE, |rest| rest.min(SILENCE));
        lines.get_ref().set_read_timeout(Some(patience))?;
        let mut line = String::new();
        match lines.read_line(&mut line) {
            Ok(0) => bail!(
                "the `portkeep dev` of {} has ended; start it again with `portkeep dev`",
                attached.app
            ),
            Ok(_) if line.trim().is_empty() => {}
            Ok(_) => {
                return serde_json::from_str(&line)
                    .context("the verdict cannot be read")
                    .map(Some);
            }
            Err(error) if is_timeout(&error) => match until {
                Some(until) if until <= Instant::now() => return Ok(None),
                _ => bail!(
                    "the `portkeep dev` of {} does not answer; if it is stopped (Ctrl-Z), `fg` lets it go on",
                    attached.app
                ),
            },
            Err(error) => return Err(error.into()),
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

/// Sends a question. The caller reads the answer.
fn question(
    socket: &Path,
    what: &str,
    patience: Duration,
) -> anyhow::Result<BufReader<std::os::unix::net::UnixStream>> {
    let mut stream = connect(socket)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    writeln!(stream, "{}", Question::new(0, what))?;
    let mut lines = BufReader::new(stream);
    let mut head = String::new();
    lines.read_line(&mut head)?;
    if !head.starts_with("200 ") {
        bail!(
            "the `portkeep dev` at {} does not speak protocol version {VERSION}; start it again with this version of portkeep",
            socket.display()
        );
    }
    Ok(lines)
}

/// The running `portkeep dev` that `choice` means.
fn find(choice: &Choice) -> anyhow::Result<Attached> {
    let directory = match choice {
        Choice::App(_) => None,
        Choice::Project(directory) => Some(fs::canonicalize(directory).with_context(|| {
            format!(
                "cannot open the project {}; name a directory with --project DIR",
                directory.display()
            )
        })?),
    };
    let found = all().into_iter().filter(|one| match (choice, &directory) {
        (Choice::App(name), _) => one.app == name.as_str(),
        (_, Some(directory)) => directory.starts_with(&one.project),
        (_, None) => false,
    });
    let mut found: Vec<_> = found.collect();
    // The innermost project.
    let depth = |one: &Attached| one.project.components().count();
    let deepest = found.iter().map(depth).max().unwrap_or_default();
    found.retain(|one| depth(one) == deepest);
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => match (choice, directory) {
            (Choice::App(name), _) => {
                bail!("no `portkeep dev` runs {name}; start one with `portkeep dev`")
            }
            (_, directory) => bail!(
                "no `portkeep dev` runs for {}; start one there with `portkeep dev`",
                directory.unwrap_or_default().display()
            ),
        },
        _ => {
            let names: Vec<_> = found.iter().map(|one| one.app.as_str()).collect();
            bail!(
                "several run for this project: {}; name one with --app NAME",
                names.join(", ")
            )
        }
    }
}

/// All that run as this user.
fn all() -> Vec<Attached> {
    [Place::User, Place::Local]
        .into_iter()
        .filter_map(|place| Directories::all(place).ok())
        .filter_map(|directories| fs::read_dir(directories.run).ok())
        .flat_map(|entries| entries.flatten())
        .filter(|entry| {
            let name = entry.file_name();
            name.to_str()
                .is_some_and(|name| name.parse::<AppName>().is_ok())
        })
        .filter_map(|entry| attached(pages::socket_path(&entry.path())).ok())
        .collect()
}

fn attached(socket: PathBuf) -> anyhow::Result<Attached> {
    let mut lines = question(&socket, "attached now", HELLO)?;
    let mut line = String::new();
    lines.read_line(&mut line)?;
    let Hello { app, project } = serde_json::from_str(&line)?;
    Ok(Attached {
        app,
        project,
        socket,
    })
}
