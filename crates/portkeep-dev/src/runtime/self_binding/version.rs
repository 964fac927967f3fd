//! One started version of a self-binding app.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portkeep_engine::backend::{Blame, StartFailure};
use portkeep_engine::process::{Children, Descendants, LastLines, Output, Process, telling};
use portkeep_engine::{Generation, Listening, accepts, listening_at};
use portkeep_spec::{Spec, contract};
use tokio::process::Command;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::input::InputRelay;
use crate::unread_lines::UnreadLines;

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
    pub(super) feed: Option<&'a InputRelay>,
    /// The runner; empty if the version is started directly.
    pub(super) runner: &'a [OsString],
}

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
        let last = Arc::new(Mutex::new(LastLines::default()));
        let output = Output::of(started.stdout, started.stderr);
        let finish = output.when_it_ends();
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
        // Something it started may have kept the other side open.
        finish.finish();
        let _ = follower.await;
        let last = last.lock().unwrap_or_else(PoisonError::into_inner);
        Err(StartFailure {
            reason,
            cause: None,
            said: None,
            blame: Blame::Release,
            log: last.all(),
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
        last: &Arc<Mutex<LastLines>>,
    ) -> JoinHandle<()> {
        let (unread, last) = (self.unread.clone(), last.clone());
        tokio::spawn(async move {
            while let Some(line) = output.next().await {
                let lost = output.lost();
                if lost > 0 {
                    unread.lose(lost);
                }
                last.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .hear(&line);
                if !unread.add(generation, line) {
                    break;
                }
            }
        })
    }
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
