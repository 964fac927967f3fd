//! State that the answers to pages are made of.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::event::{Event, WaitId};
use crate::status::Page;
use crate::verdict::Verdict;

/// How long the last answers may take to be read.
const LAST_ANSWERS: Duration = Duration::from_millis(200);

/// Settings that stay the same for a session.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Link to a place in a file; `{file}`, `{line}` and `{column}` are replaced.
    pub(crate) editor: String,
    /// The app's name.
    pub(crate) app: String,
    /// The project's directory.
    pub(crate) directory: PathBuf,
    /// Base of relative paths in diagnostics.
    pub(crate) root: PathBuf,
    /// Longest time that a request waits for a build.
    pub(crate) hold: Duration,
    /// Address of each of the app's listeners, by name.
    pub(crate) addresses: Vec<(String, String)>,
}

/// Reports of generations, and commands that wait. A command may wait through several sessions.
#[derive(Debug)]
pub(super) struct Reports {
    /// The newest generation that lets requests wait; 0 before the first.
    pub(super) holds: AtomicU64,
    waiting: Mutex<Waiting>,
    /// Number of commands that were not answered yet.
    unanswered: watch::Sender<usize>,
}

#[derive(Debug)]
struct Waiting {
    /// The loop of the session.
    events: mpsc::UnboundedSender<Event>,
    /// Commands that wait until the saved sources serve.
    commands: HashMap<WaitId, oneshot::Sender<Verdict>>,
    last: u64,
}

impl Reports {
    pub(super) fn new(events: mpsc::UnboundedSender<Event>) -> Self {
        Self {
            holds: AtomicU64::new(0),
            waiting: Mutex::new(Waiting {
                events,
                commands: HashMap::new(),
                last: 0,
            }),
            unanswered: watch::Sender::new(0),
        }
    }

    /// Another session begins. Its loop is told of all commands that wait.
    pub(super) fn go_on(&self, events: mpsc::UnboundedSender<Event>) {
        // Its generations may be counted anew.
        self.holds.store(0, Ordering::Relaxed);
        let mut waiting = self.waiting();
        waiting.events = events;
        for id in waiting.commands.keys() {
            let _ = waiting.events.send(Event::Waits(*id));
        }
    }

    pub(super) fn tell(&self, event: Event) {
        // Nobody receives any more: this session is ending.
        let _ = self.waiting().events.send(event);
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the loop that a command waits. A command that stops waiting drops this.
    pub(super) fn wait(&self) -> (oneshot::Receiver<Verdict>, Unanswered<'_>) {
        let (sender, verdict) = oneshot::channel();
        self.unanswered.send_modify(|count| *count += 1);
        let mut waiting = self.waiting();
        waiting.commands.retain(|_, one| !one.is_closed());
        waiting.last += 1;
        let id = WaitId(waiting.last);
        waiting.commands.insert(id, sender);
        // Still locked: the next session is told of it, or this one is.
        let _ = waiting.events.send(Event::Waits(id));
        (verdict, Unanswered(&self.unanswered))
    }

    pub(super) fn answer(&self, ids: &[WaitId], verdict: &Verdict) {
        let mut waiting = self.waiting();
        for sender in ids.iter().filter_map(|id| waiting.commands.remove(id)) {
            // The command may have gone.
            let _ = sender.send(verdict.clone());
        }
    }

    /// Answers all, and waits a moment until they have the answer.
    pub(super) async fn answer_all(&self, verdict: &Verdict) {
        for (_, sender) in self.waiting().commands.drain() {
            let _ = sender.send(verdict.clone());
        }
        let mut unanswered = self.unanswered.subscribe();
        let _ = timeout(LAST_ANSWERS, unanswered.wait_for(|count| *count == 0)).await;
    }
}

/// A command that waits, until it was answered or has gone.
pub(super) struct Unanswered<'a>(&'a watch::Sender<usize>);

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// State that answers to generations are made of.
#[derive(Debug)]
pub(super) struct PageState {
    settings: Mutex<Arc<Settings>>,
    pub(super) reports: Reports,
    pub(super) page: watch::Sender<Page>,
}

impl PageState {
    pub(super) fn new(settings: Settings, page: Page, reports: Reports) -> Self {
        Self {
            settings: Mutex::new(Arc::new(settings)),
            reports,
            page: watch::Sender::new(page),
        }
    }

    /// The settings of the session.
    pub(super) fn settings(&self) -> Arc<Settings> {
        let settings = self.settings.lock();
        settings.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Another session begins.
    pub(super) fn go_on(
        &self,
        settings: Settings,
        page: Page,
        events: mpsc::UnboundedSender<Event>,
    ) {
        let known = self.settings.lock();
        *known.unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
        self.page.send_replace(page);
        self.reports.go_on(events);
    }
}
