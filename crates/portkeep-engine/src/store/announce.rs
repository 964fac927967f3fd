//! Journal entries about events of the history.

use std::time::Duration;

use portkeep_spec::AppName;

use super::events::{
    DrainedRecord, HandoverRecord, HandoverResult, PutBackRecord, TakenOutReason, TakenOutRecord,
};
use crate::backend::StartFailure;
use crate::decision::{AnnouncementDetails, DecisionKind};
use crate::handover::Purpose;

impl HandoverRecord {
    /// The decision. `serves` says whether anything serves after it.
    #[must_use]
    pub fn decided(&self, serves: bool) -> DecisionKind {
        match self.result {
            HandoverResult::HandedOver if self.purpose == Purpose::Rollback => {
                DecisionKind::RolledBack
            }
            HandoverResult::HandedOver => DecisionKind::HandedOver,
            HandoverResult::FellBack => DecisionKind::FellBack,
            HandoverResult::Holding => DecisionKind::HoldingPage,
            HandoverResult::Maintenance => DecisionKind::Maintenance,
            HandoverResult::Failed | HandoverResult::Refused if !serves => {
                DecisionKind::NothingServes
            }
            HandoverResult::Failed => DecisionKind::Failed,
            HandoverResult::Refused => DecisionKind::Refused,
        }
    }

    /// The result of this handover of `app`, in one line; the message of its entry.
    #[must_use]
    pub fn line(&self, app: &AppName) -> String {
        self.message(app, self.decided(true))
    }

    fn message(&self, app: &AppName, decided: DecisionKind) -> String {
        let because = self.reason.as_deref().unwrap_or("of an unknown reason");
        let generation = self.generation.map_or(0, |generation| generation.0);
        match decided {
            DecisionKind::FellBack => format!(
                "{app}: generation {generation} serves the last good release, because {because}"
            ),
            DecisionKind::HoldingPage => format!(
                "{app}: nothing can serve, and generation {generation} answers so (503), because {because}"
            ),
            DecisionKind::Maintenance => format!(
                "{app}: in maintenance, generation {generation} answers so (503); `portkeep maintenance {app} off` ends it"
            ),
            DecisionKind::NothingServes => format!("{app}: nothing serves: {because}"),
            DecisionKind::Failed | DecisionKind::Refused => {
                format!("{app}: what served before serves on, because {because}")
            }
            _ => format!(
                "{app}: generation {generation} serves, READY after {:.0} ms ({:.0} ms in all)",
                self.steps.start_milliseconds, self.steps.total_milliseconds,
            ),
        }
    }

    /// Its entry for the journal.
    pub(crate) fn told(&self, app: &AppName, serves: bool) -> AnnouncementDetails {
        let decided = self.decided(serves);
        AnnouncementDetails {
            generation: self.generation,
            release: self
                .digest
                .as_ref()
                .map(|digest| digest.as_str().to_owned()),
            label: self.label.clone(),
            handover: Some(self.id.to_string()),
            reason: self.first_clause().map(str::to_owned),
            ..AnnouncementDetails::plain(decided, self.message(app, decided))
        }
    }
}

impl DrainedRecord {
    /// The decision.
    #[must_use]
    pub fn decided(&self) -> DecisionKind {
        match self.is_cut() {
            true => DecisionKind::Cut,
            false => DecisionKind::Drained,
        }
    }

    /// Its entry for the journal.
    pub(crate) fn told(&self) -> AnnouncementDetails {
        let said = [self.status.as_str(), self.reason.as_str()];
        let said: Vec<_> = said.into_iter().filter(|text| !text.is_empty()).collect();
        let said = said.join("; ");
        let message = format!("generation {}: {said}", self.generation);
        AnnouncementDetails {
            generation: Some(self.generation),
            release: self
                .digest
                .as_ref()
                .map(|digest| digest.as_str().to_owned()),
            label: self.label.clone(),
            reason: Some(StartFailure::first_clause(&said).to_owned()),
            ..AnnouncementDetails::plain(self.decided(), message)
        }
    }
}

impl TakenOutRecord {
    /// The decision.
    #[must_use]
    pub fn decided(&self) -> DecisionKind {
        match self.cause {
            TakenOutReason::Asked => DecisionKind::TakenOut,
            TakenOutReason::Shutdown => DecisionKind::Leaves,
        }
    }

    /// Its entry for the journal.
    pub(crate) fn told(&self, app: &AppName) -> AnnouncementDetails {
        let grace = Duration::from_millis(self.grace_milliseconds);
        let message = match self.cause {
            TakenOutReason::Asked => format!(
                "{app}: taken out, connections end after {grace:?}; `portkeep undrain {app}` puts it back"
            ),
            TakenOutReason::Shutdown => {
                format!("{app}: the machine shuts down, connections end after {grace:?}")
            }
        };
        AnnouncementDetails {
            generation: self.generation,
            release: self.digest.as_ref().map(|one| one.as_str().to_owned()),
            label: self.label.clone(),
            ..AnnouncementDetails::plain(self.decided(), message)
        }
    }
}

impl PutBackRecord {
    /// Its entry for the journal.
    pub(crate) fn told(&self, app: &AppName) -> AnnouncementDetails {
        let message = format!("{app}: put back, it was taken out at {:.0}", self.since);
        AnnouncementDetails {
            generation: self.generation,
            release: self.digest.as_ref().map(|one| one.as_str().to_owned()),
            label: self.label.clone(),
            ..AnnouncementDetails::plain(DecisionKind::PutBack, message)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(result: &str, reason: Option<&str>) -> HandoverRecord {
        let json = serde_json::json!({
            "at": "2026-01-01T00:00:00Z", "id": "job-7", "purpose": "reload", "result": result, "generation": 4,
            "previous": 3, "digest": "0123456789abcdef", "label": "v2", "source": null, "drained": [],
            "steps": { "lockMilliseconds": 0, "takeMilliseconds": 1, "startMilliseconds": 30, "totalMilliseconds": 45 },
            "reason": reason,
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_handover_is_told_with_all_that_is_known() {
        let app = "hello".parse().unwrap();
        let told = record("handed-over", None).told(&app, true);
        assert_eq!(
            told.message,
            "hello: generation 4 serves, READY after 30 ms (45 ms in all)"
        );
        assert_eq!(told.handover.as_deref(), Some("job-7"));
        assert_eq!(told.release.as_deref(), Some("0123456789abcdef"));
        let failed = record("failed", Some("it exited; its last lines:\n  | boom"));
        let told = failed.told(&app, true);
        assert_eq!(told.decided, DecisionKind::Failed);
        assert_eq!(told.reason.as_deref(), Some("it exited"));
        assert_eq!(
            failed.told(&app, false).decided,
            DecisionKind::NothingServes
        );
    }
}
