//! Sessions: who holds the port and runs the app under development.

mod activator;
mod control;
mod dotenv;
mod environment;
mod handing_over;
mod history;
mod journal;
mod leftovers;
mod lines;
mod local;
mod lock;
mod outputs;
mod publish;
mod self_binding;
mod systemd;
mod units;
mod version_names;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use portkeep_engine::handover::HandoverId;
use portkeep_engine::process::Children;
use portkeep_engine::store::Store;
use portkeep_engine::{Cancel, Generation, Misuse, execute};
use portkeep_spec::{AppName, Spec};
use tokio::sync::mpsc;

use self::handing_over::unless;
use super::event::Event;
use super::host::Host;
use super::input::InputRelay;
use super::options::{Backend, Options};
use super::pages;
use super::project::{Project, url, url_of_app};
use super::terminal::Signals;
use super::usage::usage;

pub(crate) use self::handing_over::HandingOver;

/// A session of one of the backends.
#[derive(Debug)]
pub(crate) enum Session {
    SelfBinding(self_binding::SelfBindingSession),
    Local(local::LocalSession),
    Systemd(systemd::SystemdSession),
}

impl Session {
    /// Prepares a session, which nobody but this process sees. If this fails or is dropped, nothing is left behind.
    pub(crate) async fn prepare(
        project: &Project,
        options: &Options,
        host: Arc<dyn Host>,
        (events, feed): (mpsc::UnboundedSender<Event>, Option<InputRelay>),
    ) -> anyhow::Result<Self> {
        use portkeep_engine::backend::systemd::Manager;
        use portkeep_spec::Manager as Which;

        if project.binds_itself {
            if options.detaches || options.backend == Backend::Systemd {
                return Err(usage(
                    "this app opens its port itself, so systemd cannot hold that: `portkeep::serve(app)` in place of \
                     `TcpListener::bind` and `axum::serve` (cargo add portkeep) lets it",
                ));
            }
            let session = self_binding::SelfBindingSession::open(project, host, events, feed);
            return Ok(Self::SelfBinding(session.await?));
        }
        if options.backend == Backend::Local {
            let why = "--backend local".to_owned();
            return Self::local(project, options, host, (events, feed), why).await;
        }
        if feed.is_some() {
            if options.backend == Backend::Systemd {
                return Err(usage(
                    "--stdin: systemd gives its units no input of ours; use --backend local",
                ));
            }
            let why = "--stdin".to_owned();
            return Self::local(project, options, host, (events, feed), why).await;
        }
        match Manager::connect(Which::User).await {
            Ok(manager) => {
                let session =
                    systemd::SystemdSession::prepare(project, options, host, manager, events);
                Ok(Self::Systemd(session.await?))
            }
            Err(error) if options.backend == Backend::Systemd => Err(error.into()),
            Err(error) => {
                let why = error.in_a_clause();
                Self::local(project, options, host, (events, feed), why).await
            }
        }
    }

    /// Opens the port, if that is not done yet. If this fails or is dropped, the session has to be closed.
    pub(crate) async fn begin(&self) -> anyhow::Result<()> {
        match self {
            Self::SelfBinding(_) | Self::Local(_) => Ok(()),
            Self::Systemd(session) => session.begin().await,
        }
    }

    async fn local(
        project: &Project,
        options: &Options,
        host: Arc<dyn Host>,
        (events, feed): (mpsc::UnboundedSender<Event>, Option<InputRelay>),
        why: String,
    ) -> anyhow::Result<Self> {
        if options.detaches {
            return Err(usage(format!(
                "--detach needs a systemd user manager that runs on without us ({why})"
            )));
        }
        let session = local::LocalSession::open(project, host, (events, feed), why);
        Ok(Self::Local(session.await?))
    }

    pub(crate) fn name(&self) -> &AppName {
        &self.spec().name
    }

    pub(crate) fn spec(&self) -> &Spec {
        match self {
            Self::SelfBinding(session) => session.spec(),
            Self::Local(session) => session.spec(),
            Self::Systemd(session) => session.spec(),
        }
    }

    pub(crate) fn notices(&self) -> &[String] {
        match self {
            Self::SelfBinding(session) => session.notices(),
            Self::Local(session) => session.notices(),
            Self::Systemd(session) => session.notices(),
        }
    }

    /// The owner of the port, for people; nobody if the app opens it itself.
    pub(crate) fn who_holds(&self) -> Option<String> {
        match self {
            Self::SelfBinding(_) => None,
            Self::Local(session) => Some(session.who_holds()),
            Self::Systemd(session) => Some(session.who_holds()),
        }
    }

    /// The generation that serves now.
    pub(crate) fn serves(&self) -> Option<Generation> {
        match self {
            Self::SelfBinding(session) => session.serves(),
            Self::Local(session) => session.serves(),
            Self::Systemd(session) => session.serves(),
        }
    }

    /// Publishes the built version (if the builder named its executable) and starts the handover `id`. `cancel` ends the
    /// start early.
    pub(crate) fn hand_over(
        &self,
        executable: Option<PathBuf>,
        id: &HandoverId,
        cancel: &Cancel,
    ) -> anyhow::Result<HandingOver> {
        Ok(match self {
            Self::SelfBinding(session) => unless(cancel, session.hand_over(executable, id)?),
            Self::Local(session) => session.hand_over(executable, id, cancel)?,
            Self::Systemd(session) => session.hand_over(executable, id, cancel)?,
        })
    }

    /// Starts the serving release again, in a new generation.
    pub(crate) fn start_again(&self, id: &HandoverId, cancel: &Cancel) -> HandingOver {
        match self {
            Self::SelfBinding(session) => unless(cancel, session.start_again(id)),
            Self::Local(session) => session.start_again(id, cancel),
            Self::Systemd(session) => session.start_again(id, cancel),
        }
    }

    /// Whether the published release differs from the one that the last handover looked at.
    pub(crate) fn has_other_release(&self) -> bool {
        match self {
            // Nothing is published: the executable is taken from where it was built.
            Self::SelfBinding(_) => true,
            Self::Local(_) | Self::Systemd(_) => execute::has_changed(self.store(), self.spec()),
        }
    }

    /// The app's store.
    pub(crate) fn store(&self) -> &Store {
        match self {
            Self::SelfBinding(session) => session.store(),
            Self::Local(session) => session.store(),
            Self::Systemd(session) => session.store(),
        }
    }

    /// Where the processes of this session are recorded, including builds and checks.
    pub(crate) fn children(&self) -> Children {
        Children::of(self.store())
    }

    /// Later starts get the environment that `project` gives now. Returns notices.
    pub(crate) fn set_environment(&self, project: &Project) -> anyhow::Result<Vec<String>> {
        let mut notices = Vec::new();
        let socket = pages::socket_path(self.store().run_directory());
        let environment = environment::of_generations(project, &socket, &mut notices);
        match self {
            Self::SelfBinding(session) => session.set_environment(environment),
            Self::Local(_) | Self::Systemd(_) => self
                .store()
                .set_base_environment(&environment)
                .context("the environment of the app cannot be written")?,
        }
        Ok(notices)
    }

    /// How the program of the last failed start handled its sockets, if that was seen; once.
    pub(crate) fn take_misuse(&self) -> Option<Misuse> {
        match self {
            Self::SelfBinding(_) => None,
            Self::Local(session) => session.take_misuse(),
            Self::Systemd(session) => session.take_misuse(),
        }
    }

    /// What a browser opens.
    pub(crate) fn url(&self) -> Option<String> {
        match self {
            Self::SelfBinding(session) => session.addresses().first().map(url_of_app),
            Self::Local(_) | Self::Systemd(_) => self.spec().listen.first().map(url),
        }
    }

    /// Ends all that it started and removes all that it placed; a second signal kills draining generations.
    pub(crate) async fn close(self, signals: &mut Signals) -> anyhow::Result<()> {
        match self {
            Self::SelfBinding(session) => session.close(signals).await,
            Self::Local(session) => session.close(signals).await,
            Self::Systemd(session) => session.close(signals).await,
        }
    }

    /// Leaves everything as it is.
    pub(crate) fn detach(self) {
        if let Self::Systemd(session) = self {
            session.detach();
        }
    }
}
