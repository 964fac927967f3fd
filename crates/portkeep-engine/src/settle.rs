//! Settles the end of a generation: `lock → look → decide → act`. One implementation for all backends: the settle unit of
//! systemd calls it, and so does the supervisor of the local backend.
//!
//! It can be killed at any step and called again for the same end. What it acts on is named by [`SettleBackend`].

mod announce;
mod decide;

use std::time::Duration;

use jiff::Timestamp;
use portkeep_spec::Manager as Which;

pub use decide::{Budget, Handle, Locked, Role, Settle, recent_crashes, settle as decide};

use crate::backend::BackendError;
use crate::decision::{self, Announcement};
use crate::end::End;
use crate::error::EngineError;
use crate::failpoint;
use crate::generation::Generation;
use crate::store::{HistoryEvent, Lock, Settled, Store};

/// How long we wait for a handover that is about to end. A connection must not wait a second for somebody else's lock.
const LOCK_PATIENCE: Duration = Duration::from_millis(400);

/// What settle asks of whoever runs generations, and does to it.
pub trait SettleBackend: Sync {
    /// The manager whose journal is told what is decided; none where nobody looks into one.
    fn journal(&self) -> Option<Which> {
        None
    }

    /// Whether `generation` runs, or somebody has asked for its start already.
    fn is_started(
        &self,
        generation: Generation,
    ) -> impl Future<Output = Result<bool, BackendError>> + Send;

    /// What the handle is. Where the manager does not answer, it counts as up.
    fn handle(&self) -> impl Future<Output = Handle> + Send;

    /// Whether `generation` lives, or its own end is being settled. Where the manager does not answer, it counts as that.
    fn is_looked_after(&self, generation: Generation) -> impl Future<Output = bool> + Send;

    /// Whether any generation serves, whatever `current` says. Where the manager does not answer, one does.
    fn somebody_serves(&self) -> impl Future<Output = bool> + Send;

    /// Asks for a start of `generation`, and does not wait for it.
    fn start_again(
        &self,
        generation: Generation,
    ) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Takes a start back that is not wanted any more.
    fn take_back(
        &self,
        generation: Generation,
    ) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Nobody serves: the next connection starts a generation.
    fn rest(&self) -> impl Future<Output = Result<HandleReset, BackendError>> + Send;

    /// Nobody serves: a generation is started at once.
    fn renew(&self) -> impl Future<Output = Result<HandleReset, BackendError>> + Send;
}

/// What became of a handle that nobody serves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandleReset {
    /// It is stopped or started anew.
    Done,
    /// It is not up.
    NotUp,
    /// A job of it is under way, which to ask for more would cancel: it is to be looked at again.
    Busy,
}

/// What is settled.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Which generation.
    pub generation: Generation,
    /// How it ended.
    pub end: End,
    /// Why, for people: what was missing has its name here.
    pub reason: String,
    /// What it said last of itself: an app on the server library says what it answered, moved and cut.
    pub status: String,
}

/// Settles one end. Answers what was decided.
///
/// # Errors
/// When the manager does not answer: it is to be called again then.
pub async fn settle<K: SettleBackend>(
    backend: &K,
    store: &Store,
    budget: Budget,
    ended: &Ended,
) -> Result<Settle, EngineError> {
    failpoint::reach(store, "settle");
    let settling = Settling {
        backend,
        store,
        budget,
        ended,
        ends: store.ends_with(ended.generation, &ended.end),
    };
    let lock = store.lock_file().take_within(LOCK_PATIENCE).await;
    let first = settling.decide(locked(lock.as_ref())).await?;
    settling.write_down(first);
    let Settle::Restart { after } = first else {
        return settling.act(first).await;
    };
    // Somebody who did not give it back before is not waited for twice.
    let patience = match lock {
        Some(_) => LOCK_PATIENCE,
        None => Duration::ZERO,
    };
    drop(lock);
    tokio::time::sleep(after).await;
    let lock = store.lock_file().take_within(patience).await;
    let decided = settling.decide(locked(lock.as_ref())).await?;
    settling.act(decided).await
}

fn locked(lock: Option<&Lock>) -> Locked {
    match lock {
        Some(_) => Locked::ByUs,
        None => Locked::ByOthers,
    }
}

struct Settling<'a, K> {
    backend: &'a K,
    store: &'a Store,
    budget: Budget,
    ended: &'a Ended,
    ends: Vec<End>,
}

impl<K: SettleBackend> Settling<'_, K> {
    async fn role(&self) -> Result<Role, BackendError> {
        let generation = self.ended.generation;
        if self.backend.is_started(generation).await? {
            return Ok(Role::Restarting);
        }
        Ok(match self.store.current() {
            Some(current) if current == generation => Role::Current,
            // If that one has ended as well, its own end is settled beside this one.
            Some(current) if self.backend.is_looked_after(current).await => Role::Replaced,
            // The link is lost; what serves is not.
            _ if self.backend.somebody_serves().await => Role::Replaced,
            _ => Role::Orphaned,
        })
    }

    async fn decide(&self, locked: Locked) -> Result<Settle, BackendError> {
        let role = self.role().await?;
        // Of most ends, those of a drain, the handle need not be asked.
        let handle = match role.needs_no_decision() {
            true => Handle::Up,
            false => self.backend.handle().await,
        };
        Ok(decide(
            self.budget,
            &self.ends,
            role,
            handle,
            locked,
            Timestamp::now(),
        ))
    }

    /// Once for each end, also where we are called again for it. What cannot be written must not keep anybody from being
    /// served.
    fn write_down(&self, decided: Settle) {
        let settled = Settled {
            generation: self.ended.generation,
            ends: &self.ends,
            reason: &self.ended.reason,
            status: &self.ended.status,
            decided,
            crashes: recent_crashes(self.budget, &self.ends, self.ended.end.at),
        };
        match self.store.note_settled(&settled) {
            Ok(noted) => self.announce(noted.as_ref(), decided),
            Err(error) => tracing::warn!(
                "the end of generation {} could not be noted: {error}",
                self.ended.generation
            ),
        }
    }

    fn announce(&self, noted: Option<&HistoryEvent>, decided: Settle) {
        let (Some(event), Some(which)) = (noted, self.backend.journal()) else {
            return;
        };
        let mut told = match event {
            HistoryEvent::Crash(crash) => decided.told(crash, self.budget),
            HistoryEvent::Drained(drained) => drained.told(),
            _ => return,
        };
        let handover = self.store.handover_to(self.ended.generation);
        told.handover = handover.map(|id| id.to_string());
        decision::send(&Announcement::new(self.store.name(), which, told));
    }

    /// Under the lock that was decided with.
    async fn act(&self, decided: Settle) -> Result<Settle, EngineError> {
        let generation = self.ended.generation;
        let given_back = match decided {
            Settle::Nothing => return Ok(decided),
            Settle::Forget => HandleReset::NotUp,
            Settle::Restart { .. } => {
                self.point(generation);
                self.backend.start_again(generation).await?;
                // A handover that switches between our look and the start lists what runs after it has switched, and a stop of
                // the app ends what it finds: one of us sees the other.
                let is_stopped = self.backend.handle().await == Handle::Down;
                if is_stopped || self.store.current() != Some(generation) {
                    self.backend.take_back(generation).await?;
                }
                return Ok(decided);
            }
            Settle::Rest => self.backend.rest().await?,
            Settle::Renew { is_bad } => {
                if is_bad {
                    self.mark_bad();
                }
                failpoint::reach(self.store, "settle-marked");
                // At once and not at the next connection: whoever looks is to see what serves instead, and why.
                self.backend.renew().await?
            }
        };
        if given_back == HandleReset::Busy {
            return Err(EngineError::Busy);
        }
        // Last: killed before, we leave a `current` that is dead, which is nobody's; the other way round we would leave
        // an active handle that nobody drops.
        failpoint::reach(self.store, "settle-dropped");
        if let Err(error) = self.store.clear_current() {
            tracing::warn!("`current` could not be removed: {error}");
        }
        Ok(decided)
    }

    /// Where it was built may be something else by now, or nothing.
    fn point(&self, generation: Generation) {
        if let Some(release) = self.store.release_of(generation)
            && let Err(error) = self.store.point(generation, &release)
        {
            tracing::warn!("where generation {generation} runs could not be written: {error}");
        }
    }

    fn mark_bad(&self) {
        let reason = format!(
            "it crashed {} times within {:?}; at last {}",
            recent_crashes(self.budget, &self.ends, self.ended.end.at),
            self.budget.within,
            self.ended.reason,
        );
        if let Some(release) = self.store.release_of(self.ended.generation)
            && let Err(error) = self.store.mark_bad(release.digest(), &reason)
        {
            tracing::warn!("its release could not be marked: {error}");
        }
    }
}
