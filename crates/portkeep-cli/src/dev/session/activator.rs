//! Starts a generation for the next connection, as a handle does under systemd.

use std::time::Duration;

use portkeep_engine::backend::local::Local;
use portkeep_engine::handover::Purpose;
use portkeep_engine::helper::holding_page;
use portkeep_engine::{Handovers, Request, Store};
use portkeep_spec::Spec;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};

use super::Event;

/// The pace at which starts that fail are tried again; that of the handle's `RestartSec=`.
const THROTTLE: Duration = Duration::from_secs(1);

/// One task for the whole session: whatever is asked for meanwhile, nothing is started twice. Ends when it is dropped.
pub(super) struct Activator(watch::Sender<Instant>);

impl Activator {
    pub(super) fn new(
        local: Local,
        handovers: Handovers,
        store: Store,
        spec: Spec,
        events: mpsc::UnboundedSender<Event>,
    ) -> Self {
        let (sender, due) = watch::channel(Instant::now());
        let starting = Starting {
            local,
            handovers,
            store,
            spec,
            events,
        };
        tokio::spawn(starting.run(due));
        Self(sender)
    }

    /// After `pause`, the next connection starts a generation, unless one serves by then. The last call counts.
    pub(super) fn after(&self, pause: Duration) {
        self.0.send_replace(Instant::now() + pause);
    }

    /// The same, at the pace of starts that fail.
    pub(super) fn after_failure(&self) {
        self.after(THROTTLE);
    }
}

struct Starting {
    local: Local,
    handovers: Handovers,
    store: Store,
    spec: Spec,
    events: mpsc::UnboundedSender<Event>,
}

impl Starting {
    async fn run(self, mut due: watch::Receiver<Instant>) {
        let mut at = None;
        loop {
            let asked = match at {
                Some(at) => timeout_at(at, due.changed()).await,
                None => Ok(due.changed().await),
            };
            at = match asked {
                Ok(Ok(())) => Some(*due.borrow_and_update()),
                Ok(Err(_session_is_over)) => return,
                Err(_elapsed) if self.start().await => None,
                Err(_elapsed) => Some(Instant::now() + THROTTLE),
            };
        }
    }

    /// Waits for a connection, and answers whether there is nothing more to do.
    async fn start(&self) -> bool {
        if self.local.connection_waits().await.is_err() || self.store.current().is_some() {
            return true;
        }
        let page = holding_page(&self.spec, &self.store);
        let request = Request::now(Purpose::Connect).or_hold(page);
        let result = self.handovers.ask(self.spec.clone(), request).await;
        let serves = result.is_ok();
        let told = self.events.send(Event::Ended(result.map_err(Into::into)));
        serves || told.is_err()
    }
}
