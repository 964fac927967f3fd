//! Orders to a connection from the sweeper, which looks at all of them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use crate::limits::{Facts, Order};

/// Checked after each poll of a connection; takes a lock only if there is an order.
#[derive(Debug, Default)]
pub(super) struct OrderSlot {
    something: AtomicBool,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    order: Option<(Order, Facts)>,
    /// The task of the connection.
    waker: Option<Waker>,
}

/// The task that is registered already.
#[derive(Debug, Default)]
pub(super) struct OrderWaker(Option<Waker>);

impl OrderSlot {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A later order replaces one that was not received.
    pub(super) fn tell(&self, order: Order, facts: Facts) {
        let mut inner = self.inner();
        inner.order = Some((order, facts));
        self.something.store(true, Ordering::Release);
        if let Some(waker) = &inner.waker {
            waker.wake_by_ref();
        }
    }

    /// The order and its facts. The task is woken at the next one.
    #[inline]
    pub(super) fn hear(
        &self,
        cx: &mut Context<'_>,
        ear: &mut OrderWaker,
    ) -> Option<(Order, Facts)> {
        if !ear.0.as_ref().is_some_and(|ear| ear.will_wake(cx.waker())) {
            self.inner().waker = Some(cx.waker().clone());
            ear.0 = Some(cx.waker().clone());
        }
        if self.something.load(Ordering::Acquire) {
            return self.take();
        }
        None
    }

    #[cold]
    fn take(&self) -> Option<(Order, Facts)> {
        let mut inner = self.inner();
        self.something.store(false, Ordering::Relaxed);
        inner.order.take()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::task::Poll;

    use super::*;
    use crate::limits::{Reason, State};

    const FACTS: Facts = Facts {
        state: State::Idle,
        stamp: 1,
        spare: true,
        http2: false,
    };

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn nothing_that_is_said_is_missed() {
        for _ in 0..2000 {
            let told = Arc::new(OrderSlot::default());
            let hears = tokio::spawn({
                let told = Arc::clone(&told);
                async move {
                    let mut ear = OrderWaker::default();
                    poll_fn(|cx| match told.hear(cx, &mut ear) {
                        Some(said) => Poll::Ready(said),
                        None => Poll::Pending,
                    })
                    .await
                }
            });
            let order = Order::End(Reason::Idle);
            told.tell(order, FACTS);
            let heard = tokio::time::timeout(std::time::Duration::from_secs(20), hears);
            assert_eq!(heard.await.unwrap().unwrap(), (order, FACTS));
        }
    }
}
