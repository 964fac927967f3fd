//! Handovers that others did: the path unit after a build in another terminal, `systemctl reload`, the next connection.

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use portkeep_engine::Store;
use tokio::sync::mpsc;

use super::Event;

/// Sends the last line of the history whenever it changes. Ours come too: whoever shows them has to know its own.
pub(super) fn follow(
    store: &Store,
    events: mpsc::UnboundedSender<Event>,
) -> notify::Result<RecommendedWatcher> {
    let reader = store.clone();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // To read it is an event too, which must not make us read it again.
        let is_history = |event: notify::Event| {
            !event.kind.is_access()
                && event
                    .paths
                    .iter()
                    .any(|path| path.ends_with("history.jsonl"))
        };
        if !event.is_ok_and(is_history) {
            return;
        }
        if let Some(record) = reader
            .history()
            .ok()
            .and_then(|history| history.into_iter().next_back())
        {
            // Nobody listens any more: we are ending.
            let _ = events.send(Event::Recorded(record));
        }
    })?;
    watcher.watch(store.state_directory(), RecursiveMode::NonRecursive)?;
    Ok(watcher)
}
