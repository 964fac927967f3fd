//! News for the pages of the app: what is built, what failed, which generation serves.
//!
//! The server library puts our script into the app's pages and passes its questions through to the socket here. Each answer
//! is the whole [`Page`], so that a page that missed something is up to date again.

mod older;
mod queued_requests;
mod serve;
mod state;
mod view;

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use portkeep_engine::listen_private;
use portkeep_spec::Listen;
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use self::state::{PageState, Reports};
use super::event::{Event, WaitId};
use super::status::Page;
use super::verdict::{Found, Verdict};

pub(crate) use self::state::Settings;
#[cfg(test)]
pub(crate) use self::view::told;

/// The file of the socket, in the app's runtime directory.
pub(crate) const FILE: &str = "dev";

/// Answers the pages, and commands that wait. While a session ends and another one begins, it answers as well: who asks then
/// is told by the next session.
#[derive(Debug)]
pub(crate) struct Pages {
    state: Arc<PageState>,
    socket: Socket,
    /// Answers of this session that are not given yet.
    answers: Mutex<JoinSet<()>>,
}

/// The socket, until this is dropped.
#[derive(Debug)]
struct Socket {
    path: PathBuf,
    task: tokio::task::JoinHandle<()>,
}

/// The path of the socket; it is passed to the generations in their environment.
pub(crate) fn socket_path(run_directory: &Path) -> PathBuf {
    run_directory.join(FILE)
}

impl Pages {
    /// Opens the socket. The caller holds the app's lock for `portkeep dev`, so an existing file is a leftover.
    pub(crate) fn listen(
        path: PathBuf,
        settings: Settings,
        page: Page,
        events: mpsc::UnboundedSender<Event>,
    ) -> anyhow::Result<Self> {
        let state = Arc::new(PageState::new(settings, page, Reports::new(events)));
        Ok(Self {
            socket: Socket::open(path, &state)?,
            state,
            answers: Mutex::default(),
        })
    }

    /// The session ends, and another one follows: those who wait are not answered before that.
    pub(crate) fn leave(&self) {
        self.answers().abort_all();
    }

    /// Another session begins.
    pub(crate) fn go_on(
        &mut self,
        path: PathBuf,
        settings: Settings,
        page: Page,
        events: mpsc::UnboundedSender<Event>,
    ) -> anyhow::Result<()> {
        // Somebody may have cleaned up.
        if self.socket.path != path || !path.exists() {
            let opened = Socket::open(path, &self.state)?;
            let before = std::mem::replace(&mut self.socket, opened);
            if before.path == self.socket.path {
                before.leave_file();
            }
        }
        self.state.go_on(settings, page, events);
        Ok(())
    }

    /// Answers those who still wait, for this reason.
    pub(crate) async fn end(self, reason: String) {
        let app = Some(self.state.settings().app.clone());
        let verdict = Verdict::unknown(app, Found::NotRunning, reason);
        self.state.reports.answer_all(&verdict).await;
    }

    fn answers(&self) -> std::sync::MutexGuard<'_, JoinSet<()>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Updates the pages if something changed.
    pub(crate) fn show(&self, page: &Page) {
        self.state.page.send_if_modified(|shown| {
            let is_new = shown != page;
            if is_new {
                shown.clone_from(page);
            }
            is_new
        });
    }

    /// Answers those who wait; "serves" only once no older generation can answer any more.
    pub(crate) fn answer(&self, ids: Vec<WaitId>, verdict: Verdict) {
        let (state, path) = (self.state.clone(), self.socket.path.clone());
        let mut answers = self.answers();
        while answers.try_join_next().is_some() {}
        answers.spawn(async move {
            if let (Found::Serves, Some(serves)) = (verdict.result, verdict.generation) {
                older::rest(&path, serves).await;
            }
            state.reports.answer(&ids, &verdict);
        });
    }

    /// Whether requests wait in this READY generation.
    pub(crate) fn is_held_in(&self, generation: u64) -> bool {
        self.state.reports.holds.load(Ordering::Relaxed) >= generation
    }
}

impl Socket {
    fn open(path: PathBuf, state: &Arc<PageState>) -> anyhow::Result<Self> {
        let listener = listen_private(&path)
            .and_then(UnixListener::from_std)
            .with_context(|| format!("cannot listen on {}", path.display()))?;
        let task = tokio::spawn(serve::serve(listener, state.clone()));
        Ok(Self { path, task })
    }

    /// Its file is another one's.
    fn leave_file(mut self) {
        self.path = PathBuf::new();
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.task.abort();
        // The library looks for the file: without it, pages are served as they are.
        let _ = std::fs::remove_file(&self.path);
        // It is the last file there if the session has ended before this.
        let _ = self.path.parent().map(std::fs::remove_dir);
    }
}

/// The addresses for passing waiting requests to the next generation, by the names of the listeners that they came in by.
pub(crate) fn addresses(listen: &[Listen]) -> Vec<(String, String)> {
    let http = listen
        .iter()
        .filter(|one| one.protocol == portkeep_spec::Protocol::Http);
    http.map(|one| (one.name.to_string(), one.address.to_string()))
        .collect()
}
