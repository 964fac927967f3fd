//! Detects that a server is idle.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::sleep;

use super::Shared;

/// The time is measured in this many steps, so that requests need not look at a clock.
const STEPS: u32 = 10;

/// A moment in which the server was idle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IdleMoment {
    /// Connections and requests since the start.
    came: [u64; 2],
}

impl Shared {
    /// This moment, if no request is open and no connection belongs to the app. Connections that wait for a request do not
    /// count: their clients may keep them as long as they like.
    fn quiet(&self) -> Option<IdleMoment> {
        // First: later ones are not part of the moment.
        let came = [self.arrived.load(Ordering::SeqCst), self.requests.began()];
        // A socket without a task was upgraded.
        let upgraded = self.live() > self.tasks();
        (self.requests.open() == 0 && !upgraded).then_some(IdleMoment { came })
    }

    /// Whether nothing has come since.
    pub(crate) fn is_still(&self, moment: IdleMoment) -> bool {
        self.quiet() == Some(moment)
    }

    /// Waits until the server was idle for `time`; at most a tenth longer. For ever without a time.
    pub(crate) async fn idle_for(&self, time: Option<Duration>) -> IdleMoment {
        let Some(time) = time else {
            return std::future::pending().await;
        };
        let step = (time / STEPS).max(Duration::from_millis(1));
        let mut steps = 0;
        let mut last = None;
        loop {
            sleep(step).await;
            let now = self.quiet();
            steps = if now.is_some() && now == last {
                steps + 1
            } else {
                0
            };
            last = now;
            if let Some(quiet) = now
                && steps >= STEPS
            {
                return quiet;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::time::Instant;

    use super::*;
    use crate::drain::{Began, Live, Task};
    use crate::moving::departures;

    const TIME: Option<Duration> = Some(Duration::from_secs(10));

    /// An open request.
    struct Request(Arc<Shared>, Option<Began>);

    impl Request {
        fn new(shared: &Arc<Shared>) -> Self {
            Self(Arc::clone(shared), Some(shared.requests.begin()))
        }
    }

    impl Drop for Request {
        fn drop(&mut self) {
            self.0.requests.end(self.1.take().unwrap());
        }
    }

    fn shared() -> Arc<Shared> {
        Arc::new(Shared::new(Duration::ZERO, departures().0))
    }

    #[tokio::test(start_paused = true)]
    async fn it_takes_the_time_and_little_more() {
        let shared = shared();
        let began = Instant::now();
        let quiet = shared.idle_for(TIME).await;
        let took = began.elapsed();
        assert!(
            (Duration::from_secs(10)..=Duration::from_secs(11)).contains(&took),
            "{took:?}"
        );
        assert!(shared.is_still(quiet));
        drop(Request::new(&shared));
        assert!(!shared.is_still(quiet));
    }

    /// What keeps a process alive, and how long after its end the process counts as idle.
    #[tokio::test(start_paused = true)]
    async fn what_is_not_idle() {
        type Hold = fn(&Arc<Shared>) -> Box<dyn std::any::Any>;
        let holds: [(&str, Hold); 2] = [
            ("a request", |shared| Box::new(Request::new(shared))),
            ("an upgraded connection", |shared| {
                Box::new(Live::new(shared))
            }),
        ];
        for (what, hold) in holds {
            let shared = shared();
            let held = hold(&shared);
            let waited =
                tokio::time::timeout(Duration::from_secs(100), shared.idle_for(TIME)).await;
            assert!(waited.is_err(), "{what}");
            drop(held);
            let began = Instant::now();
            shared.idle_for(TIME).await;
            assert!(began.elapsed() >= Duration::from_secs(10), "{what}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_waits_for_a_request_does_not_count_for_long() {
        let shared = shared();
        let open = (Task::new(&shared), Live::new(&shared));
        shared.idle_for(TIME).await;
        drop(open);
    }

    #[tokio::test(start_paused = true)]
    async fn something_now_and_then_is_enough() {
        let shared = shared();
        let visits = async {
            for _ in 0..20 {
                sleep(Duration::from_secs(9)).await;
                drop(Request::new(&shared));
            }
        };
        tokio::select! {
            () = visits => {}
            _ = shared.idle_for(TIME) => panic!("it was visited all the time"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_time_it_never_is() {
        let shared = shared();
        let never = tokio::time::timeout(Duration::from_secs(1000), shared.idle_for(None)).await;
        assert!(never.is_err());
    }
}
