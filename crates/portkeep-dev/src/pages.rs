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
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::Context;
use portkeep_engine::listen_private;
use portkeep_spec::Listen;
use tokio::net::UnixListener;
use tokio::sync::{mpsc, watch};

use self::state::{PageState, Reports};
use super::event::{Event, WaitId};
use super::status::Page;
use super::verdict::{Found, Verdict};

pub(crate) use self::state::Settings;
#[cfg(test)]
pub(crate) use self::view::told;

/// The file of the socket, in the app's runtime directory.
pub(crate) const FILE: &str = "dev";

/// Answers the pages.
#[derive(Debug)]
pub(crate) struct Pages {
    page: watch::Sender<Page>,
    reports: Arc<Reports>,
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
        let fail = || format!("cannot listen on {}", path.display());
        let listener = listen_private(&path)
            .and_then(UnixListener::from_std)
            .with_context(fail)?;
        let (page, _) = watch::channel(page);
        let reports = Arc::new(Reports::new(events));
        let state = PageState {
            settings,
            reports: reports.clone(),
            page: page.clone(),
        };
        let task = tokio::spawn(serve::serve(listener, Arc::new(state)));
        Ok(Self {
            page,
            reports,
            path,
            task,
        })
    }

    /// Updates the pages if something changed.
    pub(crate) fn show(&self, page: &Page) {
        self.page.send_if_modified(|shown| {
            let is_new = shown != page;
            if is_new {
                shown.clone_from(page);
            }
            is_new
        });
    }

    /// Answers those who wait; "serves" only once no older generation can answer any more.
    pub(crate) fn answer(&self, ids: Vec<WaitId>, verdict: Verdict) {
        let (reports, path) = (self.reports.clone(), self.path.clone());
        tokio::spawn(async move {
            if let (Found::Serves, Some(serves)) = (verdict.result, verdict.generation) {
                older::rest(&path, serves).await;
            }
            reports.answer(&ids, &verdict);
        });
    }

    /// Whether requests wait in this READY generation.
    pub(crate) fn is_held_in(&self, generation: u64) -> bool {
        self.reports.holds.load(Ordering::Relaxed) >= generation
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.task.abort();
        // The library looks for the file: without it, pages are served as they are.
        let _ = std::fs::remove_file(&self.path);
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
