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

/// One thing to do. They are done in their order.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Show this.
    Tell(Notice),
    /// Take these lines of generations.
    Take(UnreadLines),
    /// Begin to build. What changed since the build before, where that is why.
    Build(Option<Vec<PathBuf>>),
    /// Begin the check of this number.
    Check(usize),
    /// Hand over to what was built.
    HandOver {
        /// Where the builder named it.
        executable: Option<PathBuf>,
        /// It is new: starts that were overtaken are given up, where they are of another release.
        work: Work,
    },
    /// Start what serves once more.
    StartAgain,
    /// End the build or the check under way.
    Cancel,
    /// Let the handover under way go on beside what is done next.
    Supersede,
    /// Watch these files too: a build looked at them.
    Watch(Vec<PathBuf>),
    /// The next write to a file counts, whatever it writes.
    TakeAllAsNew,
    /// Begin the build behind the others, if it is due.
    BuildBehind,
    /// Open the app in the browser.
    OpenPage,
    /// Make a mark in what is seen of the files.
    Mark(WaitId),
    /// A round has ended.
    EndRound(Verdict),
    /// Tell this to those who wait.
    Answer(Vec<WaitId>, Verdict),
    /// End the loop.
    End(Ending),
}

/// Why the loop ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The user wants it.
    Stopped,
    /// The app serves, and is to go on without this process.
    Detached,
    /// It was to go on without this process, but does not serve.
    Failed,
    /// The project is another one by now: it is developed on, in another session.
    Reopened,
}

/// A fact for the terminal.
#[derive(Debug, Clone)]
pub(crate) enum Notice {
    /// What was found out of the project.
    Project(String),
    Open {
        address: String,
        holder: String,
    },
    Keys,
    BeginsWithDev,
    BuiltBehind,
    /// A build begins; of which changed files.
    Building(Option<String>),
    Built(Duration),
    BuildFailed(Duration, Serving),
    Checking(String),
    CheckPassed(String, Duration),
    CheckFailed(String, Duration, Serving),
    CouldNot(String, Serving),
    Superseded(Serving),
    GivenUp,
    /// Files changed that no build is needed for.
    Files(String, Changed),
    RewrittenFile(RewrittenFile),
    /// These changed, and are built when the key for it is pressed.
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
    /// Files changed that are no part of what runs, where nothing is built of them.
    NotOfRelease(String, Generation),
    KnownBad(Digest),
    NothingServes(Step, String),
    InMaintenance,
    DidNotTakeOver(String),
    /// What this version of the engine can answer and this loop does not know.
    Answered(String),
    /// `--while-building hold` does nothing in this app.
    RequestsDoNotWait,
    Compressed(String),
    NotUnderstood(Understanding),
    Refused(Refusal, String),
    Line(Generation, String),
    LinesLost(u64),
    /// Where the app has opened its port itself.
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

/// The generation that serves meanwhile.
pub(crate) type Serving = Option<Generation>;

/// A file that changes in each round.
#[derive(Debug, Clone)]
pub(crate) struct RewrittenFile {
    pub(crate) name: String,
    /// In so many rounds.
    pub(crate) rounds: usize,
    pub(crate) is_input: bool,
    /// What would ignore it.
    pub(crate) pattern: String,
}

/// How far the newest version has come, where nothing serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// It is built and checked.
    Making,
    /// It cannot be built, or a check failed.
    NotMade,
    /// It is started, or has been.
    Started,
}

/// Which of the app's lines are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    All,
    Warnings,
    Errors,
}
