//! Record of a finished handover: its line in the history, and the removal of releases that are not kept.

use std::io;

use jiff::Timestamp;

use super::{Outcome, Run, chain, milliseconds};
use crate::backend::{Backend, StartFailure};
use crate::decision::{self, Announcement, AnnouncementDetails, DecisionKind};
use crate::error::EngineError;
use crate::failpoint;
use crate::generation::{Generation, Phase, Running};
use crate::handover::{Ending, Source};
use crate::moment::Moment;
use crate::release::Release;
use crate::settle::HandleReset;
use crate::store::{FailedAttempt, HandoverRecord, HandoverResult};

impl<B: Backend> Run<'_, B> {
    /// Writes an entry to the journal.
    fn announce(&self, told: AnnouncementDetails) {
        if let Some(which) = self.backend.journal() {
            decision::send(&Announcement::new(self.store.name(), which, told));
        }
    }

    /// Writes an entry about an end that leaves nothing in the history.
    fn announce_without_record(&self, decided: DecisionKind, message: String) {
        let release = self.captured.as_ref();
        let why = release.and_then(|release| self.store.why_bad(&release.digest));
        self.announce(AnnouncementDetails {
            generation: self.previous,
            release: release.map(|release| release.digest.as_str().to_owned()),
            label: release.and_then(Release::label),
            reason: why.map(|why| StartFailure::first_clause(&why).to_owned()),
            handover: Some(self.request.id.to_string()),
            ..AnnouncementDetails::plain(decided, message)
        });
    }

    pub(super) async fn finish(mut self, ending: Ending) -> Result<Outcome, EngineError> {
        self.steps.total_milliseconds = milliseconds(self.begun);
        if matches!(ending, Ending::Refused(_) | Ending::Failed { .. }) {
            self.take_maintenance_back();
        }
        let (record, answer) = match ending {
            Ending::Unchanged(generation) => {
                let name = self.store.name();
                let message = format!("{name}: unchanged, generation {generation} serves on");
                self.announce_without_record(DecisionKind::Unchanged, message);
                return Ok(Outcome::Unchanged(generation));
            }
            Ending::KnownBad(digest) => {
                let name = self.store.name();
                let message = format!(
                    "{name}: release {digest} failed before and did not change; `portkeep reload {name}` tries it again"
                );
                self.announce_without_record(DecisionKind::KnownBad, message);
                return Ok(Outcome::KnownBad(digest));
            }
            Ending::InMaintenance => {
                let name = self.store.name().clone();
                let message = format!("{name}: nothing is started, because there is maintenance");
                self.announce_without_record(DecisionKind::StaysInMaintenance, message);
                return Err(match self.store.maintenance() {
                    Some(maintenance) => EngineError::InMaintenance { name, maintenance },
                    // Somebody ended it by hand in this moment.
                    None => EngineError::Busy,
                });
            }
            // The failure of another handover is in the history already.
            Ending::Failed {
                generation: None,
                reason,
            } => {
                return Err(EngineError::StartFailed {
                    generation: None,
                    reason,
                });
            }
            Ending::HandedOver {
                generation,
                source,
                instead,
            } => {
                let result = match source {
                    Source::Captured => HandoverResult::HandedOver,
                    Source::LastGood => HandoverResult::FellBack,
                    Source::HoldingPage => HandoverResult::Holding,
                    Source::Maintenance => HandoverResult::Maintenance,
                };
                let message = || self.store.maintenance()?.message();
                let reason = match source {
                    Source::Maintenance => instead.or_else(message),
                    _ => instead,
                };
                let record = self.new_record(result, Some(generation), reason);
                (record.clone(), Outcome::of(record))
            }
            Ending::Refused(reason) => (
                self.new_record(HandoverResult::Refused, None, Some(reason.clone())),
                Err(EngineError::Refused(reason)),
            ),
            Ending::Failed { generation, reason } => {
                let record =
                    self.new_record(HandoverResult::Failed, generation, Some(reason.clone()));
                (record, Err(EngineError::StartFailed { generation, reason }))
            }
        };
        // The generation serves already: a full disk must not make the handover look as if it had not happened.
        if let Err(error) = self.record(&record).await {
            tracing::warn!(
                "the handover is over, but could not be recorded: {}",
                chain(&*error)
            );
        }
        failpoint::reach(self.store, "recorded");
        answer
    }

    async fn record(
        &self,
        record: &HandoverRecord,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let running = self.backend.running().await;
        let serves = match &running {
            Ok(running) => self.drain_others(running).await,
            Err(_) => true,
        };
        // The journal first: resetting the handle ends this very process if it belongs to the handle.
        self.announce(record.told(self.store.name(), serves));
        let running = running?;
        if !serves {
            self.give_back().await;
        }
        self.note_failure(record)?;
        self.store.record(record)?;
        let alive: Vec<_> = running
            .iter()
            .map(|one| one.generation)
            .chain(self.store.current())
            .collect();
        let keep = usize::try_from(self.spec.keep_generations).unwrap_or(usize::MAX);
        Ok(self.store.prune(keep, self.spec.keep_files.0, &alive)?)
    }

    /// Changes during the handover: the earlier current generation may have been started again, or may have ended without a
    /// successor. Returns whether anything serves.
    async fn drain_others(&self, running: &[Running]) -> bool {
        let current = self.store.current();
        let alive = running.iter().filter(|one| one.phase != Phase::Draining);
        let (serving, others): (Vec<&Running>, Vec<&Running>) =
            alive.partition(|one| Some(one.generation) == current);
        for other in others {
            if serving.is_empty() {
                break;
            }
            if let Err(error) = self.backend.drain(other.generation).await {
                tracing::warn!(
                    "generation {} could not be told to drain: {}",
                    other.generation,
                    chain(&error)
                );
            }
        }
        !serving.is_empty()
    }

    /// Nothing serves: the next connection has to start something.
    async fn give_back(&self) {
        match self.backend.nobody_serves().await {
            Err(error) => tracing::warn!("connections may wait: {}", chain(&error)),
            // Whoever starts the handle learns that this failed, and the settle unit deals with an end of the current
            // generation.
            Ok(HandleReset::Busy) => {}
            Ok(HandleReset::Done | HandleReset::NotUp) => {
                if let Err(error) = self.store.clear_current() {
                    tracing::warn!("`current` could not be removed: {error}");
                }
            }
        }
    }

    /// Notes the release that did not start, for waiting callers and for the next activation.
    fn note_failure(&self, record: &HandoverRecord) -> io::Result<()> {
        let (Some(release), Some(reason)) = (&self.captured, &record.reason) else {
            return Ok(());
        };
        let attempt = FailedAttempt {
            digest: release.digest.clone(),
            at: Moment::now(),
            reason: reason.clone(),
        };
        self.store.note_failed_attempt(&attempt)
    }

    fn new_record(
        &self,
        result: HandoverResult,
        generation: Option<Generation>,
        reason: Option<String>,
    ) -> HandoverRecord {
        let release = self.started.as_ref().or(self.captured.as_ref());
        HandoverRecord {
            at: Timestamp::now(),
            id: self.request.id.clone(),
            purpose: self.request.purpose,
            result,
            generation,
            previous: self.previous,
            digest: release.map(|release| release.digest.clone()),
            label: release.and_then(Release::label),
            source: release.map(|release| release.source().to_owned()),
            drained: self.drained.clone(),
            steps: self.steps,
            reason,
        }
    }
}
