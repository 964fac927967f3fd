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

impl Budget {
    /// What the spec allows.
    #[must_use]
    pub fn of(spec: &Spec) -> Self {
        let restart = &spec.restart;
        Self {
            delay: restart.delay.0,
            max_delay: restart.max_delay.0,
            crashes: restart.rollback_after,
            within: restart.within.0,
        }
    }
}

/// What the gate does before a process of a generation is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// Start it, after this further pause (the manager's own pause is the first `delay` already).
    Open {
        /// The pause.
        after: Duration,
    },
    /// Do not start it again: the budget is spent.
    Spent,
    /// Do not start it again: it never became current, and its handover has failed it already.
    NeverReady,
}

/// Decides at the gate. `ends` are the earlier ends of this generation.
#[must_use]
pub fn gate(budget: Budget, ends: &[End], was_ready: bool, now: Timestamp) -> Gate {
    if !was_ready {
        return if ends.iter().any(End::is_crash) { Gate::NeverReady } else { Gate::Open { after: Duration::ZERO } };
    }
    let recent = recent_crashes(budget, ends, now);
    if recent >= budget.crashes {
        return Gate::Spent;
    }
    let doublings = recent.saturating_sub(1).min(16);
    let total = budget.delay.saturating_mul(1 << doublings).min(budget.max_delay);
    Gate::Open { after: if recent == 0 { Duration::ZERO } else { total.saturating_sub(budget.delay) } }
}

fn recent_crashes(budget: Budget, ends: &[End], now: Timestamp) -> u32 {
    let recent = ends.iter().filter(|end| end.is_crash()).filter(|end| {
        let age = now.duration_since(end.at);
        age.unsigned_abs() <= budget.within
    });
    u32::try_from(recent.count()).unwrap_or(u32::MAX)
}

/// What settle does after a process of a generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settle {
    /// The manager restarts it, or somebody asked it to stop: nothing.
    Nothing,
    /// It is over and was current: drop the handle, so that the next connection starts a generation again.
    DropHandle {
        /// Its release crashed too often, and is not to be started again by itself.
        release_is_bad: bool,
    },
}

/// Decides after an end.
#[must_use]
pub fn settle(end: &End, is_current: bool) -> Settle {
    if !is_current || end.is_crash() {
        // A crash: the manager restarts it, and the gate is asked.
        return Settle::Nothing;
    }
    Settle::DropHandle { release_is_bad: end.result == "exec-condition" }
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
        End { at, result: result.to_owned(), code: "exited".to_owned(), status: "1".to_owned() }
    }

    fn decide(ends: &[End], was_ready: bool) -> Gate {
        gate(BUDGET, ends, was_ready, Timestamp::from_second(1_000_000).unwrap())
    }

    #[test]
    fn the_first_start_is_not_held_up() {
        assert_eq!(decide(&[], false), Gate::Open { after: Duration::ZERO });
        assert_eq!(decide(&[], true), Gate::Open { after: Duration::ZERO });
    }

    #[test]
    fn pauses_grow_up_to_the_longest() {
        let pauses: Vec<_> = (1..4).map(|crashes| decide(&vec![end("signal", 1); crashes], true)).collect();
        // 100, 200, 350 ms in all, of which the manager waits the first 100 itself.
        let expected = [0, 100, 250].map(|ms| Gate::Open { after: Duration::from_millis(ms) });
        assert_eq!(pauses, expected);
    }

    #[test]
    fn the_budget_counts_only_crashes_within_the_window() {
        assert_eq!(decide(&vec![end("signal", 1); 4], true), Gate::Spent);
        assert_eq!(decide(&vec![end("signal", 61); 4], true), Gate::Open { after: Duration::ZERO });
        assert_eq!(decide(&vec![end("success", 1); 4], true), Gate::Open { after: Duration::ZERO });
    }

    #[test]
    fn one_that_was_never_ready_is_not_started_twice() {
        assert_eq!(decide(&[end("exit-code", 1)], false), Gate::NeverReady);
    }

    #[test]
    fn only_the_end_of_the_current_one_drops_the_handle() {
        assert_eq!(settle(&end("signal", 0), true), Settle::Nothing);
        assert_eq!(settle(&end("success", 0), false), Settle::Nothing);
        assert_eq!(settle(&end("success", 0), true), Settle::DropHandle { release_is_bad: false });
        assert_eq!(settle(&end("exec-condition", 0), true), Settle::DropHandle { release_is_bad: true });
    }
}
