//! What the answers to pages are made of.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::event::Event;
use crate::status::Page;

/// What does not change while `portkeep dev` runs.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Where links to a place in a file lead; `{file}`, `{line}` and `{column}` are replaced.
    pub(crate) editor: String,
    /// Relative paths in what is shown are relative to this.
    pub(crate) root: PathBuf,
    /// How long a request may wait for a build.
    pub(crate) hold: Duration,
    /// Where each of the app's listeners is reached, by its name.
    pub(crate) addresses: Vec<(String, String)>,
}

/// What generations said.
#[derive(Debug)]
pub(super) struct Heard {
    /// The newest generation that lets requests wait; 0 before there is one.
    pub(super) holds: AtomicU64,
    events: mpsc::UnboundedSender<Event>,
}

impl Heard {
    pub(super) fn new(events: mpsc::UnboundedSender<Event>) -> Self {
        Self {
            holds: AtomicU64::new(0),
            events,
        }
    }

    pub(super) fn tell(&self, event: Event) {
        // Nobody listens any more: we are ending.
        let _ = self.events.send(event);
    }
}

/// What the answers are made of.
pub(super) struct Desk {
    pub(super) settings: Settings,
    pub(super) heard: Arc<Heard>,
    pub(super) page: watch::Sender<Page>,
}
