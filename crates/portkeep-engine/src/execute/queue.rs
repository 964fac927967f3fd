//! Queue of handovers for one app, in a task of its own: a handover continues when its caller goes away.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portkeep_spec::Spec;
use tokio::sync::{Notify, oneshot, watch};

use super::request::{Outcome, Request, Wanted};
use super::{Cancel, hand_over};
use crate::backend::Backend;
use crate::error::EngineError;
use crate::handover::Purpose;
use crate::store::Store;

/// Handovers that wait. A clone is the same queue.
#[derive(Debug, Clone)]
pub struct Handovers {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Notify,
    /// True after the task has ended.
    over: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Order>,
    /// Cancels the start in progress.
    under_way: Option<Cancel>,
    is_closed: bool,
}

#[derive(Debug)]
struct Order {
    spec: Spec,
    request: Request,
    answer: oneshot::Sender<Result<Outcome, EngineError>>,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handovers {
    /// Starts the task. It ends when it is closed.
    #[must_use]
    pub fn start<B: Backend + Send + Sync + 'static>(backend: Arc<B>, store: Store) -> Self {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            changed: Notify::new(),
            over: watch::Sender::new(false),
        });
        tokio::spawn(run(shared.clone(), backend, store));
        Self { shared }
    }

    /// Requests a handover. It runs even if nobody waits for its result.
    ///
    /// # Errors
    /// The answer is an error when the handover fails, and when this was closed.
    pub fn ask(
        &self,
        spec: Spec,
        request: Request,
    ) -> impl Future<Output = Result<Outcome, EngineError>> + Send + use<> {
        let (answer, told) = oneshot::channel();
        let mut queue = self.shared.queue();
        if !queue.is_closed {
            queue.waiting.push_back(Order {
                spec,
                request,
                answer,
            });
        }
        drop(queue);
        self.shared.changed.notify_one();
        async move { told.await.unwrap_or(Err(EngineError::Closed)) }
    }

    /// Requests a deploy, unless one waits already: that one takes the latest build when it begins.
    #[must_use]
    pub fn ask_to_deploy(
        &self,
        spec: &Spec,
        request: Request,
    ) -> Option<impl Future<Output = Result<Outcome, EngineError>> + Send + use<>> {
        let is_deploy = |order: &Order| {
            order.request.purpose == Purpose::Deploy && order.request.wanted == Wanted::AsSpecified
        };
        if self.shared.queue().waiting.iter().any(is_deploy) {
            return None;
        }
        Some(self.ask(spec.clone(), request))
    }

    /// Refuses new requests, cancels the start in progress, and returns when the task has ended: nothing is started after
    /// that.
    pub async fn close(&self) {
        {
            let mut queue = self.shared.queue();
            queue.is_closed = true;
            queue.waiting.clear();
            if let Some(cancel) = &queue.under_way {
                cancel.ask();
            }
        }
        self.shared.changed.notify_one();
        let _ = self.shared.over.subscribe().wait_for(|over| *over).await;
    }
}

/// However the task ends, nobody waits for it any more.
struct ClosesQueue(Arc<Shared>);

impl Drop for ClosesQueue {
    fn drop(&mut self) {
        let mut queue = self.0.queue();
        queue.is_closed = true;
        queue.waiting.clear();
        drop(queue);
        self.0.over.send_replace(true);
    }
}

async fn run<B: Backend>(shared: Arc<Shared>, backend: Arc<B>, store: Store) {
    let _over = ClosesQueue(shared.clone());
    loop {
        let next = {
            let mut queue = shared.queue();
            let next = queue.waiting.pop_front();
            queue.under_way = next.as_ref().map(|order| order.request.cancel.clone());
            match next {
                None if queue.is_closed => break,
                next => next,
            }
        };
        let Some(order) = next else {
            shared.changed.notified().await;
            continue;
        };
        let result = hand_over(&*backend, &store, &order.spec, order.request).await;
        // The caller may have gone.
        let _ = order.answer.send(result);
    }
}
