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
    /// The port is open, if portkeep holds it for the app: the first round may begin.
    Opened(Opened),
    /// These files changed.
    Changed(Vec<Change>),
    /// The build under way ended.
    BuildEnded(Built),
    /// The check under way ended.
    CheckEnded(Checked),
    /// The requested handover has this identity.
    HandoverBegun(HandoverId),
    /// The requested handover ended.
    HandoverEnded(HandoverEnd),
    /// A handover ended that newer sources had superseded.
    SupersededEnded(anyhow::Result<Outcome>),
    /// A superseded start was cancelled, as requested.
    GivenUp,
    /// Something requested could not be begun or continued.
    CouldNot(anyhow::Error),
    /// The background build ended.
    BuiltBehind {
        is_good: bool,
    },
    /// A session reports this.
    Session(SessionEvent),
    /// Generations wrote lines. The receiver takes them and passes them on one by one.
    UnreadLines(UnreadLines),
    /// An app sent a page compressed although a plain one was requested. The path of the page.
    Compressed(String),
    /// The app's library speaks another version of the protocol.
    NotUnderstood(Understanding),
    /// Pages of this host get no script, or pages at this path, because of their policy.
    Refused(Refusal, String),
    /// A command waits until the saved sources serve.
    Waits(WaitId),
    /// All saves before this command's mark have been seen.
    Marked(WaitId),
    /// No page could be opened.
    NotOpened(anyhow::Error),
    Key(Key),
    /// A signal told this process to end.
    Stop,
}

/// A command that waits until the saved sources serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct WaitId(pub(crate) u64);

/// Reports of a session about its generations.
#[derive(Debug)]
pub(crate) enum SessionEvent {
    /// A generation wrote a line.
    Line(Generation, String),
    /// So many lines were dropped: generations wrote more than could be shown.
    LinesLost(u64),
    /// The app has come up, and opened these addresses itself.
    Opened(Vec<Address>),
    /// A generation is ending and still listens where the next one will, at most for this long.
    HoldsPort {
        generation: Generation,
        addresses: Vec<Address>,
        limit: Duration,
    },
    /// A generation is gone, and nothing serves. The reason.
    Gone(Generation, String),
    /// A generation ended when it was idle, and nothing serves until the next connection.
    Rested(Generation),
    /// A generation is started again. The reason.
    Restarted(Generation, String),
    /// A replaced generation ended. Its last status.
    Drained(Generation, String),
    /// A replaced generation was killed at its deadline. Its last status.
    Cut(Generation, String),
    /// The history has a new handover.
    Recorded(HandoverRecord),
    /// A handover by this process ended that was not for a build of this loop.
    Ended(anyhow::Result<Outcome>),
    /// A problem that does not end the session.
    Trouble(String),
}

/// Facts at the beginning of a session.
#[derive(Debug, Clone, Default)]
pub(crate) struct Opened {
    /// Facts about the project that are worth a line.
    pub(crate) notices: Vec<String>,
    /// Addresses of the app, if portkeep holds its port.
    pub(crate) addresses: Vec<String>,
    /// Who holds the port.
    pub(crate) holder: String,
    /// The terminal's keys are read.
    pub(crate) has_keys: bool,
    /// The first builds use cargo's profile `dev`.
    pub(crate) begins_with_dev: bool,
}

/// How a build ended.
#[derive(Debug)]
pub(crate) enum Built {
    /// With an executable, if the builder names it.
    Good {
        executable: Option<PathBuf>,
        took: Duration,
        work: Work,
        /// The files that the executable was made from, if the builder names them.
        inputs: Vec<PathBuf>,
    },
    /// With errors, which the terminal shows.
    Bad { took: Duration, parts: Vec<Part> },
}

/// Whether a build made anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Everything was up to date.
    Nothing,
    /// It made something, or does not say.
    Something,
}

/// How a check ended.
#[derive(Debug)]
pub(crate) enum Checked {
    Passed(Duration),
    /// With this output.
    Failed(Duration, String),
}

/// How the requested handover ended.
#[derive(Debug)]
pub(crate) struct HandoverEnd {
    pub(crate) result: anyhow::Result<Outcome>,
    /// Whether requests wait for builds in the generation that serves now.
    pub(crate) requests_wait: bool,
}

/// A key of the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    /// Start the app again.
    Reload,
    /// Build.
    Rebuild,
    /// Open the app in the browser.
    Open,
    /// Show more or fewer lines of the app.
    Level,
    Quit,
    Help,
}

/// The moment of an event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    pub(crate) at: Instant,
    /// Milliseconds since 1970: pages use the same clock.
    pub(crate) milliseconds: u128,
    /// The generation that serves.
    pub(crate) serves: Option<Generation>,
}
