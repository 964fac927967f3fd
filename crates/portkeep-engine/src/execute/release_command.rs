//! Runs the release command of the captured release, before its generation starts.

use std::time::Instant;

use super::{GIVEN_UP, Run, chain, doing, milliseconds};
use crate::backend::{Backend, Blame};
use crate::error::EngineError;
use crate::failpoint;
use crate::generation::Generation;
use crate::handover::Event;
use crate::release_command::ReleaseCommand;

impl<B: Backend> Run<'_, B> {
    pub(super) async fn run_release_command(
        &mut self,
        generation: Generation,
    ) -> Result<Event, EngineError> {
        let Some(release) = self.captured.clone() else {
            return Ok(Event::Released);
        };
        let failed = |reason: String, blame| Ok(Event::Failed { reason, blame });
        let command = match ReleaseCommand::of(self.spec, &release) {
            Ok(Some(command)) => command,
            Ok(None) => return Ok(Event::Released),
            // It existed when the release was captured.
            Err(error) => return failed(chain(&error), Blame::Circumstances),
        };
        self.store
            .prepare(generation, &release)
            .and_then(|()| {
                let store = self.store;
                store.prepare_release_command(generation, &release, &command)
            })
            .map_err(doing("prepare the release command"))?;
        self.started = Some(release.clone());
        failpoint::reach(self.store, "releasing");
        let begun = Instant::now();
        let ran = tokio::select! {
            biased;
            () = self.request.cancel.asked() => None,
            ran = self.backend.run_release_command(generation, &command) => Some(ran?),
        };
        self.steps.release_milliseconds = milliseconds(begun);
        let Some(ran) = ran else {
            self.backend.end_release_command(generation).await?;
            return failed(GIVEN_UP.to_owned(), Blame::Circumstances);
        };
        if let Err(failure) = ran {
            let blame = failure.blame;
            return failed(command.explain(&self.explained(failure)), blame);
        }
        failpoint::reach(self.store, "released");
        if let Err(error) = self.store.mark_released(&release.digest) {
            // It has run; at worst it runs once more.
            tracing::warn!(
                "that the release command of {} has succeeded could not be noted: {error}",
                release.digest
            );
        }
        Ok(Event::Released)
    }
}
