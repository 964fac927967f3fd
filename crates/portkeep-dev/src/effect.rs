//! Effects of an event.

use std::path::PathBuf;
use std::time::Duration;

use portkeep_contract::development::{Refusal, Understanding};
use portkeep_engine::{Digest, Generation};
use portkeep_spec::Address;

use super::change::Changed;
use super::event::{WaitId, Work};
use super::unread_lines::UnreadLines;
use super::verdict::Verdict;

/// One thing to do. Effects are carried out in order.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Show this notice.
    Tell(Notice),
    /// Take these lines of generations.
    Take(UnreadLines),
    /// Begin a build. The files that changed since the last one, if that is its reason.
    Build(Option<Vec<PathBuf>>),
    /// Begin the check with this index.
    Check(usize),
    /// Hand over to the built version.
    HandOver {
        /// The executable, if the builder named it.
        executable: Option<PathBuf>,
        /// Whether it is new: then superseded starts of another release are cancelled.
        work: Work,
    },
    /// Start the serving release again.
    StartAgain,
    /// Cancel the running build or check.
    Cancel,
    /// Let the running handover go on beside what is done next.
    Supersede,
    /// Watch these files as well, because a build read them.
    Watch(Vec<PathBuf>),
    /// Count the next write to a file as a change, whatever it writes.
    TakeAllAsNew,
    /// Begin the background build if it is due.
    BuildBehind,
    /// Open the app in the browser.
    OpenPage,
    /// Make a mark in the stream of file events.
    Mark(WaitId),
    /// Report the end of a round.
    EndRound(Verdict),
    /// Give this verdict to those who wait.
    Answer(Vec<WaitId>, Verdict),
    /// End the loop.
    End(Ending),
}

/// Why the loop ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The user wants it.
    Stopped,
    /// The app serves and goes on without this process.
    Detached,
    /// The app was to go on without this process, but does not serve.
    Failed,
    /// The project has changed so much that another session has to begin.
    Reopened,
}

/// A fact for the terminal.
#[derive(Debug, Clone)]
pub(crate) enum Notice {
    /// A fact about the project.
    Project(String),
    Open {
        address: String,
        holder: String,
    },
    Keys,
    BeginsWithDev,
    BuiltBehind,
    /// A build begins, because of these changed files.
    Building(Option<String>),
    Built(Duration),
    BuildFailed(Duration, Serving),
    Checking(String),
    CheckPassed(String, Duration),
    CheckFailed(String, Duration, Serving),
    CouldNot(String, Serving),
    Superseded(Serving),
    GivenUp,
    /// Files changed that need no build.
    Files(String, Changed),
    RewrittenFile(RewrittenFile),
    /// These files changed; they are built when the user presses the key.
    WaitsForKey(String),
    Serves {
        generation: Generation,
        ready: Duration,
        total: Duration,
    },
    /// The new version did not start, and the last good one serves.
    FellBack {
        generation: Generation,
        reason: String,
    },
    Unchanged(Work, Generation),
    /// Files changed that are no part of what runs, and nothing is built from them.
    NotOfRelease(String, Generation),
    KnownBad(Digest),
    NothingServes(Step, String),
    InMaintenance,
    DidNotTakeOver(String),
    /// An answer of the engine that this loop does not know.
    Answered(String),
    /// `--while-building hold` has no effect in this app.
    RequestsDoNotWait,
    Compressed(String),
    NotUnderstood(Understanding),
    Refused(Refusal, String),
    Line(Generation, String),
    LinesLost(u64),
    /// Addresses that the app opened itself.
    OpenedByApp(Vec<Address>),
    HoldsPort {
        generation: Generation,
        addresses: Vec<Address>,
        limit: Duration,
    },
    Gone(Generation, String),
    Rested(Generation),
    Restarted(Generation, String),
    Drained(Generation, String),
    Cut(Generation, String),
    Trouble(String),
    Level(Level),
    Detached,
    Stopping,
}

/// The generation that serves in the meantime.
pub(crate) type Serving = Option<Generation>;

/// A file that changes in each round.
#[derive(Debug, Clone)]
pub(crate) struct RewrittenFile {
    pub(crate) name: String,
    /// Number of rounds.
    pub(crate) rounds: usize,
    pub(crate) is_input: bool,
    /// Pattern that would ignore it.
    pub(crate) pattern: String,
}

/// How far the newest version has come while nothing serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// It is being built or checked.
    Making,
    /// The build or a check failed.
    NotMade,
    /// It starts or has started.
    Started,
}

/// Which lines of the app are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    All,
    Warnings,
    Errors,
}
