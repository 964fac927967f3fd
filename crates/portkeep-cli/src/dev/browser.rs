//! What the pages of the app are told while it is developed: what is built, what failed, which generation serves.
//!
//! The server library puts our script into the app's pages and hands its questions through to the socket here. Each
//! answer is the whole [`State`], so that a page that missed something knows everything again.

mod hold;
mod serve;
mod state;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use portkeep_spec::Listen;
use tokio::net::UnixListener;
use tokio::sync::watch;

pub(crate) use state::{Changed, Failure, Level, Part, State};

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
    /// Where the app is reached.
    pub(crate) address: Option<String>,
}

/// Tells the pages.
#[derive(Debug)]
pub(crate) struct Browser {
    state: watch::Sender<State>,
    path: PathBuf,
    task: tokio::task::JoinHandle<()>,
}

/// The path of the socket; it is passed to the generations in their environment.
pub(crate) fn socket_path(run_directory: &Path) -> PathBuf {
    run_directory.join(FILE)
}

impl Browser {
    /// Listens. The caller holds the app's lock for `portkeep dev`, so a file that is there is left over.
    pub(crate) fn listen(path: PathBuf, settings: Settings) -> anyhow::Result<Self> {
        let _ = std::fs::remove_file(&path);
        let fail = || format!("cannot listen on {}", path.display());
        let listener = UnixListener::bind(&path).with_context(fail)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))
            .with_context(fail)?;
        let (state, _) = watch::channel(State::new());
        let task = tokio::spawn(serve::serve(listener, Arc::new(settings), state.clone()));
        Ok(Self { state, path, task })
    }

    /// Changes what is told.
    pub(crate) fn tell(&self, change: impl FnOnce(&mut State)) {
        self.state.send_modify(change);
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.task.abort();
        // The library looks for the file: without it, pages are served as they are.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The address at which a request that waited is given to the next generation.
pub(crate) fn address(listen: &[Listen]) -> Option<String> {
    listen
        .iter()
        .find(|one| one.protocol == portkeep_spec::Protocol::Http)
        .map(|one| one.address.to_string())
}
