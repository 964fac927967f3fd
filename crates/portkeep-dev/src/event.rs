//! Events: changes of sources, ends of builds and checks, news of generations, and keys at the terminal.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use portkeep_contract::development::{Refusal, Understanding};
use portkeep_engine::handover::HandoverId;
use portkeep_engine::store::HandoverRecord;
use portkeep_engine::{Generation, Outcome};
use portkeep_spec::Address;

use super::change::Change;
use super::diagnostics::Part;
use super::unread_lines::UnreadLines;

/// One thing that happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// The port is open, where somebody holds it for the app: everything may begin.
    Opened(Opened),
    /// These files changed.
    Changed(Vec<Change>),
    /// The build under way ended.
    BuildEnded(Built),
    /// The check under way ended.
    CheckEnded(Checked),
    /// The handover that was asked for has this identity.
    HandoverBegun(HandoverId),
    /// That handover ended.
    HandoverEnded(HandoverEnd),
    /// A handover ended that newer sources had overtaken.
    SupersededEnded(anyhow::Result<Outcome>),
    /// The start that newer sources had overtaken was given up, as it was asked to.
    GivenUp,
    /// What was asked for could not be begun, or not be carried on.
    CouldNot(anyhow::Error),
    /// The build behind the others ended.
    BuiltBehind {
        is_good: bool,
    },
    /// What the session tells.
    Session(SessionEvent),
    /// Generations wrote lines. Whoever hears of it takes them, and hands them on one by one.
    UnreadLines(UnreadLines),
    /// An app sent a page compressed though it was asked for a plain one. The path of the page.
    Compressed(String),
    /// The library of the app speaks another version of the protocol.
    NotUnderstood(Understanding),
    /// Pages get no script: of this host, or of this path where it is for their policy.
    Refused(Refusal, String),
    /// Somebody waits until what is saved serves.
    Waits(WaitId),
    /// All was seen that was saved before the mark of this one was made.
    Marked(WaitId),
    /// No page could be opened.
    NotOpened(anyhow::Error),
    Key(Key),
    /// This process was told to end.
    Stop,
}

/// Whoever waits until what is saved serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct WaitId(pub(crate) u64);

/// What a session tells of the generations that it runs.
#[derive(Debug)]
pub(crate) enum SessionEvent {
    /// A generation wrote a line.
    Line(Generation, String),
    /// So many lines were not kept: more were written than could be shown.
    LinesLost(u64),
    /// The app has come up, and opened these itself.
    Opened(Vec<Address>),
    /// A generation is to end, and still listens where the next one will: so long at most.
    HoldsPort {
        generation: Generation,
        addresses: Vec<Address>,
        limit: Duration,
    },
    /// A generation is gone, and nothing serves. Why.
    Gone(Generation, String),
    /// A generation has ended in good order, and nothing serves until somebody connects.
    Rested(Generation),
    /// A generation is started again. Why.
    Restarted(Generation, String),
    /// A replaced generation ended. What it said last.
    Drained(Generation, String),
    /// A replaced generation was ended at its deadline. What it said last.
    Cut(Generation, String),
    /// The history has a new handover.
    Recorded(HandoverRecord),
    /// A handover ended that this process did, but not for a build of this loop.
    Ended(anyhow::Result<Outcome>),
    /// Something is wrong that does not end the session.
    Trouble(String),
}

/// What is told at the beginning.
#[derive(Debug, Clone, Default)]
pub(crate) struct Opened {
    /// What was found out of the project, and is worth a line.
    pub(crate) notices: Vec<String>,
    /// Where the app is reached, where somebody holds the port for it.
    pub(crate) addresses: Vec<String>,
    /// Who holds the port.
    pub(crate) holder: String,
    /// The keys of the terminal are heard.
    pub(crate) has_keys: bool,
    /// The first builds use cargo's profile `dev`.
    pub(crate) begins_with_dev: bool,
}

/// How a build ended.
#[derive(Debug)]
pub(crate) enum Built {
    /// With an executable, where the builder names it.
    Good {
        executable: Option<PathBuf>,
        took: Duration,
        work: Work,
        /// The files that the executable was made of, where the builder names them.
        inputs: Vec<PathBuf>,
    },
    /// With errors, which are on the terminal.
    Bad { took: Duration, parts: Vec<Part> },
}

/// Whether a build did anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// All it would have made was there.
    Nothing,
    /// It made something, or does not tell.
    Something,
}

/// How a check ended.
#[derive(Debug)]
pub(crate) enum Checked {
    Passed(Duration),
    /// With what it said.
    Failed(Duration, String),
}

/// How the handover ended that was asked for.
#[derive(Debug)]
pub(crate) struct HandoverEnd {
    pub(crate) result: anyhow::Result<Outcome>,
    /// Whether requests wait for builds in the generation that serves now.
    pub(crate) requests_wait: bool,
}

/// What a key of the terminal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    /// Start the app again.
    Reload,
    /// Build.
    Rebuild,
    /// Open the app in the browser.
    Open,
    /// Show more or less of what the app writes.
    Level,
    Quit,
    Help,
}

/// The moment of an event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    pub(crate) at: Instant,
    /// Milliseconds since 1970: pages count by the same clock.
    pub(crate) milliseconds: u128,
    /// The generation that serves.
    pub(crate) serves: Option<Generation>,
}
