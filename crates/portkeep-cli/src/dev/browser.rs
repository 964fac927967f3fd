//! What the pages of the app are told while it is developed: what is built, what failed, which generation serves.
//!
//! The server library puts our script into the app's pages and hands its questions through to the socket here. Each
//! answer is the whole [`State`], so that a page that missed something knows everything again.

mod diagnostics;
mod failure;
mod hold;
mod serve;
mod state;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use portkeep_engine::listen_private;
use portkeep_spec::Listen;
use tokio::net::UnixListener;
use tokio::sync::{mpsc, watch};

use super::session::Event;

pub(crate) use failure::{Failure, Level, Part};
pub(crate) use state::{Changed, State};

/// The file of the socket, in the app's runtime directory.
const FILE: &str = "dev";

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
struct Heard {
    /// The newest generation that lets requests wait; 0 before there is one.
    holds: AtomicU64,
    /// Somebody was told of a page that came compressed.
    compressed: AtomicBool,
    /// Where what is worth a line goes.
    notes: mpsc::UnboundedSender<Event>,
}

/// Tells the pages.
#[derive(Debug)]
pub(crate) struct Browser {
    state: watch::Sender<State>,
    heard: Arc<Heard>,
    path: PathBuf,
    task: tokio::task::JoinHandle<()>,
}

/// The path of the socket; it is passed to the generations in their environment.
pub(crate) fn socket_path(run_directory: &Path) -> PathBuf {
    run_directory.join(FILE)
}

impl Browser {
    /// Listens. The caller holds the app's lock for `portkeep dev`, so a file that is there is left over.
    pub(crate) fn listen(
        path: PathBuf,
        settings: Settings,
        notes: mpsc::UnboundedSender<Event>,
    ) -> anyhow::Result<Self> {
        let fail = || format!("cannot listen on {}", path.display());
        let listener = listen_private(&path)
            .and_then(UnixListener::from_std)
            .with_context(fail)?;
        let (state, _) = watch::channel(State::new());
        let heard = Arc::new(Heard {
            holds: AtomicU64::new(0),
            compressed: AtomicBool::new(false),
            notes,
        });
        let desk = serve::Desk {
            settings,
            heard: heard.clone(),
            state: state.clone(),
        };
        let task = tokio::spawn(serve::serve(listener, Arc::new(desk)));
        Ok(Self {
            state,
            heard,
            path,
            task,
        })
    }

    /// Changes what is told.
    pub(crate) fn tell(&self, change: impl FnOnce(&mut State)) {
        self.state.send_modify(change);
    }

    /// Whether requests wait in this generation, which is READY.
    pub(crate) fn is_held_in(&self, generation: u64) -> bool {
        self.heard.holds.load(Ordering::Relaxed) >= generation
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.task.abort();
        // The library looks for the file: without it, pages are served as they are.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The addresses at which requests that waited are given to the next generation, by the names of the listeners that they
/// came in by.
pub(crate) fn addresses(listen: &[Listen]) -> Vec<(String, String)> {
    let http = listen
        .iter()
        .filter(|one| one.protocol == portkeep_spec::Protocol::Http);
    http.map(|one| (one.name.to_string(), one.address.to_string()))
        .collect()
}
