//! Chooses the release of the next generation: the one that the spec describes, or a kept one.

use std::io;
use std::time::Instant;

use portkeep_spec::Spec;

use super::request::Wanted;
use super::{GRACE, Run, Seen, chain, doing, milliseconds};
use crate::backend::Backend;
use crate::capture::{CaptureError, LIMIT, Order, Parameters, capture};
use crate::error::EngineError;
use crate::failpoint;
use crate::handover::{Candidate, Event, Purpose};
use crate::release::{Digest, Release};
use crate::secrets;

/// Has `spec` name the program of a kept release, whatever was built since.
fn run_again(spec: &mut Spec, release: &Release) {
    spec.label = release.label();
    let kept = release.argv0().unwrap_or(&release.executable);
    let kept = kept.display().to_string();
    let named = spec.exec.first().cloned();
    let releaser = spec.release.first_mut();
    for program in releaser
        .filter(|program| Some(&**program) == named.as_ref())
        .into_iter()
        .chain(spec.exec.first_mut())
    {
        program.clone_from(&kept);
    }
}

impl<B: Backend> Run<'_, B> {
    pub(super) async fn capture(&mut self) -> Result<Event, EngineError> {
        if let Wanted::Kept(digest) = &self.request.wanted {
            return Ok(self.kept_release(&digest.clone()));
        }
        let begun = Instant::now();
        self.watch_secrets().await;
        let by_secrets = self.current_for_secrets();
        // Before the capture: another deploy will see later changes.
        if let Some(now) = Seen::now(self.spec) {
            // A build that nobody requested must still count as new later.
            let before = self.store.seen().filter(|_| by_secrets.is_some());
            let seen = match before {
                Some(before) => before.with_secrets_of(now),
                None => now,
            };
            self.store
                .note_seen(&seen)
                .map_err(doing("note what was looked at"))?;
        }
        let attempt = self.store.failed_attempt();
        let known = self.known_releases();
        let settings = self.backend.settings().await?;
        let (mut spec, store) = (self.spec.clone(), self.store.clone());
        // Copying and hashing would block the runtime with the other tasks of `portkeep dev`.
        let runs_as = self.backend.runs_as(&spec);
        let key = store
            .digest_key()
            .map_err(doing("keep the key of digests"))?;
        let capturing = tokio::task::spawn_blocking(move || {
            let parameters = Parameters::of(&spec, &store.base_environment(), &settings, &key)?;
            if let Some(current) = by_secrets {
                if current.has_settings_of(&parameters) {
                    return Ok(current);
                }
                run_again(&mut spec, &current);
            }
            let order = Order {
                spec: &spec,
                parameters,
                runs_as,
                key,
            };
            capture(&order, &store, &known)
        });
        // A disk that does not answer blocks its thread, but not us: its capture is dropped.
        let captured = match tokio::time::timeout(LIMIT + GRACE, capturing).await {
            Ok(captured) => captured
                .map_err(io::Error::other)
                .map_err(doing("capture the release"))?,
            Err(_elapsed) => Err(CaptureError::TooSlow {
                path: self.spec.exec.first().map(Into::into).unwrap_or_default(),
                limit: LIMIT,
            }),
        };
        self.steps.take_milliseconds = milliseconds(begun);
        let release = match captured {
            Ok(release) => release,
            Err(error) => {
                let fallback = self.store.last_good(None).map(|release| release.digest);
                return Ok(Event::Refused {
                    reason: chain(&error),
                    fallback,
                });
            }
        };
        if self.store.release(&release.digest).is_some() {
            // The same contents in other files: the next check of file states must know them.
            self.store
                .keep_release(&release)
                .map_err(doing("write the release"))?;
        }
        let failed_while_waiting = attempt
            .filter(|attempt| attempt.digest == release.digest && attempt.at >= self.request.asked)
            .map(|attempt| attempt.reason);
        failpoint::reach(self.store, "captured");
        Ok(self.candidate(release, failed_while_waiting))
    }

    fn candidate(&mut self, release: Release, failed_while_waiting: Option<String>) -> Event {
        let candidate = Candidate {
            digest: release.digest.clone(),
            bad: self.store.why_bad(&release.digest),
            failed_while_waiting,
            fallback: self
                .store
                .last_good(Some(&release.digest))
                .map(|release| release.digest),
            has_release_command: self.request.wanted == Wanted::AsSpecified
                && !self.spec.release.is_empty()
                && !self.store.is_released(&release.digest),
        };
        self.captured = Some(release);
        Event::Captured(candidate)
    }

    /// The release that is to get new secrets, if that was requested: then no other build is captured.
    fn current_for_secrets(&self) -> Option<Release> {
        let current = self
            .previous
            .filter(|_| self.request.purpose == Purpose::Secrets)?;
        let release = self.store.release_of(current)?;
        (!release.digest.is_holding_page() && release.is_intact()).then_some(release)
    }

    /// Watches for changes of secrets. Before they are read, so that no change is lost in between.
    async fn watch_secrets(&self) {
        let directories = secrets::directories(self.spec);
        if directories.is_empty() && !self.store.watches_secrets() {
            return;
        }
        let watched = match self.backend.watch_secrets(&directories).await {
            Ok(()) => self.store.note_watches_secrets(!directories.is_empty()),
            Err(error) => {
                tracing::warn!("a change of a secret may not be seen: {}", chain(&error));
                return;
            }
        };
        if let Err(error) = watched {
            tracing::warn!("that secrets are watched could not be noted: {error}");
        }
    }

    /// A kept release. It may be gone by now.
    fn kept_release(&mut self, digest: &Digest) -> Event {
        let kept = self.store.release(digest);
        match kept.filter(|release| release.is_intact()) {
            Some(release) => self.candidate(release, None),
            None => Event::Refused {
                reason: format!("release {digest} is not kept any more"),
                fallback: self.store.last_good(None).map(|release| release.digest),
            },
        }
    }

    /// Releases whose unchanged files need not be read again: the current one, and the one that failed last.
    fn known_releases(&self) -> Vec<Release> {
        let current = self
            .previous
            .and_then(|generation| self.store.release_of(generation));
        let failed = self
            .store
            .failed_attempt()
            .and_then(|attempt| self.store.release(&attempt.digest));
        let known = current.into_iter().chain(failed);
        known.filter(|release| release.is_intact()).collect()
    }
}
