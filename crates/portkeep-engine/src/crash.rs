//! What happens when a generation ends by itself: pure decisions over facts.

use std::time::Duration;

use jiff::Timestamp;
use portkeep_spec::Spec;

use crate::store::End;

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
    /// It was current and is over: drop the handle, so that the next connection starts a generation anew.
    DropHandle {
        /// Its release crashed too often, and is not to be started again by itself.
        release_is_bad: bool,
    },
}

/// Decides after an end of a generation. `ends` are all its ends, the last one included.
#[must_use]
pub fn settle(budget: Budget, ends: &[End], is_current: bool, now: Timestamp) -> Settle {
    let crashed = ends.last().is_some_and(End::is_crash);
    if !is_current {
        // The first crash of one that is not current is its handover's to judge. A second one means that whoever
        // started it is gone.
        let crashes = ends.iter().filter(|end| end.is_crash()).count();
        return if crashed && crashes > 1 {
            Settle::Abandon
        } else {
            Settle::Nothing
        };
    }
    if !crashed {
        return Settle::DropHandle {
            release_is_bad: false,
        };
    }
    let recent = recent_crashes(budget, ends, now);
    if recent >= budget.crashes {
        return Settle::DropHandle {
            release_is_bad: true,
        };
    }
    let doublings = recent.saturating_sub(1).min(16);
    let total = budget
        .delay
        .saturating_mul(1 << doublings)
        .min(budget.max_delay);
    Settle::Restart {
        after: total.saturating_sub(budget.delay),
    }
}

fn recent_crashes(budget: Budget, ends: &[End], now: Timestamp) -> u32 {
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

    fn decide(ends: &[End], is_current: bool) -> Settle {
        settle(
            BUDGET,
            ends,
            is_current,
            Timestamp::from_second(1_000_000).unwrap(),
        )
    }

    #[test]
    fn pauses_grow_up_to_the_longest() {
        let pauses: Vec<_> = (1..4)
            .map(|crashes| decide(&vec![end("signal", 1); crashes], true))
            .collect();
        // 100, 200, 350 ms in all, of which the manager waits the last 100 itself.
        let expected = [0, 100, 250].map(|ms| Settle::Restart {
            after: Duration::from_millis(ms),
        });
        assert_eq!(pauses, expected);
    }

    #[test]
    fn the_budget_counts_only_crashes_within_the_window() {
        let spent = Settle::DropHandle {
            release_is_bad: true,
        };
        assert_eq!(decide(&vec![end("signal", 1); 4], true), spent);
        let mut old = vec![end("signal", 61); 4];
        old.push(end("signal", 0));
        assert_eq!(
            decide(&old, true),
            Settle::Restart {
                after: Duration::ZERO
            }
        );
    }

    #[test]
    fn a_clean_end_of_the_current_one_makes_the_socket_listen_again() {
        assert_eq!(
            decide(&[end("signal", 9), end("success", 0)], true),
            Settle::DropHandle {
                release_is_bad: false
            }
        );
    }

    #[test]
    fn one_that_is_not_current_is_its_handovers_to_judge_once() {
        assert_eq!(decide(&[end("success", 0)], false), Settle::Nothing);
        assert_eq!(decide(&[end("exit-code", 1)], false), Settle::Nothing);
        assert_eq!(
            decide(&[end("exit-code", 1), end("exit-code", 0)], false),
            Settle::Abandon
        );
    }
}
