//! Check of a rollout: the installed release serves, and keeps serving. A rollout runs it on each host before it continues
//! with the next.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::{Helper, HelperError, read_spec};
use crate::backend::{HandleState, HandleUnit};
use crate::execute::doing;
use crate::generation::{Generation, Phase, Running};
use crate::installed::{Comparison, Mismatch, compare};
use crate::release::Digest;
use crate::store::{CrashRecord, HandoverResult, HistoryEvent};

/// How often it looks. A crash is recorded within some milliseconds.
const PACE: Duration = Duration::from_millis(200);
/// How long the settle unit may take to record an end.
const UNTIL_WRITTEN: Duration = Duration::from_secs(1);

/// Whether the installed release serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Serving {
    /// This generation serves, and did for the requested time.
    Yes(Generation),
    /// It does not.
    No(NotServing),
}

/// Why the installed release does not serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotServing {
    /// The app was not started.
    NotStarted,
    /// Something else serves.
    Mismatch(Mismatch),
    /// It has crashed.
    Crashed(Box<CrashRecord>),
    /// It is not current any more.
    Replaced {
        /// The earlier current generation.
        was: Generation,
        /// The present one.
        by: Option<Generation>,
    },
    /// It has no process that is READY.
    NotReady(Generation),
}

/// State of an app at one moment.
#[derive(Debug)]
struct Snapshot {
    current: Option<Generation>,
    running: Vec<Running>,
    /// The last crash of the release within the relevant time.
    crash: Option<CrashRecord>,
}

impl Snapshot {
    /// Why `generation`, which was current, does not serve.
    fn against(&self, generation: Generation) -> Option<NotServing> {
        // First, because it gives the reason where the others give the result.
        if let Some(crash) = &self.crash {
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
    /// Whether the installed release serves, and has served for `time` since its handover, without a crash; waits for the
    /// rest of that time. So an interrupted rollout can ask again.
    ///
    /// # Errors
    /// When it is not installed, its spec or its history cannot be read, or the manager does not answer.
    pub async fn serving(&self, time: Duration) -> Result<Serving, HelperError> {
        let (now, begun) = (Timestamp::now(), Instant::now());
        let current = match self.installed_serves().await? {
            Ok(current) => current,
            Err(why) => return Ok(Serving::No(why)),
        };
        let stretch = CurrentPeriod::of(&self.events()?, current);
        let since = stretch.as_ref().map(|stretch| stretch.current_since);
        let until = begun + remaining(since, now, time);
        let look = || self.look(stretch.as_ref(), now - time);
        loop {
            // Before the look, so that the last look is not too early.
            let is_over = Instant::now() >= until;
            let mut why = look().await?.against(current);
            if matches!(why, Some(NotServing::NotReady(_))) {
                // A crash is recorded a moment later, with its reason.
                sleep(UNTIL_WRITTEN).await;
                why = look().await?.against(current);
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
            return Ok(Err(NotServing::Mismatch(Mismatch::Maintenance)));
        }
        let installed = self.manager.installed_spec().await?;
        let comparison = match &installed {
            Some(path) => compare(self.manager, store, &read_spec(path)?).await,
            None => Comparison::Unknown,
        };
        let last = store.last_handover().map_err(doing("read the history"))?;
        let by = store.spec_path();
        let other_spec = by.is_some() && installed.is_some() && by != installed;
        let is_holding_page = store.is_holding_page(current);
        let instead = Mismatch::of(last.as_ref(), is_holding_page, other_spec, comparison);
        Ok(instead.map_or(Ok(current), |instead| Err(NotServing::Mismatch(instead))))
    }

    fn events(&self) -> Result<Vec<HistoryEvent>, HelperError> {
        Ok(self.store.events().map_err(doing("read the history"))?)
    }

    async fn look(
        &self,
        stretch: Option<&CurrentPeriod>,
        since: Timestamp,
    ) -> Result<Snapshot, HelperError> {
        let events = self.events()?;
        Ok(Snapshot {
            crash: stretch.and_then(|stretch| stretch.crash(&events, since)),
            running: self.manager.running().await?,
            current: self.store.current(),
        })
    }
}

/// The time for which a release has been current without another in between, in one generation or in several: after a crash
/// it may have been started again as another generation.
#[derive(Debug)]
struct CurrentPeriod {
    release: Option<Digest>,
    begun: Timestamp,
    /// The handover to the current generation.
    current_since: Timestamp,
}

impl CurrentPeriod {
    /// The period of the release of `current`; none if the history does not reach back to its handover.
    fn of(events: &[HistoryEvent], current: Generation) -> Option<Self> {
        let handovers = events.iter().rev().filter_map(|event| match event {
            HistoryEvent::Handover(record) if has_switched(record.result) => Some(record),
            _ => None,
        });
        let mut handovers = handovers.skip_while(|record| record.generation != Some(current));
        let last = handovers.next()?;
        let before = handovers.take_while(|record| record.digest == last.digest);
        Some(Self {
            release: last.digest.clone(),
            begun: before.last().unwrap_or(last).at,
            current_since: last.at,
        })
    }

    /// The last crash in it, not before `since`.
    fn crash(&self, events: &[HistoryEvent], since: Timestamp) -> Option<CrashRecord> {
        let mut crashes = events.iter().rev().filter_map(|event| match event {
            HistoryEvent::Crash(crash) => Some(crash),
            _ => None,
        });
        let counts = |crash: &&CrashRecord| {
            crash.at >= since.max(self.begun) && crash.digest == self.release
        };
        crashes.find(counts).cloned()
    }
}

/// Whether another generation is current after a handover with this result.
fn has_switched(result: HandoverResult) -> bool {
    !matches!(result, HandoverResult::Failed | HandoverResult::Refused)
}

/// The rest of `time` for a generation that has been current since `since`. A clock that was set back makes it no longer.
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
            Self::Mismatch(instead) => instead.fmt(f),
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

    fn steady() -> Snapshot {
        Snapshot {
            current: Some(GENERATION),
            running: vec![Running {
                generation: GENERATION,
                phase: Phase::Serving,
            }],
            crash: None,
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn crash(generation: u64, seconds: i64, release: &str) -> CrashRecord {
        CrashRecord {
            at: at(seconds),
            generation: Generation(generation),
            digest: Some(digest(release)),
            label: None,
            reason: "it was killed by SIGSEGV".to_owned(),
            crashes: 1,
            decision: Decision::Restart,
            pause_milliseconds: None,
            status: String::new(),
            invocation: None,
        }
    }

    fn digest(release: &str) -> Digest {
        serde_json::from_value(serde_json::json!(release)).unwrap()
    }

    fn handover(generation: u64, seconds: i64, release: &str, result: &str) -> HistoryEvent {
        let json = serde_json::json!({
            "event": "handover", "at": at(seconds), "purpose": "reload", "result": result, "generation": generation,
            "previous": null, "digest": release, "source": null, "drained": [], "reason": null,
            "steps": { "lockMilliseconds": 0.0, "takeMilliseconds": 0.0, "startMilliseconds": 0.0, "totalMilliseconds": 0.0 },
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_crash_counts_against_the_release_whatever_generation_runs_it() {
        let events = [
            handover(1, 0, "new", "handed-over"),
            HistoryEvent::Crash(crash(1, 5, "new")),
            handover(2, 10, "old", "handed-over"),
            handover(3, 20, "new", "handed-over"),
            HistoryEvent::Crash(crash(2, 21, "old")),
            HistoryEvent::Crash(crash(3, 22, "new")),
            handover(5, 23, "other", "failed"),
            handover(4, 24, "new", "handed-over"),
        ];
        let stretch = CurrentPeriod::of(&events, GENERATION).unwrap();
        assert_eq!((stretch.begun, stretch.current_since), (at(20), at(24)));
        let crash = |since| {
            let crash = stretch.crash(&events, at(since))?;
            Some(crash.generation)
        };
        assert_eq!(crash(0), Some(Generation(3)));
        assert_eq!(crash(23), None, "it was before the time that counts");
        let without = [&events[..5], &events[6..]].concat();
        assert_eq!(
            stretch.crash(&without, at(0)),
            None,
            "it was tried before, and replaced"
        );
        assert!(CurrentPeriod::of(&events, Generation(9)).is_none());
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
        look.crash = Some(crash(4, 0, "new"));
        let told = look.against(GENERATION).unwrap().to_string();
        assert_eq!(told, "generation 4 crashed: it was killed by SIGSEGV");
    }
}
