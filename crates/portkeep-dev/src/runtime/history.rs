//! Handovers by others, from the history: by the path unit after a build in another terminal, by `systemctl reload`, or by
//! the next connection; and the ends of replaced generations.

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use portkeep_engine::Store;
use portkeep_engine::store::{Follower, HistoryEvent};
use tokio::sync::mpsc;

use crate::event::{Event, SessionEvent};

/// Sends new entries of the history whenever it changes. Those of our own handovers come as well: the receiver knows them.
pub(super) fn follow(
    store: &Store,
    events: mpsc::UnboundedSender<Event>,
) -> notify::Result<RecommendedWatcher> {
    let mut follower = Follower::new(store.clone());
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading it is an event too, which must not make us read it again.
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
        let Ok(news) = follower.news() else { return };
        for event in news.into_iter().filter_map(tell) {
            // Nobody receives any more: this process is ending.
            let _ = events.send(Event::Session(event));
        }
    })?;
    watcher.watch(store.state_directory(), RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

fn tell(event: HistoryEvent) -> Option<SessionEvent> {
    Some(match event {
        HistoryEvent::Handover(record) => SessionEvent::Recorded(record),
        HistoryEvent::Drained(record) if record.is_cut() => {
            SessionEvent::Cut(record.generation, record.status)
        }
        HistoryEvent::Drained(record) => SessionEvent::Drained(record.generation, record.status),
        _ => return None,
    })
}
