//! `portkeep dev` holds the port and runs the generations itself.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use portkeep_engine::backend::local::{Local, LocalEvent, Sockets};
use portkeep_engine::handover::{Purpose, Unchanged};
use portkeep_engine::helper::holding_page;
use portkeep_engine::{
    Backend, Generation, GiveUp, Handovers, Outcome, Place, Request, Store, drive,
};
use portkeep_spec::Spec;
use tokio::sync::mpsc;

use super::activator::Activator;
use super::lines::Lines;
use super::publish::Published;
use super::{Event, HandingOver};
use crate::control::{Answer, Ask, Control, Question};
use crate::dev::lock::DevLock;
use crate::dev::project::Project;
use crate::dev::report::Report;
use crate::dev::terminal::Signals;
use crate::dev::{browser, environment};
use crate::output::outcome_line;
use crate::{exit, holder, locate};

/// The pause before the start after an end in good order.
const BREATH: Duration = Duration::from_millis(20);

/// The pause after a connection that could not be accepted.
const AFTER_FAILURE: Duration = Duration::from_millis(200);

/// How long connections wait for the first build before a page tells them what it does.
const FIRST_BUILD: Duration = Duration::from_secs(2);

pub(crate) struct LocalSession {
    local: Local,
    handovers: Handovers,
    store: Store,
    spec: Spec,
    published: Published,
    notices: Vec<String>,
    why: String,
    /// Sees builds in other terminals, where the spec watches its output.
    _output_watcher: Option<RecommendedWatcher>,
    control: tokio::task::JoinHandle<()>,
    events: mpsc::UnboundedSender<Event>,
    activator: Activator,
    _lock: DevLock,
}

impl LocalSession {
    pub(super) fn open(
        project: &Project,
        events: mpsc::UnboundedSender<Event>,
        why: String,
    ) -> anyhow::Result<Self> {
        let mut spec = project.spec.clone();
        let mut notices = project.notices.clone();
        let store = locate::store_for_releases(&spec.name, Place::Local)?;
        let lock = DevLock::take(store.run_directory(), spec.name.as_str())?;
        for orphan in Local::end_orphans(&store) {
            notices.push(format!(
                "ended generation {orphan}, which a killed `portkeep dev` had left running"
            ));
        }
        store.clear_current()?;
        let published = Published::prepare(project, &store, &mut spec)?;
        let sockets =
            Sockets::bind(&spec.listen).map_err(|error| match holder::of(&error.address) {
                Some(holder) => {
                    anyhow!("{} is held by {holder}; {}", error.address, holder.remedy())
                }
                None => anyhow::Error::new(error),
            })?;
        store.set_base_environment(&environment::of_generations(
            project,
            &browser::socket_path(store.run_directory()),
        )?)?;
        let (sender, mut from_local) = mpsc::unbounded_channel();
        let local = Local::new(store.clone(), spec.clone(), sockets, sender);
        let forward = events.clone();
        let lines = Lines::default();
        let kept = lines.clone();
        tokio::spawn(async move {
            while let Some(event) = from_local.recv().await {
                if let LocalEvent::Line(generation, line) = &event {
                    kept.push(*generation, line);
                }
                let _ = forward.send(translate(event));
            }
        });
        let output_watcher = match (&published, &spec.watch) {
            (Published::BySpec, Some(output)) => match watch_output(output, events.clone()) {
                Ok(watcher) => Some(watcher),
                Err(error) => {
                    notices.push(format!(
                        "{} is not watched ({error:#}): a build in another terminal is served after `portkeep reload {}`",
                        output.display(),
                        spec.name
                    ));
                    None
                }
            },
            _ => None,
        };
        let control = Control::listen(&spec.name)?;
        let control = tokio::spawn(serve_control(control, local.clone(), lines, events.clone()));
        let handovers = Handovers::start(Arc::new(local.clone()), store.clone());
        let activator = Activator::new(
            local.clone(),
            handovers.clone(),
            store.clone(),
            spec.clone(),
            events.clone(),
        );
        let session = Self {
            local,
            handovers,
            store,
            spec,
            published,
            notices,
            why,
            _output_watcher: output_watcher,
            control,
            events,
            activator,
            _lock: lock,
        };
        // Whoever connects during a long first build sees what is built.
        session.activator.after(FIRST_BUILD);
        Ok(session)
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
        give_up: &GiveUp,
    ) -> anyhow::Result<HandingOver> {
        let request = self.request(Purpose::Reload).unless(give_up);
        let replaced = self.published.publish(executable.as_deref())?;
        Ok(replaced.dropped_after(self.start(request)))
    }

    fn request(&self, purpose: Purpose) -> Request {
        Request::now(purpose).or_hold(holding_page(&self.spec, &self.store))
    }

    pub(super) fn start_again(&self, give_up: &GiveUp) -> HandingOver {
        self.start(Request {
            unchanged: Unchanged::IsStarted,
            ..self.request(Purpose::Reload).unless(give_up)
        })
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    fn start(&self, request: Request) -> HandingOver {
        let asked = self.handovers.ask(self.spec.clone(), request);
        Box::pin(async move { Ok(asked.await?) })
    }

    pub(super) fn on_event(&self, event: Event) {
        match event {
            Event::Asked(question) => self.answer(question),
            // One write is many events, and our own build is one of the writers.
            Event::Output if drive::has_changed(&self.store, &self.spec) => {
                let request = self.request(Purpose::Deploy);
                if let Some(asked) = self.handovers.ask_to_deploy(&self.spec, request) {
                    self.spawn(Box::pin(async move { Ok(asked.await?) }));
                }
            }
            Event::Gone(..) => self.activator.after_failure(),
            // Nobody is to wait for one that was idle; one that ends as soon as it has begun is not started in a busy loop.
            Event::Rested(_) => self.activator.after(BREATH),
            Event::Output
            | Event::Line(..)
            | Event::Note(_)
            | Event::Recorded(_)
            | Event::Ended(_) => {}
        }
    }

    /// Hands over beside what else happens, and tells how it ended.
    fn spawn(&self, handover: HandingOver) {
        let events = self.events.clone();
        tokio::spawn(async move {
            let result = handover.await;
            let _ = events.send(Event::Ended(result));
        });
    }

    fn answer(&self, question: Question) {
        let for_maintenance = matches!(question.ask, Ask::Maintenance(_));
        let request = match question.ask {
            // Answered where it came in.
            Ask::Status | Ask::Logs { .. } => return,
            Ask::Reload { force } => {
                let unchanged = if force {
                    Unchanged::IsStarted
                } else {
                    Unchanged::IsDone
                };
                Ok(Request {
                    unchanged,
                    ..self.request(Purpose::Reload)
                })
            }
            Ask::Maintenance(ref change) => {
                let page = holding_page(&self.spec, &self.store);
                Ok(change.request(&self.store).or_hold(page))
            }
            Ask::Rollback { generation } => {
                Request::roll_back(&self.store, generation.map(Generation))
                    .map_err(anyhow::Error::from)
            }
        };
        let handover = match request {
            Ok(request) => self.start(request),
            Err(error) => Box::pin(async { Err(error) }),
        };
        let (events, name) = (self.events.clone(), self.spec.name.clone());
        tokio::spawn(async move {
            let result = handover.await;
            let answer = match &result {
                Ok(outcome) => Answer::Done {
                    line: outcome_line(&name, outcome),
                    code: match outcome {
                        // As it was asked for.
                        Outcome::InMaintenance(_) if for_maintenance => 0,
                        outcome => exit::code_of(outcome),
                    },
                },
                Err(error) => Answer::Failed(format!("{error:#}")),
            };
            question.answer(&answer).await;
            let _ = events.send(Event::Ended(result));
        });
    }

    pub(super) async fn close(
        self,
        report: &Report,
        signals: &mut Signals,
        events: &mut mpsc::UnboundedReceiver<Event>,
    ) -> anyhow::Result<()> {
        self.control.abort();
        let (local, handovers) = (self.local.clone(), self.handovers.clone());
        let mut stopping = std::pin::pin!(async {
            // First what could start one more.
            handovers.close().await;
            local.stop_all().await;
        });
        loop {
            tokio::select! {
                () = &mut stopping => break,
                Some(event) = events.recv() => report.session_event(&event),
                () = signals.stop() => self.local.kill_all(),
            }
        }
        while let Ok(event) = events.try_recv() {
            report.session_event(&event);
        }
        super::units::forget(&self.store)
    }
}

/// Answers at once what can be answered at once, and hands on the rest.
async fn serve_control(
    control: Control,
    local: Local,
    lines: Lines,
    events: mpsc::UnboundedSender<Event>,
) {
    loop {
        let question = match control.next().await {
            Ok(Some(question)) => question,
            Ok(None) => continue,
            Err(error) => {
                // Out of descriptors, for one: others may be asked later.
                let note = format!("a question of another command could not be taken: {error:#}");
                let _ = events.send(Event::Note(note));
                tokio::time::sleep(AFTER_FAILURE).await;
                continue;
            }
        };
        if matches!(question.ask, Ask::Status) {
            let running = local.running().await.unwrap_or_default();
            question
                .answer(&Answer::Running(
                    running.into_iter().map(Into::into).collect(),
                ))
                .await;
        } else if matches!(question.ask, Ask::Logs { .. }) {
            tokio::spawn(lines.clone().answer(question));
        } else if events.send(Event::Asked(question)).is_err() {
            break;
        }
    }
}

fn translate(event: LocalEvent) -> Event {
    match event {
        LocalEvent::Line(generation, line) => Event::Line(generation, line),
        LocalEvent::Restarted(generation, why) => {
            Event::Note(format!("generation {generation} is started again: {why}"))
        }
        LocalEvent::Gone(generation, why) => Event::Gone(generation, why),
        LocalEvent::Rested(generation) => Event::Rested(generation),
        LocalEvent::Drained(generation, said) => super::drained(generation, &said),
        LocalEvent::Cut(generation, said) => super::cut(generation, &said),
        other => Event::Note(format!("{other:?}")),
    }
}

/// Watches the directory of the output: builds replace files, they seldom write into them.
fn watch_output(
    output: &std::path::Path,
    events: mpsc::UnboundedSender<Event>,
) -> anyhow::Result<RecommendedWatcher> {
    let directory = output.parent().context("it is in no directory")?.to_owned();
    std::fs::create_dir_all(&directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // A finished write is an "access" in the words of inotify; to open or read is none of our business.
        let is_read = |event: &notify::Event| {
            event.kind.is_access()
                && event.kind != EventKind::Access(AccessKind::Close(AccessMode::Write))
        };
        if event.is_ok_and(|event| !is_read(&event)) {
            let _ = events.send(Event::Output);
        }
    })?;
    watcher.watch(&directory, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}
