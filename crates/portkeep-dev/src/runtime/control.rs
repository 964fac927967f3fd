//! Answers other commands about a session of the local backend.

use std::sync::Arc;
use std::time::Duration;

use portkeep_engine::backend::local::Local;
use portkeep_engine::handover::{Purpose, Unchanged};
use portkeep_engine::helper::holding_page;
use portkeep_engine::{Backend, Generation, Handovers, Outcome, Request, Store};
use portkeep_spec::Spec;
use tokio::sync::mpsc;

use super::lines::Lines;
use crate::control::{Answer, Ask, Control, Question};
use crate::event::{Event, SessionEvent};
use crate::host::Host;

/// The pause after a connection could not be accepted.
const AFTER_FAILURE: Duration = Duration::from_millis(200);

/// Server that answers other commands about a session of the local backend.
#[derive(Clone)]
pub(super) struct ControlServer {
    pub(super) local: Local,
    pub(super) handovers: Handovers,
    pub(super) store: Store,
    pub(super) spec: Spec,
    pub(super) lines: Lines,
    pub(super) host: Arc<dyn Host>,
    pub(super) events: mpsc::UnboundedSender<Event>,
}

impl ControlServer {
    /// Answers until the task is aborted.
    pub(super) async fn serve(self, control: Control) {
        loop {
            let question = match control.next().await {
                Ok(Some(question)) => question,
                Ok(None) => continue,
                Err(error) => {
                    // Perhaps there are no more descriptors: later questions may be answered.
                    self.tell(SessionEvent::Trouble(format!(
                        "a question of another command could not be taken: {error:#}"
                    )));
                    tokio::time::sleep(AFTER_FAILURE).await;
                    continue;
                }
            };
            tokio::spawn(self.clone().answer(question));
        }
    }

    async fn answer(self, question: Question) {
        let for_maintenance = matches!(question.ask, Ask::Maintenance(_));
        let request = match question.ask {
            Ask::Status => {
                let running = self.local.running().await.unwrap_or_default();
                let running = running.into_iter().map(Into::into).collect();
                return question.answer(&Answer::Running(running)).await;
            }
            Ask::Logs { .. } => return self.lines.answer(question).await,
            Ask::Reload { force } => Ok(self.reload(force)),
            Ask::Maintenance(ref change) => {
                let page = holding_page(&self.spec);
                Ok(change.request(&self.store).or_holding_page(page))
            }
            Ask::Rollback { generation } => {
                Request::roll_back(&self.store, generation.map(Generation))
                    .map_err(anyhow::Error::from)
            }
        };
        let result: anyhow::Result<Outcome> = match request {
            Ok(request) => {
                let asked = self.handovers.ask(self.spec.clone(), request);
                asked.await.map_err(Into::into)
            }
            Err(error) => Err(error),
        };
        let answer = match &result {
            Ok(outcome) => match self.host.answer(&self.spec.name, outcome) {
                // The page is what was requested.
                Answer::Done { line, .. }
                    if for_maintenance && matches!(outcome, Outcome::InMaintenance(_)) =>
                {
                    Answer::Done { line, code: 0 }
                }
                answer => answer,
            },
            Err(error) => Answer::Failed(format!("{error:#}")),
        };
        question.answer(&answer).await;
        self.tell(SessionEvent::Ended(result));
    }

    fn reload(&self, force: bool) -> Request {
        let page = holding_page(&self.spec);
        Request {
            unchanged: match force {
                true => Unchanged::IsStarted,
                false => Unchanged::IsDone,
            },
            ..Request::now(Purpose::Reload).or_holding_page(page)
        }
    }

    fn tell(&self, event: SessionEvent) {
        // Nobody receives any more: this process is ending.
        let _ = self.events.send(Event::Session(event));
    }
}
