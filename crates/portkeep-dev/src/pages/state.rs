//! State that the answers to pages are made of.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use crate::event::{Event, WaitId};
use crate::status::Page;
use crate::verdict::Verdict;

/// What does not change while `portkeep dev` runs.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Where links to a place in a file lead; `{file}`, `{line}` and `{column}` are replaced.
    pub(crate) editor: String,
    /// The app's name.
    pub(crate) app: String,
    /// The project's directory.
    pub(crate) directory: PathBuf,
    /// Relative paths in what is shown are relative to this.
    pub(crate) root: PathBuf,
    /// How long a request may wait for a build.
    pub(crate) hold: Duration,
    /// Where each of the app's listeners is reached, by its name.
    pub(crate) addresses: Vec<(String, String)>,
}

/// Reports of generations, and commands that wait.
#[derive(Debug)]
pub(super) struct Reports {
    /// The newest generation that lets requests wait; 0 before there is one.
    pub(super) holds: AtomicU64,
    events: mpsc::UnboundedSender<Event>,
    /// Those who wait until what is saved serves.
    waiting: Mutex<HashMap<WaitId, oneshot::Sender<Verdict>>>,
    last_wait: AtomicU64,
}

impl Reports {
    pub(super) fn new(events: mpsc::UnboundedSender<Event>) -> Self {
        Self {
            holds: AtomicU64::new(0),
            events,
            waiting: Mutex::default(),
            last_wait: AtomicU64::new(0),
        }
    }

    pub(super) fn tell(&self, event: Event) {
        // Nobody listens any more: we are ending.
        let _ = self.events.send(event);
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<WaitId, oneshot::Sender<Verdict>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the loop that somebody waits. Who does not wait any more drops this.
    pub(super) fn wait(&self) -> oneshot::Receiver<Verdict> {
        let id = WaitId(self.last_wait.fetch_add(1, Ordering::Relaxed) + 1);
        let (sender, verdict) = oneshot::channel();
        let mut waiting = self.waiting();
        waiting.retain(|_, one| !one.is_closed());
        waiting.insert(id, sender);
        drop(waiting);
        self.tell(Event::Waits(id));
        verdict
    }

    pub(super) fn answer(&self, ids: &[WaitId], verdict: &Verdict) {
        let mut waiting = self.waiting();
        for sender in ids.iter().filter_map(|id| waiting.remove(id)) {
            // Whoever asked may have gone.
            let _ = sender.send(verdict.clone());
        }
    }
}

/// State that answers to generations are made of.
pub(super) struct PageState {
    pub(super) settings: Settings,
    pub(super) reports: Arc<Reports>,
    pub(super) page: watch::Sender<Page>,
}
