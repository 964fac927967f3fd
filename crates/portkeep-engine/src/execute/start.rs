//! Starts a generation, and stores its release.

use std::io;
use std::time::Instant;

use portkeep_spec::contract;
use tokio::time::timeout_at;

use super::{GIVEN_UP, Run, chain, doing, milliseconds};
use crate::backend::{Backend, Blame, StartFailure};
use crate::error::EngineError;
use crate::failpoint;
use crate::generation::Generation;
use crate::handover::{Event, Purpose, Source};
use crate::prerequisites::Prerequisites;
use crate::release::{Digest, Release};
use crate::store::ROLLED_BACK;

impl<B: Backend> Run<'_, B> {
    pub(super) async fn start(
        &mut self,
        generation: Generation,
        source: Source,
        digest: &Digest,
        deadline: Instant,
    ) -> Result<Event, EngineError> {
        let release = match source {
            Source::Captured => self.captured.clone(),
            Source::LastGood => self.store.release(digest),
            Source::HoldingPage => {
                self.keep_trying().await;
                self.holding_page()
            }
            Source::Maintenance => self.holding_page(),
        };
        let Some(release) = release else {
            let reason = format!("release {digest} is gone");
            return Ok(Event::Failed {
                reason,
                blame: Blame::Release,
            });
        };
        self.store
            .prepare(generation, &release)
            .map_err(doing("prepare the generation"))?;
        self.started = Some(release);
        failpoint::reach(self.store, "prepared");
        let begun = Instant::now();
        let started = tokio::select! {
            biased;
            () = self.request.cancel.asked() => None,
            started = timeout_at(deadline.into(), self.backend.start(generation, self.spec.readiness, deadline)) => Some(started),
        };
        self.steps.start_milliseconds = milliseconds(begun);
        let Some(started) = started else {
            return Ok(Event::Failed {
                reason: GIVEN_UP.to_owned(),
                blame: Blame::Circumstances,
            });
        };
        Ok(match started {
            Ok(Ok(Ok(()))) => Event::Ready,
            Ok(Ok(Err(failure))) => Event::Failed {
                reason: self.explained(failure.clone()).describe(),
                blame: failure.blame,
            },
            Ok(Err(error)) => return Err(error.into()),
            Err(_elapsed) => Event::Failed {
                reason: format!(
                    "its manager said nothing for {:.0} s",
                    begun.elapsed().as_secs_f64()
                ),
                blame: Blame::Circumstances,
            },
        })
    }

    /// The failure with the name of the missing prerequisite, if that is the reason.
    pub(super) fn explained(&self, failure: StartFailure) -> StartFailure {
        let Some(cause) = &failure.cause else {
            return failure;
        };
        let reason = Prerequisites::of(self.spec).explain(cause);
        // A missing prerequisite is reported in our own words.
        let is_named = reason != cause.to_string();
        let reason = match failure.said.as_ref().filter(|_| !is_named) {
            Some(said) => format!("{reason}; systemd says: {said}"),
            None => reason,
        };
        StartFailure { reason, ..failure }
    }

    pub(super) fn switch(&self, generation: Generation) -> io::Result<()> {
        if let Some(release) = &self.started
            && !release.digest.is_holding_page()
            && let Err(error) = self.mark_good(&release.digest)
        {
            // It serves all the same; only a later fallback may not find it.
            tracing::warn!("release {} could not be noted: {error}", release.digest);
        }
        self.store.switch(generation)?;
        if let Some(previous) = self.previous.filter(|previous| *previous != generation)
            && let Err(error) = self.store.note_replaced(previous)
        {
            tracing::warn!("the files of generation {previous} may be removed too early: {error}");
        }
        Ok(())
    }

    fn mark_good(&self, digest: &Digest) -> io::Result<()> {
        self.store.mark_good(digest)?;
        // After a manual roll back, the other release must not return until somebody requests it.
        let replaced = self
            .previous
            .and_then(|generation| self.store.release_of(generation))
            .filter(|previous| previous.digest != *digest);
        match replaced.filter(|_| self.request.purpose == Purpose::Rollback) {
            Some(previous) => self
                .store
                .mark_bad(&previous.digest, &format!("{ROLLED_BACK} {digest}")),
            None => Ok(()),
        }
    }

    /// If it cannot be marked, it is tried again too soon: that must not hide why it failed.
    pub(super) fn mark_bad(&self, digest: &Digest, reason: &str, blame: Blame) {
        if blame != Blame::Release {
            return;
        }
        if let Err(error) = self.store.mark_bad(digest, reason) {
            tracing::warn!("release {digest} could not be marked as bad: {error}");
        }
    }

    /// The unit that waits for a release is started before the page: killed in between, this would leave a page for ever.
    pub(super) async fn keep_trying(&self) {
        if let Err(error) = self.backend.keep_trying().await {
            tracing::warn!(
                "nothing will replace the holding page by itself: {}",
                chain(&error)
            );
        }
    }

    /// The page as a release.
    fn holding_page(&self) -> Option<Release> {
        let page = self.request.holding.as_ref()?;
        let mut environment = self.store.base_environment();
        environment.insert(
            contract::PORTKEEP_DRAIN_TIMEOUT_USEC.to_owned(),
            self.spec.drain_timeout.as_micros().to_string(),
        );
        environment.insert(
            contract::PORTKEEP_MAINTENANCE.to_owned(),
            self.store.maintenance_path().display().to_string(),
        );
        Release::holding_page(page, environment).ok()
    }
}
