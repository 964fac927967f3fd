//! What happens when a generation ends by itself: pure decisions over facts.

use std::time::Duration;

use jiff::Timestamp;
use portkeep_spec::Spec;

use crate::store::{Decision, End};

/// The limits of the spec's `restart`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Pause before the first restart.
    pub delay: Duration,
    /// Longest pause.
    pub max_delay: Duration,
    /// This many crashes within the window are too many.
    pub crashes: u32,
    /// The window.
    pub within: Duration,
}

/// What a spec that says nothing of it allows.
impl Default for Budget {
    fn default() -> Self {
        let restart = portkeep_spec::Restart::default();
        Self {
            delay: restart.delay.0,
            max_delay: restart.max_delay.0,
            crashes: restart.rollback_after,
            within: restart.within.0,
        }
    }
}

impl Budget {
    /// What the spec allows.
    #[must_use]
    pub fn of(spec: &Spec) -> Self {
        let restart = &spec.restart;
        Self {
            delay: restart.delay.0,
            max_delay: spec.longest_pause().0,
            crashes: restart.rollback_after,
            within: restart.within.0,
        }
    }
}

/// Where a generation stood when it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It was the current one.
    Current,
    /// A handover is at work: it started this one and judges it, or is replacing it.
    InHandover,
    /// Another one is current and alive.
    Replaced,
    /// Nobody is current, and nobody is at work: its handover was killed, or `current` was lost.
    Alone,
}

/// What settle does after a process of a generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settle {
    /// Nothing: it was asked to end, or its handover deals with it.
    Nothing,
    /// Let the manager start it again, after this pause (the manager's own pause, `delay`, comes after it).
    Restart {
        /// The pause.
        after: Duration,
    },
    /// It is not to be started again: nobody is waiting for it.
    Abandon,
    /// Nobody serves any more: drop the handle, so that the next connection starts a generation anew.
    DropHandle,
    /// It crashed too often, and its release is not to be started again by itself: start the handle anew at once, for
    /// the last good release or the holding page.
    GiveUp,
}

impl Settle {
    /// The word in the history, for a crash that somebody may want to hear of.
    #[must_use]
    pub fn decision(self) -> Option<Decision> {
        match self {
            Self::Nothing => None,
            Self::Restart { .. } => Some(Decision::Restart),
            Self::Abandon | Self::DropHandle => Some(Decision::Abandon),
            Self::GiveUp => Some(Decision::GiveUp),
        }
    }
}

/// Decides after an end of a generation. `ends` are all its ends, the last one included.
#[must_use]
pub fn settle(budget: Budget, ends: &[End], standing: Standing, now: Timestamp) -> Settle {
    let crashed = ends.last().is_some_and(End::is_crash);
    match standing {
        Standing::Current if crashed => restart(budget, recent_crashes(budget, ends, now)),
        Standing::Current | Standing::Alone => Settle::DropHandle,
        // The first crash is the handover's to judge. A second one means that whoever started it is gone.
        Standing::InHandover if ends.iter().filter(|end| end.is_crash()).count() > 1 && crashed => {
            Settle::Abandon
        }
        Standing::Replaced if crashed => Settle::Abandon,
        Standing::InHandover | Standing::Replaced => Settle::Nothing,
    }
}

fn restart(budget: Budget, crashes: u32) -> Settle {
    if crashes >= budget.crashes {
        return Settle::GiveUp;
    }
    let doublings = crashes.saturating_sub(1).min(16);
    let total = budget
        .delay
        .saturating_mul(1 << doublings)
        .min(budget.max_delay);
    Settle::Restart {
        after: total.saturating_sub(budget.delay),
    }
}

/// How many of `ends` are crashes within the window.
#[must_use]
pub fn recent_crashes(budget: Budget, ends: &[End], now: Timestamp) -> u32 {
    let recent = ends.iter().filter(|end| end.is_crash()).filter(|end| {
        let age = now.duration_since(end.at);
        age.unsigned_abs() <= budget.within
    });
    u32::try_from(recent.count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Budget = Budget {
        delay: Duration::from_millis(100),
        max_delay: Duration::from_millis(350),
        crashes: 4,
        within: Duration::from_secs(60),
    };

    fn end(result: &str, seconds_ago: i64) -> End {
        let at = Timestamp::from_second(1_000_000 - seconds_ago).unwrap();
        End {
            at,
            result: result.to_owned(),
            code: "exited".to_owned(),
            status: "1".to_owned(),
        }
    }

    fn decide(ends: &[End], standing: Standing) -> Settle {
        settle(
            BUDGET,
            ends,
            standing,
            Timestamp::from_second(1_000_000).unwrap(),
        )
    }

    #[test]
    fn pauses_grow_up_to_the_longest() {
        let pauses: Vec<_> = (1..4)
            .map(|crashes| decide(&vec![end("signal", 1); crashes], Standing::Current))
            .collect();
        // 100, 200, 350 ms in all, of which the manager waits the last 100 itself.
        let expected = [0, 100, 250].map(|ms| Settle::Restart {
            after: Duration::from_millis(ms),
        });
        assert_eq!(pauses, expected);
    }

    #[test]
    fn the_budget_counts_only_crashes_within_the_window() {
        let four = vec![end("signal", 1); 4];
        assert_eq!(decide(&four, Standing::Current), Settle::GiveUp);
        let mut old = vec![end("signal", 61); 4];
        old.push(end("signal", 0));
        assert_eq!(
            decide(&old, Standing::Current),
            Settle::Restart {
                after: Duration::ZERO
            }
        );
    }

    #[test]
    fn every_end_is_decided_by_where_the_generation_stood() {
        let clean = || vec![end("signal", 9), end("success", 0)];
        let crash = || vec![end("exit-code", 0)];
        let again = || vec![end("exit-code", 1), end("exit-code", 0)];
        let table = [
            // A clean end of the current one makes the socket listen again.
            (Standing::Current, clean(), Settle::DropHandle),
            (Standing::InHandover, clean(), Settle::Nothing),
            (Standing::InHandover, crash(), Settle::Nothing),
            (Standing::InHandover, again(), Settle::Abandon),
            (Standing::Replaced, clean(), Settle::Nothing),
            (Standing::Replaced, crash(), Settle::Abandon),
            // Nobody else would see that an active handle has no generation.
            (Standing::Alone, clean(), Settle::DropHandle),
            (Standing::Alone, crash(), Settle::DropHandle),
        ];
        for (standing, ends, expected) in table {
            assert_eq!(decide(&ends, standing), expected, "{standing:?} {ends:?}");
        }
    }
}
