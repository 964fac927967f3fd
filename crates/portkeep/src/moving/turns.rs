//! Turns of connections that want to move: how many may be on their way at once.
//!
//! A connection that has left its task is answered by nobody until the next generation has it. If all of them left at once,
//! those that are asked would wait behind thousands that are not. So each waits for its turn where it is served.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many connections may be on their way: enough that both processes always have one to work at, and so few that the last one
/// is there after some milliseconds. Far below the number of descriptors that a user may have on their way in sockets, its limit
/// of open files.
pub(crate) const AT_ONCE: usize = 256;

/// In the order in which they were asked for.
#[derive(Debug, Clone)]
pub(super) struct Turns(Arc<Semaphore>);

/// That a connection may leave its task. When it is dropped, the next one may.
#[derive(Debug)]
pub(crate) struct Turn {
    /// None if there is nothing to wait for.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Turns {
    /// Waits for one.
    pub(super) async fn next(self) -> Turn {
        Turn {
            // Nobody closes it.
            _permit: self.0.acquire_owned().await.ok(),
        }
    }
}

/// A connection in the queue for a [`Turn`], while it is served.
#[derive(Default)]
pub(crate) struct Queue(Option<Pin<Box<dyn Future<Output = Turn> + Send>>>);

impl Queue {
    /// Its turn, if it `can` move now and the turn has come. One that comes while it cannot is the next one's, and it queues
    /// again when it can: nobody waits for a connection that is asked something.
    pub(crate) fn poll<F>(
        &mut self,
        cx: &mut Context<'_>,
        can: bool,
        turn: impl FnOnce() -> F,
    ) -> Option<Turn>
    where
        F: Future<Output = Turn> + Send + 'static,
    {
        if self.0.is_none() && !can {
            return None;
        }
        let waiting = self.0.get_or_insert_with(|| Box::pin(turn()));
        let Poll::Ready(turn) = waiting.as_mut().poll(cx) else {
            return None;
        };
        self.0 = None;
        can.then_some(turn)
    }

    /// It does not move any more, or not yet.
    pub(crate) fn leave(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::task::yield_now;

    use super::*;

    /// Once.
    async fn look(queue: &mut Queue, can: bool, turns: &Turns) -> Option<Turn> {
        poll_fn(|cx| Poll::Ready(queue.poll(cx, can, || turns.clone().next()))).await
    }

    /// All that there are.
    async fn all(turns: &Turns) -> Vec<Turn> {
        let mut all = Vec::new();
        for _ in 0..AT_ONCE {
            all.push(turns.clone().next().await);
            // The runtime lets a task have so many at a time.
            yield_now().await;
        }
        all
    }

    #[tokio::test]
    async fn so_many_are_on_their_way_and_the_others_wait_in_order() {
        let turns = Turns::default();
        let mut under_way = all(&turns).await;
        let (mut first, mut second) = (Queue::default(), Queue::default());
        assert!(look(&mut first, true, &turns).await.is_none());
        assert!(look(&mut second, true, &turns).await.is_none());
        under_way.pop();
        assert!(look(&mut second, true, &turns).await.is_none());
        assert!(look(&mut first, true, &turns).await.is_some());
        // It was dropped, so the next one has it.
        assert!(look(&mut second, true, &turns).await.is_some());
    }

    #[tokio::test]
    async fn a_turn_of_one_that_is_asked_something_is_the_next_ones() {
        let turns = Turns::default();
        let mut under_way = all(&turns).await;
        let (mut asked, mut idle, mut gone) =
            (Queue::default(), Queue::default(), Queue::default());
        for queue in [&mut gone, &mut asked, &mut idle] {
            assert!(look(queue, true, &turns).await.is_none());
        }
        gone.leave();
        let woken = tokio::spawn(turns.clone().next());
        yield_now().await;
        under_way.pop();
        assert!(look(&mut asked, false, &turns).await.is_none());
        let turn = look(&mut idle, true, &turns).await;
        assert!(turn.is_some());
        assert!(!woken.is_finished(), "it has come later");
        drop(turn);
        woken.await.unwrap();
        assert!(look(&mut asked, true, &turns).await.is_some());
    }
}
