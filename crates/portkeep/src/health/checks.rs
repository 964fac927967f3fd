//! Checks of an app, and their latest results.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::BoxError;
use crate::task::{self, Boxed};

/// How long a check may take: load balancers wait for it, usually for two seconds.
const DEADLINE: Duration = Duration::from_secs(1);
/// How long a result is valid.
const FRESH: Duration = Duration::from_secs(1);

/// Nothing, or the reason of the failure.
pub(super) type Verdict = Result<(), String>;

type Ask = Box<dyn Fn() -> Boxed<Result<(), BoxError>> + Send + Sync>;

#[derive(Default)]
pub(crate) struct Checks(Mutex<BTreeMap<String, Check>>);

#[derive(Clone)]
enum Check {
    Said(Verdict),
    PolledCheck(Arc<PolledCheck>),
}

struct PolledCheck {
    ask: Ask,
    last: tokio::sync::Mutex<Option<(Instant, Verdict)>>,
}

impl Checks {
    pub(super) fn ask(
        &self,
        name: String,
        ask: impl Fn() -> Boxed<Result<(), BoxError>> + Send + Sync + 'static,
    ) {
        let asked = PolledCheck {
            ask: Box::new(ask),
            last: tokio::sync::Mutex::default(),
        };
        self.lock()
            .insert(name, Check::PolledCheck(Arc::new(asked)));
    }

    pub(super) fn say(&self, name: String, verdict: Verdict) {
        self.lock().insert(name, Check::Said(verdict));
    }

    pub(super) fn remove(&self, name: &str) {
        // Not dropped under the lock: it is the app's code.
        let removed = self.lock().remove(name);
        drop(removed);
    }

    /// Present results, by name. All checks run at the same time.
    pub(crate) async fn verdicts(&self) -> BTreeMap<String, Verdict> {
        let checks = self.lock().clone();
        let mut asking = JoinSet::new();
        let mut verdicts = BTreeMap::new();
        for (name, check) in checks {
            match check {
                Check::Said(verdict) => drop(verdicts.insert(name, verdict)),
                Check::PolledCheck(asked) => {
                    // The result if it panics.
                    verdicts.insert(name.clone(), Err("it panicked".to_owned()));
                    asking.spawn(task::boxed(async move { (name, asked.verdict().await) }));
                }
            }
        }
        while let Some(asked) = asking.join_next().await {
            verdicts.extend(asked);
        }
        verdicts
    }

    /// A panic elsewhere cannot have left the checks half changed.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Check>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PolledCheck {
    async fn verdict(&self) -> Verdict {
        // Others wait meanwhile, and get the same result.
        let mut last = self.last.lock().await;
        if let Some((at, verdict)) = &*last
            && at.elapsed() < FRESH
        {
            return verdict.clone();
        }
        let verdict = match timeout(DEADLINE, (self.ask)()).await {
            Ok(said) => said.map_err(|error| error.to_string()),
            Err(_) => Err(format!("it took longer than {DEADLINE:?}")),
        };
        *last = Some((Instant::now(), verdict.clone()));
        verdict
    }
}

impl fmt::Debug for Checks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.lock().keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use tokio::time::advance;

    use super::*;
    use crate::Health;

    fn failed(reason: &str) -> Verdict {
        Err(reason.to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_said_last_holds() {
        let health = Health::new();
        assert!(health.checks().verdicts().await.is_empty());
        health.fail("cache", "cold");
        health.check("database", || async {
            Err::<(), _>(io::Error::other("gone"))
        });
        let verdicts = health.checks().verdicts().await;
        let expected = [
            ("cache".to_owned(), failed("cold")),
            ("database".to_owned(), failed("gone")),
        ];
        assert_eq!(verdicts, expected.into());
        health.pass("cache");
        health.remove("database");
        let verdicts = health.checks().verdicts().await;
        assert_eq!(verdicts, [("cache".to_owned(), Ok(()))].into());
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_that_hangs_or_panics_has_failed_and_holds_up_nobody() {
        let health = Health::new();
        health.check("hangs", std::future::pending::<Result<(), BoxError>>);
        health.check("panics", || async {
            panic!("as asked") as Result<(), BoxError>
        });
        health.check("works", || async { Ok::<(), BoxError>(()) });
        let began = Instant::now();
        let verdicts = health.checks().verdicts().await;
        assert!(began.elapsed() <= DEADLINE, "{:?}", began.elapsed());
        assert_eq!(verdicts["hangs"], failed("it took longer than 1s"));
        assert_eq!(verdicts["panics"], failed("it panicked"));
        assert_eq!(verdicts["works"], Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn many_who_ask_ask_once() {
        let asked = Arc::new(AtomicU32::new(0));
        let health = Health::new();
        let counts = Arc::clone(&asked);
        health.check("one", move || {
            counts.fetch_add(1, Relaxed);
            async { Ok::<(), BoxError>(()) }
        });
        let all = async {
            tokio::join!(
                health.checks().verdicts(),
                health.checks().verdicts(),
                health.checks().verdicts()
            )
        };
        all.await;
        assert_eq!(asked.load(Relaxed), 1);
        advance(FRESH).await;
        health.checks().verdicts().await;
        assert_eq!(asked.load(Relaxed), 2);
    }
}
