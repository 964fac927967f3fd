//! Local session: `portkeep dev` holds the port and runs the generations itself.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use notify::RecommendedWatcher;
use portkeep_engine::backend::local::{Input, Listener, Local, LocalEvent, Sockets};
use portkeep_engine::handover::{HandoverId, Purpose, Unchanged};
use portkeep_engine::helper::holding_page;
use portkeep_engine::{Cancel, Generation, Handovers, Misuse, Place, Request, Store, execute};
use portkeep_spec::Spec;
use tokio::sync::mpsc;

use super::activator::Activator;
use super::control::ControlServer;
use super::handing_over::HandingOver;
use super::lines::Lines;
use super::lock::DevLock;
use super::publish::Published;
use super::{environment, leftovers, outputs};
use crate::control::Control;
use crate::event::{Event, SessionEvent};
use crate::host::Host;
use crate::input::InputRelay;
use crate::pages;
use crate::project::Project;
use crate::terminal::Signals;
use crate::unread_lines::UnreadLines;

/// The pause before a start after a generation that ended when it was idle.
const BREATH: Duration = Duration::from_millis(20);

/// How long connections wait for the first build before a page answers them.
const FIRST_BUILD: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(crate) struct LocalSession {
    local: Local,
    handovers: Handovers,
    store: Store,
    spec: Spec,
    published: Published,
    notices: Vec<String>,
    why: String,
    /// Notices builds in other terminals, if the spec watches its output.
    _output_watcher: Option<RecommendedWatcher>,
    control: tokio::task::JoinHandle<()>,
    /// Ends with the session.
    activator: Arc<Activator>,
    _lock: DevLock,
}

impl LocalSession {
    pub(super) async fn open(
        project: &Project,
        host: Arc<dyn Host>,
        (events, feed): (mpsc::UnboundedSender<Event>, Option<InputRelay>),
        why: String,
    ) -> anyhow::Result<Self> {
        let mut spec = project.spec.clone();
        let mut notices = project.notices.clone();
        let store = host.store(&spec.name, Place::Local)?;
        let lock = DevLock::take(store.run_directory(), spec.name.as_str())?;
        notices.extend(leftovers::end(&store).await);
        store.clear_current()?;
        let published = Published::prepare(project, &store, &mut spec, false)?;
        let sockets =
            Sockets::bind(&spec.listen).map_err(|error| match host.port_owner(&error.address) {
                Some(owner) => anyhow!("{} is held by {owner}", error.address),
                None => anyhow::Error::new(error),
            })?;
        store.set_base_environment(&environment::of_generations(
            project,
            &pages::socket_path(store.run_directory()),
            &mut notices,
        ))?;
        let (sender, from_local) = mpsc::unbounded_channel();
        let lines = Lines::default();
        let listener = listener(lines.clone(), sender, events.clone());
        let local = Local::new(store.clone(), spec.clone(), sockets, listener);
        if let Some(feed) = feed {
            local.read_from(Input::of(move || feed.pipe()));
        }
        if let Some(runner) = &project.runner {
            notices.push(runner.told_of_sockets());
            local.run_with(runner.words());
        }
        let handovers = Handovers::start(Arc::new(local.clone()), store.clone());
        let server = ControlServer {
            local: local.clone(),
            handovers: handovers.clone(),
            store: store.clone(),
            spec: spec.clone(),
            lines,
            host,
            events: events.clone(),
        };
        let activator = Arc::new(Activator::new(&server));
        tokio::spawn(forward(from_local, Arc::downgrade(&activator), events));
        let output_watcher = match (&published, &spec.watch) {
            (Published::BySpec, Some(output)) => {
                let watched = outputs::watch(output, deploys(&server));
                if let Err(error) = &watched {
                    notices.push(format!(
                        "{} is not watched ({error:#}): a build in another terminal is served after `portkeep reload {}`",
                        output.display(),
                        spec.name
                    ));
                }
                watched.ok()
            }
            _ => None,
        };
        let control = tokio::spawn(server.serve(Control::listen(&spec.name)?));
        // A page tells clients about a long first build.
        activator.after(FIRST_BUILD);
        Ok(Self {
            local,
            handovers,
            store,
            spec,
            published,
            notices,
            why,
            _output_watcher: output_watcher,
            control,
            activator,
            _lock: lock,
        })
    }

    pub(super) fn spec(&self) -> &Spec {
        &self.spec
    }

    pub(super) fn notices(&self) -> &[String] {
        &self.notices
    }

    pub(super) fn who_holds(&self) -> String {
        format!("held by this process ({})", self.why)
    }

    pub(super) fn serves(&self) -> Option<Generation> {
        self.store.current_app()
    }

    pub(super) fn hand_over(
        &self,
        executable: Option<PathBuf>,
        id: &HandoverId,
        cancel: &Cancel,
    ) -> anyhow::Result<HandingOver> {
        let request = self.request(id, cancel);
        let replaced = self.published.publish(executable.as_deref())?;
        Ok(replaced.dropped_after(self.start(request)))
    }

    fn request(&self, id: &HandoverId, cancel: &Cancel) -> Request {
        Request::now(Purpose::Reload)
            .called(id.clone())
            .or_holding_page(holding_page(&self.spec))
            .unless(cancel)
    }

    pub(super) fn start_again(&self, id: &HandoverId, cancel: &Cancel) -> HandingOver {
        self.start(Request {
            unchanged: Unchanged::IsStarted,
            ..self.request(id, cancel)
        })
    }

    pub(super) fn take_misuse(&self) -> Option<Misuse> {
        self.local.take_misuse()
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    fn start(&self, request: Request) -> HandingOver {
        let asked = self.handovers.ask(self.spec.clone(), request);
        Box::pin(async move { Ok(asked.await?) })
    }

    pub(super) async fn close(self, signals: &mut Signals) -> anyhow::Result<()> {
        self.control.abort();
        self.activator.end();
        let (local, handovers) = (self.local.clone(), self.handovers.clone());
        let mut stopping = std::pin::pin!(async {
            // First, so that nothing new is started.
            handovers.close().await;
            local.stop_all().await;
        });
        loop {
            tokio::select! {
                () = &mut stopping => break,
                () = signals.stop_at_once() => self.local.kill_all(),
            }
        }
        // Others may still have a clone, and another session may follow.
        self.local.close_sockets();
        self.published.remove();
        leftovers::remove(&self.store)
    }
}

/// Hands over when the output changes. One write is many events, and our own build writes there as well.
fn deploys(server: &ControlServer) -> impl Fn() + Send + 'static {
    let (server, runtime) = (server.clone(), tokio::runtime::Handle::current());
    move || {
        if !execute::has_changed(&server.store, &server.spec) {
            return;
        }
        let page = holding_page(&server.spec);
        let request = Request::now(Purpose::Deploy).or_holding_page(page);
        if let Some(asked) = server.handovers.ask_to_deploy(&server.spec, request) {
            let events = server.events.clone();
            runtime.spawn(async move {
                let result = asked.await.map_err(Into::into);
                let _ = events.send(Event::Session(SessionEvent::Ended(result)));
            });
        }
    }
}

/// Takes lines where they are written, so that no unbounded number waits. Other events are rare.
fn listener(
    lines: Lines,
    seldom: mpsc::UnboundedSender<LocalEvent>,
    events: mpsc::UnboundedSender<Event>,
) -> Listener {
    let unread = UnreadLines::new(move |unread| events.send(Event::UnreadLines(unread)).is_ok());
    Listener::new(move |event| match event {
        LocalEvent::Line(generation, line) => {
            lines.push(generation, &line);
            unread.add(generation, line);
        }
        LocalEvent::LinesLost(_, count) => {
            unread.lose(count);
        }
        event => {
            let _ = seldom.send(event);
        }
    })
}

/// Forwards the backend's events, and has an ended app started again for the next connection.
async fn forward(
    mut from_local: mpsc::UnboundedReceiver<LocalEvent>,
    activator: std::sync::Weak<Activator>,
    events: mpsc::UnboundedSender<Event>,
) {
    while let Some(event) = from_local.recv().await {
        match &event {
            LocalEvent::Gone(..) => {
                activator.upgrade().inspect(|one| one.after_failure());
            }
            // Nobody waits for an idle app; one that ends at once is not started in a busy loop.
            LocalEvent::Rested(_) => {
                activator.upgrade().inspect(|one| one.after(BREATH));
            }
            _ => {}
        }
        let _ = events.send(Event::Session(translate(event)));
    }
}

fn translate(event: LocalEvent) -> SessionEvent {
    match event {
        LocalEvent::Line(generation, line) => SessionEvent::Line(generation, line),
        LocalEvent::LinesLost(_, count) => SessionEvent::LinesLost(count),
        LocalEvent::Restarted(generation, why) => SessionEvent::Restarted(generation, why),
        LocalEvent::Gone(generation, why) => SessionEvent::Gone(generation, why),
        LocalEvent::Rested(generation) => SessionEvent::Rested(generation),
        LocalEvent::Drained(generation, said) => SessionEvent::Drained(generation, said),
        LocalEvent::Cut(generation, said) => SessionEvent::Cut(generation, said),
        other => SessionEvent::Trouble(format!("{other:?}")),
    }
}
