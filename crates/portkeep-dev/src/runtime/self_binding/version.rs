//! One started version of a self-binding app.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portkeep_engine::backend::{Blame, StartFailure};
use portkeep_engine::process::{Children, Descendants, Output, Process};
use portkeep_engine::{Generation, Listening, accepts, listening_at};
use portkeep_spec::{Spec, contract};
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::event::Event;
use crate::input::InputRelay;
use crate::unread_lines::UnreadLines;

/// Number of reported lines of a version that did not come up.
const TOLD: usize = 8;
/// Number of lines that are searched: a panic comes before its backtrace.
const KEPT: usize = 200;
/// Beginning of a panic.
const PANIC: &str = "panicked at ";
/// How long last lines are read after the end of a process: one that it started may keep the pipe open.
const LAST_LINES_DEADLINE: Duration = Duration::from_millis(100);
/// A version that was never up has nothing to finish.
const PATIENCE: Duration = Duration::from_secs(2);

/// A version that came up.
#[derive(Debug)]
pub(super) struct Version {
    pub(super) generation: Generation,
    pub(super) process: Process,
    /// The sockets that it listened on when it had come up.
    pub(super) sockets: Vec<Listening>,
}

/// What every version is started with.
#[derive(Debug)]
pub(super) struct Starting<'a> {
    pub(super) spec: &'a Spec,
    pub(super) environment: &'a BTreeMap<String, String>,
    pub(super) children: &'a Children,
    pub(super) unread: &'a UnreadLines,
    pub(super) events: &'a mpsc::UnboundedSender<Event>,
    pub(super) feed: Option<&'a InputRelay>,
    /// The runner; empty if the version is started directly.
    pub(super) runner: &'a [OsString],
}

type LastLines = Arc<Mutex<VecDeque<String>>>;

impl Starting<'_> {
    /// Starts `executable`, and waits until it accepts connections.
    pub(super) async fn start(
        &self,
        generation: Generation,
        executable: &Path,
    ) -> Result<Version, StartFailure> {
        let what = format!("generation {generation}");
        let mut command = self.command(executable);
        if let Some(feed) = self.feed {
            let input = feed.pipe().map_err(|error| {
                let reason = format!("cannot create a pipe for the input of {what}: {error}");
                StartFailure::by_circumstances(reason)
            })?;
            command.stdin(input);
        }
        let started = self.children.start(command, &what, Descendants::Killed);
        let started = started.map_err(|error| {
            StartFailure::by_circumstances(format!(
                "cannot start {}: {error}",
                executable.display()
            ))
        })?;
        let process = started.process;
        let last = LastLines::default();
        let output = Output::of(started.stdout, started.stderr);
        let follower = self.follow(generation, output, &last);
        let mut end = process.end();
        let came_up = tokio::select! {
            status = end.come() => Err(format!("it ended before it accepted connections ({})", told(status))),
            up = timeout(*self.spec.start_timeout, accepts(process.id())) => match up {
                Ok(true) => Ok(()),
                Ok(false) => Err("it ended before it accepted connections".to_owned()),
                Err(_) => Err(format!("it accepted no connection for {}", self.spec.start_timeout)),
            },
        };
        let Err(reason) = came_up else {
            let sockets = listening_at(process.id());
            return Ok(Version {
                generation,
                process,
                sockets,
            });
        };
        process.stop(PATIENCE).await;
        let _ = timeout(LAST_LINES_DEADLINE, follower).await;
        let last = std::mem::take(&mut *last.lock().unwrap_or_else(PoisonError::into_inner));
        Err(StartFailure {
            reason,
            cause: None,
            said: None,
            blame: Blame::Release,
            log: last.into(),
        })
    }

    fn command(&self, executable: &Path) -> Command {
        let mut words = self.runner.iter().map(OsString::as_os_str);
        let mut command = match words.next() {
            Some(runner) => {
                let mut command = Command::new(runner);
                command.args(words).arg(executable);
                command
            }
            None => Command::new(executable),
        };
        // As for any generation: these variables are about this process, or about sockets that the version does not get.
        for name in contract::NOT_INHERITED {
            command.env_remove(name);
        }
        command
            .args(self.spec.exec.iter().skip(1))
            .envs(self.environment)
            .envs(&self.spec.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(directory) = &self.spec.files_from {
            // An executable that runs where it was built has no captured release.
            command
                .current_dir(directory)
                .env(contract::PORTKEEP_RELEASE_DIR, directory);
        }
        if let Some(directory) = &self.spec.working_directory {
            command.current_dir(directory);
        }
        command
    }

    /// Reports and keeps its output until nobody has the other end.
    fn follow(
        &self,
        generation: Generation,
        mut output: Output,
        last: &LastLines,
    ) -> JoinHandle<()> {
        let (events, unread, last) = (self.events.clone(), self.unread.clone(), last.clone());
        tokio::spawn(async move {
            while let Some(line) = output.next().await {
                {
                    let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
                    if last.len() == KEPT {
                        last.pop_front();
                    }
                    last.push_back(line.clone());
                }
                if unread.add(generation, line)
                    && events.send(Event::UnreadLines(unread.clone())).is_err()
                {
                    break;
                }
            }
        })
    }
}

/// The lines that say why: from a panic on, else the last ones.
pub(super) fn telling(lines: &[String]) -> Vec<String> {
    let panic = lines.iter().rposition(|line| line.contains(PANIC));
    let from = panic.unwrap_or(lines.len().saturating_sub(TOLD));
    lines[from..].iter().take(TOLD).cloned().collect()
}

pub(super) fn told(status: Option<ExitStatus>) -> String {
    status.map_or_else(
        || "nobody knows how".to_owned(),
        |status| status.to_string(),
    )
}

/// Whether it was killed.
pub(super) fn is_cut(status: Option<ExitStatus>) -> bool {
    status.is_some_and(|status| status.signal() == Some(9))
}

/// A version that did not come up: the known reason, if there is one, and the lines that explain it.
pub(super) fn describe(failure: StartFailure, reason: Option<String>) -> String {
    let told = StartFailure {
        reason: reason.unwrap_or(failure.reason),
        log: telling(&failure.log),
        ..failure
    };
    told.describe()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_from_its_beginning() {
        let lines =
            |texts: &[&str]| -> Vec<_> { texts.iter().map(|one| (*one).to_owned()).collect() };
        let many: Vec<_> = (0..20).map(|line| line.to_string()).collect();
        assert_eq!(telling(&many), many[12..]);
        let mut panicked = lines(&["begins", "thread 'main' panicked at src/main.rs:1:2:", "no"]);
        panicked.extend(many);
        let told = telling(&panicked);
        assert_eq!((told.len(), &told[..2]), (TOLD, &panicked[1..3]));
        assert_eq!(telling(&[]), Vec::<String>::new());
    }
}
