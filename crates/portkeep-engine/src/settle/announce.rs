//! Journal entry about a crash.

use super::decide::{Budget, Settle};
use crate::backend::StartFailure;
use crate::decision::{AnnouncementDetails, DecisionKind};
use crate::store::CrashRecord;

impl Settle {
    /// The decision after a crash.
    #[must_use]
    pub fn decided(self) -> DecisionKind {
        match self {
            Self::Restart { .. } => DecisionKind::StartedAgain,
            Self::Renew { is_bad: true } => DecisionKind::GivenUp,
            Self::Renew { is_bad: false } => DecisionKind::Waits,
            Self::Nothing | Self::Forget | Self::Rest => DecisionKind::NotStartedAgain,
        }
    }

    /// The journal entry about a crash, for this decision and this `budget`.
    pub(super) fn told(self, crash: &CrashRecord, budget: Budget) -> AnnouncementDetails {
        let (crashes, within) = (crash.crashes, budget.within);
        let then = match self {
            Self::Restart { after } => {
                format!("crash {crashes} within {within:?}, started again after {after:?}")
            }
            Self::Renew { is_bad: true } => format!(
                "crash {crashes} of {} within {within:?}: its release is given up",
                budget.crashes
            ),
            Self::Renew { is_bad: false } => "it is started as soon as that can be".to_owned(),
            Self::Rest | Self::Nothing | Self::Forget => "it is not started again".to_owned(),
        };
        let message = format!("generation {}: {}; {then}", crash.generation, crash.reason);
        AnnouncementDetails {
            generation: Some(crash.generation),
            release: crash
                .digest
                .as_ref()
                .map(|digest| digest.as_str().to_owned()),
            label: crash.label.clone(),
            reason: Some(StartFailure::first_clause(&crash.reason).to_owned()),
            crashes,
            ..AnnouncementDetails::plain(self.decided(), message)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::store::HandoverRecord;

    const SETTLED: [Settle; 6] = [
        Settle::Nothing,
        Settle::Forget,
        Settle::Rest,
        Settle::Restart {
            after: Duration::from_millis(100),
        },
        Settle::Renew { is_bad: true },
        Settle::Renew { is_bad: false },
    ];

    /// Every outcome of a handover, a crash and a drain is one of the kinds that have an entry.
    #[test]
    fn each_result_is_one_of_all() {
        let mut seen = BTreeSet::new();
        for result in [
            "handed-over",
            "fell-back",
            "holding",
            "maintenance",
            "failed",
            "refused",
        ] {
            for purpose in ["reload", "rollback"] {
                let record: HandoverRecord = serde_json::from_value(json!({
                    "at": "2026-01-01T00:00:00Z", "purpose": purpose, "result": result, "generation": 4, "previous": null,
                    "digest": null, "source": null, "drained": [], "reason": null,
                    "steps": { "lockMilliseconds": 0, "takeMilliseconds": 0, "startMilliseconds": 0, "totalMilliseconds": 0 },
                }))
                .unwrap();
                seen.extend([record.decided(true), record.decided(false)]);
            }
        }
        seen.extend(SETTLED.map(Settle::decided));
        // Outcomes of handovers that leave nothing in the history, and the two of a drain.
        seen.extend([
            DecisionKind::Unchanged,
            DecisionKind::KnownBad,
            DecisionKind::StaysInMaintenance,
            DecisionKind::Drained,
            DecisionKind::Cut,
            // What is wanted of load balancers.
            DecisionKind::TakenOut,
            DecisionKind::PutBack,
            DecisionKind::Leaves,
        ]);
        assert_eq!(seen, DecisionKind::ALL.into());
    }

    #[test]
    fn a_crash_is_told_with_what_was_made_of_it() {
        let crash: CrashRecord = serde_json::from_value(json!({
            "at": "2026-01-01T00:00:00Z", "generation": 3, "digest": null, "reason": "it exited with status 1",
            "crashes": 3, "decision": "give-up", "pauseMilliseconds": null,
        }))
        .unwrap();
        for settled in SETTLED {
            let told = settled.told(&crash, Budget::default());
            let begin = "generation 3: it exited with status 1; ";
            assert!(told.message.starts_with(begin), "{told:?}");
            assert_eq!(told.crashes, 3);
        }
        let told = Settle::Renew { is_bad: true }.told(&crash, Budget::default());
        assert!(
            told.message.ends_with("its release is given up"),
            "{told:?}"
        );
    }
}
