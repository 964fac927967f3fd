//! Whether what is installed serves, and goes on to serve: what a rollout asks of a host before it goes to the next one.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::{Helper, HelperError, read_spec};
use crate::backend::{HandleState, HandleUnit};
use crate::drive::doing;
use crate::generation::{Generation, Phase, Running};
use crate::installed::{Comparison, Instead, compare};
use crate::store::{CrashRecord, HistoryEvent};

/// How often it is looked. A crash is written down within some milliseconds.
const PACE: Duration = Duration::from_millis(200);
/// How long the unit that settles an end may take until it has written it down.
const UNTIL_WRITTEN: Duration = Duration::from_secs(1);

/// Whether what is installed serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Serving {
    /// This generation does, and did for as long as it was asked.
    Yes(Generation),
    /// It does not.
    No(NotServing),
}

/// Why what is installed does not serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotServing {
    /// Nobody has started it.
    NotStarted,
    /// Something else serves.
    Instead(Instead),
    /// It has crashed.
    Crashed(Box<CrashRecord>),
    /// It is not current any more.
    Replaced {
        /// Which one was.
        was: Generation,
        /// Which one is.
        by: Option<Generation>,
    },
    /// It has no process that is READY.
    NotReady(Generation),
}

/// One look at an app.
#[derive(Debug)]
struct Look {
    current: Option<Generation>,
    running: Vec<Running>,
    /// Crashes of all generations within the time that counts.
    crashes: Vec<CrashRecord>,
}

impl Look {
    /// Why `generation`, which was current, does not serve.
    fn against(&self, generation: Generation) -> Option<NotServing> {
        // First, because it says why where the others say what came of it.
        let mut crashes = self.crashes.iter().rev();
        if let Some(crash) = crashes.find(|crash| crash.generation == generation) {
            return Some(NotServing::Crashed(Box::new(crash.clone())));
        }
        if self.current != Some(generation) {
            return Some(NotServing::Replaced {
                was: generation,
                by: self.current,
            });
        }
        let is_serving =
            |one: &Running| one.generation == generation && one.phase == Phase::Serving;
        (!self.running.iter().any(is_serving)).then_some(NotServing::NotReady(generation))
    }
}

impl<M: HandleUnit> Helper<'_, M> {
    /// Whether what is installed serves, and has or does for `time` since its handover, without a crash. So a rollout that was
    /// interrupted asks again, and waits for what is left of the time.
    ///
    /// # Errors
    /// When it is not installed, its spec or its history cannot be read, or the manager does not answer.
    pub async fn serving(&self, time: Duration) -> Result<Serving, HelperError> {
        let (now, begun) = (Timestamp::now(), Instant::now());
        let current = match self.installed_serves().await? {
            Ok(current) => current,
            Err(why) => return Ok(Serving::No(why)),
        };
        let until = begun + remaining(self.handed_over(current)?, now, time);
        let since = now - time;
        loop {
            // Before the look, so that the last one is not too early.
            let is_over = Instant::now() >= until;
            let mut why = self.look(since).await?.against(current);
            if matches!(why, Some(NotServing::NotReady(_))) {
                // What has just crashed is written down a moment later, with its reason.
                sleep(UNTIL_WRITTEN).await;
                why = self.look(since).await?.against(current);
            }
            if let Some(why) = why {
                return Ok(Serving::No(why));
            }
            if is_over {
                return Ok(Serving::Yes(current));
            }
            sleep(PACE.min(until - Instant::now())).await;
        }
    }

    async fn installed_serves(&self) -> Result<Result<Generation, NotServing>, HelperError> {
        let store = self.store;
        let handle = self.installed_handle().await?;
        let Some(current) = store.current().filter(|_| handle == HandleState::Active) else {
            return Ok(Err(NotServing::NotStarted));
        };
        if store.maintenance().is_some() {
            return Ok(Err(NotServing::Instead(Instead::Maintenance)));
        }
        let installed = self.manager.installed_spec().await?;
        let comparison = match &installed {
            Some(path) => compare(self.manager, store, &read_spec(path)?).await,
            None => Comparison::Unknown,
        };
        let last = store.last_handover().map_err(doing("read the history"))?;
        let by = store.spec_path();
        let other_spec = by.is_some() && installed.is_some() && by != installed;
        let is_holding = store.is_holding(current);
        let instead = Instead::of(last.as_ref(), is_holding, other_spec, comparison);
        Ok(instead.map_or(Ok(current), |instead| Err(NotServing::Instead(instead))))
    }

    /// When `generation` became current.
    fn handed_over(&self, generation: Generation) -> Result<Option<Timestamp>, HelperError> {
        let events = self.store.events().map_err(doing("read the history"))?;
        let mut handovers = events.into_iter().rev().filter_map(|event| match event {
            HistoryEvent::Handover(record) => Some(record),
            _ => None,
        });
        let of_it = handovers.find(|record| record.generation == Some(generation));
        Ok(of_it.map(|record| record.at))
    }

    async fn look(&self, since: Timestamp) -> Result<Look, HelperError> {
        let events = self.store.events().map_err(doing("read the history"))?;
        let crashes = events.into_iter().filter_map(|event| match event {
            HistoryEvent::Crash(crash) if crash.at >= since => Some(crash),
            _ => None,
        });
        Ok(Look {
            crashes: crashes.collect(),
            running: self.manager.running().await?,
            current: self.store.current(),
        })
    }
}

/// What is left of `time` for a generation that is current since `since`. A clock that was set back makes it no longer.
fn remaining(since: Option<Timestamp>, now: Timestamp, time: Duration) -> Duration {
    let served = since.map_or(0, |since| now.duration_since(since).as_millis().max(0));
    time.saturating_sub(Duration::from_millis(
        u64::try_from(served).unwrap_or(u64::MAX),
    ))
}

impl fmt::Display for NotServing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted => f.write_str("nobody has started it"),
            Self::Instead(instead) => instead.fmt(f),
            Self::Crashed(crash) => {
                write!(
                    f,
                    "generation {} crashed: {}",
                    crash.generation, crash.reason
                )
            }
            Self::Replaced { was, by: Some(by) } => {
                write!(f, "generation {by} has taken the place of {was}")
            }
            Self::Replaced { was, by: None } => {
                write!(f, "generation {was} is not current any more")
            }
            Self::NotReady(generation) => {
                write!(f, "generation {generation} has no process that is READY")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Decision;

    const GENERATION: Generation = Generation(4);

    fn steady() -> Look {
        Look {
            current: Some(GENERATION),
            running: vec![Running {
                generation: GENERATION,
                phase: Phase::Serving,
            }],
            crashes: Vec::new(),
        }
    }

    fn crash(generation: u64) -> CrashRecord {
        CrashRecord {
            at: Timestamp::now(),
            generation: Generation(generation),
            digest: None,
            label: None,
            reason: "it was killed by SIGSEGV".to_owned(),
            crashes: 1,
            decision: Decision::Restart,
            pause_milliseconds: None,
            status: String::new(),
            invocation: None,
        }
    }

    #[test]
    fn a_generation_serves_that_is_current_ready_and_has_not_crashed() {
        assert_eq!(steady().against(GENERATION), None);
        let draining = Running {
            generation: Generation(3),
            phase: Phase::Draining,
        };
        let mut look = steady();
        look.running.push(draining);
        look.crashes.push(crash(3));
        assert_eq!(look.against(GENERATION), None, "others do not count");
    }

    #[test]
    fn what_has_served_for_a_part_of_the_time_is_waited_for_no_longer() {
        let (now, ten) = (Timestamp::now(), Duration::from_secs(10));
        let left = |since| remaining(since, now, ten);
        assert_eq!(left(None), ten);
        assert_eq!(
            left(Some(now - Duration::from_secs(4))),
            Duration::from_secs(6)
        );
        assert_eq!(left(Some(now - Duration::from_secs(400))), Duration::ZERO);
        assert_eq!(
            left(Some(now + Duration::from_secs(400))),
            ten,
            "a clock that was set back"
        );
    }

    #[test]
    fn what_does_not_serve_is_told_by_its_cause() {
        let mut look = steady();
        look.running[0].phase = Phase::Starting;
        assert_eq!(
            look.against(GENERATION),
            Some(NotServing::NotReady(GENERATION))
        );
        look.running.clear();
        assert_eq!(
            look.against(GENERATION),
            Some(NotServing::NotReady(GENERATION))
        );
        look.current = Some(Generation(5));
        let replaced = NotServing::Replaced {
            was: GENERATION,
            by: Some(Generation(5)),
        };
        assert_eq!(look.against(GENERATION), Some(replaced));
        look.crashes.push(crash(4));
        let told = look.against(GENERATION).unwrap().to_string();
        assert_eq!(told, "generation 4 crashed: it was killed by SIGSEGV");
    }
}
