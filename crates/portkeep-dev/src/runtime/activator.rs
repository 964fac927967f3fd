//! Starts a generation for the next connection, as the handle does under systemd.

use std::time::Duration;

use portkeep_engine::Request;
use portkeep_engine::handover::Purpose;
use portkeep_engine::helper::holding_page;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::control::ControlServer;
use crate::event::{Event, SessionEvent};

/// The interval between failing starts: the handle's `RestartSec=`.
const THROTTLE: Duration = Duration::from_secs(1);

/// One task for the whole session, so that nothing is started twice. Dropping it ends the task.
#[derive(Debug)]
pub(super) struct Activator {
    due: watch::Sender<Instant>,
    task: JoinHandle<()>,
}

impl Activator {
    pub(super) fn new(server: &ControlServer) -> Self {
        let (sender, due) = watch::channel(Instant::now());
        Self {
            task: tokio::spawn(Starting(server.clone()).run(due)),
            due: sender,
        }
    }

    /// Starts nothing more.
    pub(super) fn end(&self) {
        self.task.abort();
    }

    /// After `pause`, the next connection starts a generation unless one serves by then. The last call counts.
    pub(super) fn after(&self, pause: Duration) {
        self.due.send_replace(Instant::now() + pause);
    }

    /// The same, after the pause for failing starts.
    pub(super) fn after_failure(&self) {
        self.after(THROTTLE);
    }
}

impl Drop for Activator {
    fn drop(&mut self) {
        self.end();
    }
}

struct Starting(ControlServer);

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

    /// Waits for a connection. Returns whether there is nothing more to do.
    async fn start(&self) -> bool {
        let Self(server) = self;
        if server.local.connection_waits().await.is_err() || server.store.current().is_some() {
            return true;
        }
        let page = holding_page(&server.spec);
        let request = Request::now(Purpose::Connect).or_holding_page(page);
        let result = server.handovers.ask(server.spec.clone(), request).await;
        let serves = result.is_ok();
        let event = SessionEvent::Ended(result.map_err(Into::into));
        let told = server.events.send(Event::Session(event));
        serves || told.is_err()
    }
}
