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

/// Settings that stay the same while `portkeep dev` runs.
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

/// Reports of generations, and commands that wait.
#[derive(Debug)]
pub(super) struct Reports {
    /// The newest generation that lets requests wait; 0 before the first.
    pub(super) holds: AtomicU64,
    events: mpsc::UnboundedSender<Event>,
    /// Commands that wait until the saved sources serve.
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
        // Nobody receives any more: this process is ending.
        let _ = self.events.send(event);
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<WaitId, oneshot::Sender<Verdict>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the loop that a command waits. A command that stops waiting drops this.
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
            // The command may have gone.
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
