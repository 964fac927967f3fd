//! Backend: who runs generations.

mod handle;
pub mod local;
pub mod systemd;

use std::collections::BTreeSet;
use std::future::Future;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use portkeep_spec::{Manager as Which, Readiness, Spec};

use crate::end::{Cause, End};
use crate::generation::{Generation, Phase, Running};
use crate::release_command::ReleaseCommand;
use crate::settle::HandleReset;
use crate::socket_use::Misuse;
use crate::user::RunsAs;

pub use handle::{HandleState, HandleUnit, JobResult};

/// How long a generation that failed to start may take to end. It was never READY, so it has nothing to finish.
pub(crate) const ABANDON_PATIENCE: Duration = Duration::from_secs(2);

/// Who is to blame for a generation that did not become READY.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// It exited, crashed or was not READY in time: the same release would do so again.
    Release,
    /// A prerequisite of the app's unit is missing: a file, a user. No release can be started, and none is to blame.
    Prerequisites,
    /// Somebody stopped it, or the manager could not do its part: this says nothing about the release.
    Circumstances,
}

/// Why a generation did not become READY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartFailure {
    /// One clause: `it exited with status 1`.
    pub reason: String,
    /// Why its process ended, if there was one.
    pub cause: Option<Cause>,
    /// The manager's message, if it names a file or a path.
    pub said: Option<String>,
    /// Whether the release is to blame.
    pub blame: Blame,
    /// The last lines it wrote, oldest first.
    pub log: Vec<String>,
}

impl StartFailure {
    /// The failure for an end before READY.
    #[must_use]
    pub fn of(end: &End, log: Vec<String>) -> Self {
        let cause = end.cause();
        let blame = match &cause {
            Cause::Setup(step) if !step.is_of_the_release() => Blame::Prerequisites,
            _ => Blame::Release,
        };
        Self {
            reason: cause.to_string(),
            cause: Some(cause),
            said: None,
            blame,
            log,
        }
    }

    /// A failure that says nothing about the release.
    #[must_use]
    pub fn by_circumstances(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            cause: None,
            said: None,
            blame: Blame::Circumstances,
            log: Vec::new(),
        }
    }

    /// The failure of a program that runs and uses its sockets wrongly.
    #[must_use]
    pub(crate) fn misuses(misuse: &Misuse) -> Self {
        Self {
            reason: misuse.to_string(),
            cause: None,
            blame: Blame::Release,
            said: None,
            log: Vec::new(),
        }
    }

    /// Separates the reason from the last lines.
    pub const LAST_LINES: &str = "; its last lines:";

    /// A reason from [`Self::describe`] in one line, without the last lines.
    #[must_use]
    pub fn first_clause(reason: &str) -> &str {
        let clause = reason.split(Self::LAST_LINES).next().unwrap_or_default();
        clause.lines().next().unwrap_or_default()
    }

    /// The reason, with the last lines below it.
    #[must_use]
    pub fn describe(&self) -> String {
        if self.log.is_empty() {
            return self.reason.clone();
        }
        let lines: String = self
            .log
            .iter()
            .map(|line| format!("\n  | {line}"))
            .collect();
        format!("{}{}{lines}", self.reason, Self::LAST_LINES)
    }
}

/// The manager could not be asked.
#[derive(Debug, thiserror::Error)]
#[error("{doing}")]
pub struct BackendError {
    /// The operation.
    pub doing: String,
    /// The cause.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl BackendError {
    /// The error of an operation.
    pub fn new(
        doing: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self {
            doing: doing.into(),
            source: source.into(),
        }
    }
}

/// Runs generations from the directories that the store prepared.
///
/// The promises, which one suite of tests checks on every backend:
/// - `start` answers only when the generation said READY, or is certain not to; it never answers later than the deadline.
/// - `drain` sends SIGTERM once, however often it is called, and answers at once; after the spec's `drainTimeout` what is
///   left is killed, and nothing is started again.
/// - `run_release_command` answers when the command has ended, at the latest after the spec's `releaseTimeout`, and leaves
///   nothing behind.
/// - `abandon` leaves no process of the generation behind.
/// - `running` tells the truth as it is now, whoever started them.
/// - A generation that crashes after READY is settled: started again with the same number after the spec's delay, or what
///   [`settle`](mod@crate::settle) decides.
pub trait Backend: Sync {
    /// Runs the release command that the store prepared for `generation`, and waits for its end. No process of it is left
    /// then. Never more than one of an app runs: one that a killed helper left behind ends first.
    fn run_release_command(
        &self,
        generation: Generation,
        command: &ReleaseCommand,
    ) -> impl Future<Output = Result<Result<(), StartFailure>, BackendError>> + Send;

    /// Ends the release command of `generation` early.
    fn end_release_command(
        &self,
        generation: Generation,
    ) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Starts `generation` and waits until it is READY, which `readiness` says how to see.
    fn start(
        &self,
        generation: Generation,
        readiness: Readiness,
        deadline: Instant,
    ) -> impl Future<Output = Result<Result<(), StartFailure>, BackendError>> + Send;

    /// Asks `generation` to finish its requests and to end.
    fn drain(
        &self,
        generation: Generation,
    ) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Ends a `generation` that failed to start, and forgets it.
    fn abandon(
        &self,
        generation: Generation,
    ) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Has a release that can serve replace a holding page by itself. Called before a page is started.
    fn keep_trying(&self) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Treats a change in one of these directories, and in no others, as a change of a secret.
    fn watch_secrets(
        &self,
        _directories: &BTreeSet<PathBuf>,
    ) -> impl Future<Output = Result<(), BackendError>> + Send {
        async { Ok(()) }
    }

    /// Settings of a generation other than its release and its spec, as a text that changes with them: its unit, with
    /// drop-ins.
    fn settings(&self) -> impl Future<Output = Result<String, BackendError>> + Send {
        async { Ok(String::new()) }
    }

    /// The manager whose journal gets the decisions; none if nobody reads one.
    fn journal(&self) -> Option<Which> {
        None
    }

    /// Nobody serves, and nothing else will change that: the next connection has to start a generation.
    fn nobody_serves(&self) -> impl Future<Output = Result<HandleReset, BackendError>> + Send;

    /// All generations that have processes or will have.
    fn running(&self) -> impl Future<Output = Result<Vec<Running>, BackendError>> + Send;

    /// The user of the app of `spec`: by default this process's.
    fn runs_as(&self, _spec: &Spec) -> RunsAs {
        RunsAs::Us
    }

    /// Whether `generation`, which was READY, still runs and is not ending. If the manager does not answer, it counts as
    /// alive: nothing is done about an unknown state.
    fn serves(&self, generation: Generation) -> impl Future<Output = bool> + Send {
        async move {
            let Ok(running) = self.running().await else {
                return true;
            };
            running
                .iter()
                .any(|one| one.generation == generation && one.phase == Phase::Serving)
        }
    }
}
