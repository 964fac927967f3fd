//! Who holds the port and runs the app while it is developed.

mod activator;
mod bare;
mod lines;
mod local;
mod others;
mod output;
mod publish;
mod units;

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;

use anyhow::anyhow;
use portkeep_engine::store::{HandoverRecord, Store};
use portkeep_engine::{Generation, GiveUp, Outcome, drive};
use portkeep_spec::{AppName, Spec};
use tokio::sync::mpsc;

use super::project::Project;
use super::report::Report;
use super::terminal::Signals;
use crate::command::dev::{Args, BackendName};
use crate::control::Question;
use crate::exit::usage;

/// What a session has to say or to do.
#[derive(Debug)]
pub(crate) enum Event {
    /// The app wrote a line.
    Line(Generation, String),
    /// Something worth a line.
    Note(String),
    /// The app is gone, and nothing serves.
    Gone(Generation, String),
    /// The app has ended in good order, and nothing serves until somebody connects.
    Rested(Generation),
    /// Another command asks something.
    Asked(Question),
    /// The watched output changed, by somebody else's doing.
    Output,
    /// A handover ended that another program did.
    Recorded(HandoverRecord),
    /// A handover ended that this session did, but not for a build of ours.
    Ended(anyhow::Result<Outcome>),
}

/// How the end of a replaced generation is told: an app on the server library has said what it answered, moved and cut.
fn drained(generation: Generation, said: &str) -> Event {
    Event::Note(if said.starts_with("drained") {
        format!("generation {generation} {said}")
    } else {
        format!("generation {generation} finished and ended")
    })
}

/// The same, of one that was ended at its deadline.
fn cut(generation: Generation, said: &str) -> Event {
    let said = if said.is_empty() {
        String::new()
    } else {
        format!("; it said last: {said}")
    };
    Event::Note(format!(
        "generation {generation} did not finish in time and was ended{said}"
    ))
}

/// A handover under way; it does not borrow the session.
pub(crate) type HandingOver = Pin<Box<dyn Future<Output = anyhow::Result<Outcome>> + Send>>;

/// What is started directly ends when nobody waits for it.
fn unless(give_up: &GiveUp, handover: HandingOver) -> HandingOver {
    let give_up = give_up.clone();
    Box::pin(async move {
        tokio::select! {
            result = handover => result,
            () = give_up.asked() => Err(anyhow!("it was given up for a newer version")),
        }
    })
}

/// Either way of running.
pub(crate) enum Session {
    Bare(bare::BareSession),
    Local(local::LocalSession),
    Units(units::UnitSession),
}

impl Session {
    /// Opens the port. Nothing is left behind where that fails.
    pub(crate) async fn open(
        project: &Project,
        args: &Args,
        events: mpsc::UnboundedSender<Event>,
    ) -> anyhow::Result<Self> {
        use portkeep_engine::backend::systemd::Manager;
        use portkeep_spec::Manager as Which;

        if project.binds_itself {
            if args.detach || args.backend == BackendName::Systemd {
                return Err(usage(
                    "this app opens its port itself, so systemd cannot hold that: `portkeep::serve(app)` in place of \
                     `TcpListener::bind` and `axum::serve` (cargo add portkeep) lets it",
                ));
            }
            return Ok(Self::Bare(bare::BareSession::open(project, events)?));
        }
        if args.backend == BackendName::Local {
            return Self::local(project, args, events, "--backend local".to_owned());
        }
        match Manager::connect(Which::User).await {
            Ok(manager) => Ok(Self::Units(
                units::UnitSession::open(project, manager, events).await?,
            )),
            Err(error) if args.backend == BackendName::Systemd => Err(error.into()),
            Err(error) => Self::local(project, args, events, error.in_a_clause()),
        }
    }

    fn local(
        project: &Project,
        args: &Args,
        events: mpsc::UnboundedSender<Event>,
        why: String,
    ) -> anyhow::Result<Self> {
        if args.detach {
            return Err(usage(format!(
                "--detach needs a systemd user manager that runs on without us ({why})"
            )));
        }
        Ok(Self::Local(local::LocalSession::open(
            project, events, why,
        )?))
    }

    pub(crate) fn name(&self) -> &AppName {
        &self.spec().name
    }

    pub(crate) fn spec(&self) -> &Spec {
        match self {
            Self::Bare(session) => session.spec(),
            Self::Local(session) => session.spec(),
            Self::Units(session) => session.spec(),
        }
    }

    pub(crate) fn notices(&self) -> &[String] {
        match self {
            Self::Bare(session) => session.notices(),
            Self::Local(session) => session.notices(),
            Self::Units(session) => session.notices(),
        }
    }

    /// Who holds the port, for people.
    pub(crate) fn who_holds(&self) -> String {
        match self {
            Self::Bare(_) => "opened by the app itself, wherever it says".to_owned(),
            Self::Local(session) => session.who_holds(),
            Self::Units(session) => session.who_holds(),
        }
    }

    /// The generation that serves now.
    pub(crate) fn serves(&self) -> Option<Generation> {
        match self {
            Self::Bare(session) => session.serves(),
            Self::Local(session) => session.serves(),
            Self::Units(session) => session.serves(),
        }
    }

    /// Publishes what was built (where the builder named it) and starts to hand over. The start ends early if `give_up` is
    /// asked to.
    pub(crate) fn hand_over(
        &self,
        executable: Option<PathBuf>,
        give_up: &GiveUp,
    ) -> anyhow::Result<HandingOver> {
        Ok(match self {
            Self::Bare(session) => unless(give_up, session.hand_over(executable)?),
            Self::Local(session) => session.hand_over(executable, give_up)?,
            Self::Units(session) => session.hand_over(executable, give_up)?,
        })
    }

    /// Starts the release that serves once more, in a new generation.
    pub(crate) fn start_again(&self, give_up: &GiveUp) -> HandingOver {
        match self {
            Self::Bare(session) => unless(give_up, session.start_again()),
            Self::Local(session) => session.start_again(give_up),
            Self::Units(session) => session.start_again(give_up),
        }
    }

    /// Whether what is published now is not what the last handover looked at.
    pub(crate) fn has_other_release(&self) -> bool {
        match self {
            // Nothing is published: what was built is taken from where it is.
            Self::Bare(_) => true,
            Self::Local(_) | Self::Units(_) => drive::has_changed(self.store(), self.spec()),
        }
    }

    /// Where what is known of the app is kept.
    pub(crate) fn store(&self) -> &Store {
        match self {
            Self::Bare(session) => session.store(),
            Self::Local(session) => session.store(),
            Self::Units(session) => session.store(),
        }
    }

    /// Sees to an event. Nothing is waited for: what takes time is started, and tells of its end by another event.
    pub(crate) fn on_event(&self, event: Event, report: &Report) {
        report.session_event(&event);
        if let Self::Local(session) = self {
            session.on_event(event);
        }
    }

    /// Ends all that was started and removes all that was placed; a second signal ends what still drains.
    pub(crate) async fn close(
        self,
        report: &Report,
        signals: &mut Signals,
        events: &mut mpsc::UnboundedReceiver<Event>,
    ) -> anyhow::Result<()> {
        match self {
            Self::Bare(session) => session.close().await,
            Self::Local(session) => session.close(report, signals, events).await,
            Self::Units(session) => session.close(signals).await,
        }
    }

    /// Leaves everything as it is.
    pub(crate) fn detach(self) {
        if let Self::Units(session) = self {
            session.detach();
        }
    }
}
