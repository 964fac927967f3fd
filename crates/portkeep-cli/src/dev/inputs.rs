//! What wakes the loop.

use std::path::PathBuf;

use tokio::sync::mpsc;

use super::behind::Behind;
use super::keys::{Key, Keys};
use super::session;
use super::sources::Sources;
use super::terminal::Signals;

/// Everything but the sources, which are not watched before there is a session.
pub(super) struct Inputs {
    pub(super) signals: Signals,
    pub(super) keys: Keys,
    pub(super) behind: Behind,
    pub(super) from_session: mpsc::UnboundedReceiver<session::Event>,
    /// The other end of that.
    pub(super) to_session: mpsc::UnboundedSender<session::Event>,
}

pub(super) enum Wake {
    /// These sources changed.
    Changed(Vec<PathBuf>),
    /// The session has something to say or to do.
    Session(Box<session::Event>),
    Key(Key),
    /// The build behind the others has ended; whether it is good.
    BuiltBehind(bool),
    /// The user wants to stop.
    Stop,
}

impl Inputs {
    pub(super) async fn next(&mut self, sources: &mut Sources) -> Wake {
        tokio::select! {
            () = self.signals.stop() => Wake::Stop,
            Some(event) = self.from_session.recv() => Wake::Session(Box::new(event)),
            key = self.keys.next() => Wake::Key(key),
            is_good = self.behind.ended() => Wake::BuiltBehind(is_good),
            paths = sources.changed() => Wake::Changed(paths),
        }
    }
}
