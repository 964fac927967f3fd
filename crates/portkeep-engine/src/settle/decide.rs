//! Decides what follows the end of a generation. Pure, over facts.

use std::time::Duration;

use jiff::Timestamp;
use portkeep_spec::Spec;

use crate::end::{Cause, End};
use crate::store::Decision;

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
        Self::from(&portkeep_spec::Restart::default())
    }
}

impl From<&portkeep_spec::Restart> for Budget {
    fn from(restart: &portkeep_spec::Restart) -> Self {
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
        Self::from(&spec.restart)
    }
}

/// Role of a generation when it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Somebody starts it again already.
    Restarting,
    /// It is the current one.
    Current,
    /// Another one is current, and lives, or has its own end settled.
    Replaced,
    /// Nobody is current: its handover was killed, or the link was lost or leads to nobody.
    Orphaned,
}

impl Role {
    /// Whether there is nothing to do, whatever the handle is.
    #[must_use]
    pub fn needs_no_decision(self) -> bool {
        matches!(self, Self::Restarting | Self::Replaced)
    }
}

/// What the app is, as its handle says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handle {
    /// It is up: somebody has to serve.
    Up,
    /// It is being started: whoever does that sees to a generation.
    Starting,
    /// The app was stopped: nobody is to serve.
    Down,
}

/// Whether we have the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locked {
    /// Nobody else is at work.
    ByUs,
    /// A handover is at work, or somebody who holds the lock does not go on.
    ByOthers,
}

/// What settle does after a process of a generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settle {
    /// Nothing: it was asked to end, or its handover deals with it.
    Nothing,
    /// Nothing either, and nobody is current any more: the app was stopped.
    Forget,
    /// Start the same generation again after this pause.
    Restart {
        /// The pause.
        after: Duration,
    },
    /// Nobody serves any more: give the handle back, so that the next connection starts a generation anew.
    Rest,
    /// It is of no use to start it again: start the handle anew at once, for another release or the holding page.
    Renew {
        /// It crashed too often: its release is not to be started again by itself.
        is_bad: bool,
    },
}

impl Settle {
    /// The word in the history, for a crash that somebody may want to hear of.
    #[must_use]
    pub fn decision(self) -> Decision {
        match self {
            Self::Restart { .. } => Decision::Restart,
            Self::Renew { .. } => Decision::GiveUp,
            Self::Nothing | Self::Forget | Self::Rest => Decision::Abandon,
        }
    }
}

/// Decides after an end of a generation. `ends` are all its ends, the last one included.
///
/// Without the lock only one thing is safe, because it changes nothing that a handover decides: to start the current
/// generation again. It is done then whatever the end was: connections must not wait for somebody who holds the lock. What
/// else had to be done is decided at its next end.
#[must_use]
pub fn settle(
    budget: Budget,
    ends: &[End],
    role: Role,
    handle: Handle,
    locked: Locked,
    now: Timestamp,
) -> Settle {
    if role.needs_no_decision() {
        return Settle::Nothing;
    }
    let crashed = ends.last().is_some_and(End::is_crash);
    let crashes = recent_crashes(budget, ends, now);
    let restart = Settle::Restart {
        after: pause(budget, crashes),
    };
    match (role, handle) {
        (Role::Current, Handle::Down) if locked == Locked::ByUs => return Settle::Forget,
        // A start that fails says so by itself, and one that has the lock starts another generation.
        (_, Handle::Down) | (Role::Orphaned, Handle::Starting) => return Settle::Nothing,
        (Role::Current, Handle::Starting) if locked == Locked::ByOthers => {
            return Settle::Nothing;
        }
        _ => {}
    }
    match (role, locked) {
        (Role::Restarting | Role::Replaced, _) | (Role::Orphaned, Locked::ByOthers) => {
            Settle::Nothing
        }
        (Role::Orphaned, Locked::ByUs) => Settle::Rest,
        (Role::Current, Locked::ByOthers) => restart,
        (Role::Current, Locked::ByUs) if !crashed => Settle::Rest,
        (Role::Current, Locked::ByUs) if is_setup(ends) => Settle::Renew { is_bad: false },
        (Role::Current, Locked::ByUs) if crashes >= budget.crashes => {
            Settle::Renew { is_bad: true }
        }
        (Role::Current, Locked::ByUs) => restart,
    }
}

/// Whether it did not even come to the app's own code: another start would end the same way.
fn is_setup(ends: &[End]) -> bool {
    ends.last()
        .is_some_and(|end| matches!(end.cause(), Cause::Setup(_)))
}

/// It doubles from crash to crash. An end in good order makes none.
fn pause(budget: Budget, crashes: u32) -> Duration {
    if crashes == 0 {
        return Duration::ZERO;
    }
    let doublings = (crashes - 1).min(16);
    budget
        .delay
        .saturating_mul(1 << doublings)
        .min(budget.max_delay)
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
            invocation: None,
            result: result.to_owned(),
            code: "exited".to_owned(),
            status: "1".to_owned(),
            ready: true,
        }
    }

    fn decide_with(ends: &[End], role: Role, handle: Handle, locked: Locked) -> Settle {
        let now = Timestamp::from_second(1_000_000).unwrap();
        settle(BUDGET, ends, role, handle, locked, now)
    }

    fn decide(ends: &[End], role: Role, locked: Locked) -> Settle {
        decide_with(ends, role, Handle::Up, locked)
    }

    /// Whatever the end was: an operator who stops an app does not want it back.
    #[test]
    fn what_was_stopped_stays_stopped() {
        let (us, others) = (Locked::ByUs, Locked::ByOthers);
        for ends in [
            vec![end("exit-code", 0)],
            vec![end("success", 0)],
            vec![end("timeout", 0)],
        ] {
            for (role, locked, expected) in [
                (Role::Current, us, Settle::Forget),
                (Role::Current, others, Settle::Nothing),
                (Role::Orphaned, us, Settle::Nothing),
                (Role::Replaced, us, Settle::Nothing),
            ] {
                let decided = decide_with(&ends, role, Handle::Down, locked);
                assert_eq!(decided, expected, "{role:?} {locked:?} {ends:?}");
            }
            // An activation is at work: it starts another one.
            let starting = decide_with(&ends, Role::Current, Handle::Starting, others);
            assert_eq!(starting, Settle::Nothing);
        }
    }

    fn restart(milliseconds: u64) -> Settle {
        Settle::Restart {
            after: Duration::from_millis(milliseconds),
        }
    }

    #[test]
    fn pauses_grow_up_to_the_longest() {
        let pauses: Vec<_> = (1..4)
            .map(|crashes| {
                let ends = vec![end("signal", 1); crashes];
                decide(&ends, Role::Current, Locked::ByUs)
            })
            .collect();
        assert_eq!(pauses, [100, 200, 350].map(restart));
    }

    #[test]
    fn the_budget_counts_only_crashes_within_the_window() {
        let four = vec![end("signal", 1); 4];
        let bad = Settle::Renew { is_bad: true };
        assert_eq!(decide(&four, Role::Current, Locked::ByUs), bad);
        let mut old = vec![end("signal", 61); 4];
        old.push(end("signal", 0));
        assert_eq!(decide(&old, Role::Current, Locked::ByUs), restart(100));
    }

    #[test]
    fn every_end_is_decided_by_where_the_generation_stands() {
        let clean = || vec![end("signal", 9), end("success", 0)];
        let crash = || vec![end("exit-code", 0)];
        let many = || vec![end("exit-code", 0); 9];
        // Without its credentials it would end the same way again.
        let setup = || {
            let mut one = end("exit-code", 0);
            (one.status, one.ready) = ("243".to_owned(), false);
            vec![one]
        };
        let (us, others) = (Locked::ByUs, Locked::ByOthers);
        let table = [
            // A clean end of the current one makes the socket listen again.
            (Role::Current, us, clean(), Settle::Rest),
            (Role::Current, us, crash(), restart(100)),
            (Role::Current, us, setup(), Settle::Renew { is_bad: false }),
            (Role::Current, us, many(), Settle::Renew { is_bad: true }),
            // Whoever holds the lock must not make connections wait.
            (Role::Current, others, clean(), restart(100)),
            (Role::Current, others, vec![end("success", 0)], restart(0)),
            (Role::Current, others, crash(), restart(100)),
            (Role::Current, others, many(), restart(350)),
            (Role::Replaced, us, clean(), Settle::Nothing),
            (Role::Replaced, us, crash(), Settle::Nothing),
            (Role::Restarting, us, crash(), Settle::Nothing),
            // Nobody else would see that an active handle has no generation.
            (Role::Orphaned, us, clean(), Settle::Rest),
            (Role::Orphaned, us, crash(), Settle::Rest),
            // A handover started it, and judges it.
            (Role::Orphaned, others, crash(), Settle::Nothing),
        ];
        for (role, locked, ends, expected) in table {
            let decided = decide(&ends, role, locked);
            assert_eq!(decided, expected, "{role:?} {locked:?} {ends:?}");
        }
    }
}
