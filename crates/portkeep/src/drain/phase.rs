//! Phase of a server, for many tasks that read it often and wait for it rarely.

use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Waker};

use pin_project_lite::pin_project;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// In order; a server only goes forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Serving,
    /// Nothing new is accepted; connections move to the next generation as soon as they can.
    Moving,
    /// Nothing new is accepted, and there is no next generation (any more): connections end in good order.
    Draining,
    /// The deadline is over: remaining connections are cut.
    Cut,
}

/// The current phase, and the tasks that wait for its end.
#[derive(Debug, Default)]
pub(crate) struct Phases {
    current: AtomicU8,
    /// A list for each phase. With a single list, a task that saw the new phase just before the list was notified would be
    /// woken for what it knows, and miss the next.
    ended: [Notify; 3],
}

impl Phases {
    #[inline]
    pub(crate) fn current(&self) -> Phase {
        match self.current.load(Ordering::SeqCst) {
            0 => Phase::Serving,
            1 => Phase::Moving,
            2 => Phase::Draining,
            _ => Phase::Cut,
        }
    }

    pub(crate) fn advance(&self, to: Phase) {
        let from = self.current.fetch_max(to as u8, Ordering::SeqCst);
        for ended in self.ended.iter().take(to as usize).skip(usize::from(from)) {
            ended.notify_waiters();
        }
    }

    /// Waits for a phase; returns at once if it is here or past.
    pub(crate) async fn reached(&self, phase: Phase) {
        let mut watch = std::pin::pin!(self.watch());
        std::future::poll_fn(|cx| match watch.as_mut().poll_phase(cx) {
            current if current >= phase => Poll::Ready(()),
            _ => Poll::Pending,
        })
        .await;
    }

    /// Handle for polling the phase of a connection.
    pub(crate) fn watch(&self) -> Watch<'_> {
        Watch {
            phases: self,
            phase: Phase::Serving,
            end: self.ended[0].notified(),
            registered: None,
        }
    }
}

pin_project! {
    /// Returns the phase, and wakes the task when it ends.
    ///
    /// It enters the list of waiters, which all connections share and lock, once for each phase and task, not at every
    /// poll.
    pub(crate) struct Watch<'a> {
        phases: &'a Phases,
        phase: Phase,
        #[pin]
        end: Notified<'a>,
        registered: Option<Waker>,
    }
}

impl Watch<'_> {
    pub(crate) fn poll_phase(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Phase {
        let mut this = self.project();
        loop {
            let current = this.phases.current();
            if current != *this.phase {
                *this.phase = current;
                *this.registered = None;
                if let Some(ended) = this.phases.ended.get(current as usize) {
                    this.end.set(ended.notified());
                }
                // `end` is notified from here on; look whether that was too late.
                continue;
            }
            if current == Phase::Cut {
                return current;
            }
            let waker = this.registered.as_ref();
            if waker.is_some_and(|waker| waker.will_wake(cx.waker())) {
                return current;
            }
            if this.end.as_mut().poll(cx).is_pending() {
                *this.registered = Some(cx.waker().clone());
                return current;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn it_only_moves_forward() {
        let phases = Phases::default();
        assert_eq!(phases.current(), Phase::Serving);
        phases.advance(Phase::Cut);
        phases.advance(Phase::Draining);
        assert_eq!(phases.current(), Phase::Cut);
    }

    #[tokio::test]
    async fn a_phase_that_is_over_does_not_wait() {
        let phases = Phases::default();
        phases.advance(Phase::Cut);
        phases.reached(Phase::Draining).await;
        phases.reached(Phase::Cut).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn everybody_hears_of_every_phase() {
        for _ in 0..200 {
            let phases = Arc::new(Phases::default());
            let waiters: Vec<_> = (0..8)
                .map(|_| {
                    let phases = Arc::clone(&phases);
                    tokio::spawn(async move {
                        phases.reached(Phase::Draining).await;
                        phases.reached(Phase::Cut).await;
                    })
                })
                .collect();
            tokio::task::yield_now().await;
            phases.advance(Phase::Draining);
            phases.advance(Phase::Cut);
            for waiter in waiters {
                tokio::time::timeout(std::time::Duration::from_secs(5), waiter)
                    .await
                    .unwrap()
                    .unwrap();
            }
        }
    }

    /// One watch, polled by one task through both changes: the list entry is renewed.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_watch_is_woken_twice() {
        for _ in 0..200 {
            let phases = Arc::new(Phases::default());
            let seen = tokio::spawn({
                let phases = Arc::clone(&phases);
                async move {
                    let mut watch = std::pin::pin!(phases.watch());
                    std::future::poll_fn(|cx| match watch.as_mut().poll_phase(cx) {
                        Phase::Cut => Poll::Ready(()),
                        _ => Poll::Pending,
                    })
                    .await;
                }
            });
            tokio::task::yield_now().await;
            phases.advance(Phase::Draining);
            tokio::task::yield_now().await;
            phases.advance(Phase::Cut);
            tokio::time::timeout(std::time::Duration::from_secs(5), seen)
                .await
                .unwrap()
                .unwrap();
        }
    }
}
