//! A generation's `ExecStopPost=`: notes how it ended, backs off before a restart, and sees that no active handle is left
//! without a generation. It never fails for a reason that another step could work around: nobody would come after it.

use std::env;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use portkeep_engine::backend::systemd::Systemd;
use portkeep_engine::crash::{self, Budget, Settle, Standing};
use portkeep_engine::store::{End, Lock, Store};
use portkeep_engine::{Backend, Generation, fault};
use portkeep_spec::{AppName, Manager as Which, unit_names};
use tokio::sync::OnceCell;

use crate::locate::{own_manager, place, read_spec, store, systemd};
use crate::without_bus::systemctl;

/// How long to wait for a handover that is about to end. A longer one is still at work, and will see what is left.
const LOCK_DEADLINE: Duration = Duration::from_secs(2);
const LOCK_STEP: Duration = Duration::from_millis(5);

pub(super) async fn run(
    name: &AppName,
    generation: Generation,
    spec_path: &Path,
) -> anyhow::Result<ExitCode> {
    let mut settling = Settling {
        store: store(name, place(own_manager()))?,
        generation,
        end: end_from_environment(),
        budget: budget(spec_path),
        which: own_manager(),
        systemd: OnceCell::new(),
    };
    let settled = settling.perform().await;
    settling.note_drained().await;
    settled?;
    Ok(ExitCode::SUCCESS)
}

/// One end of one generation.
struct Settling {
    store: Store,
    generation: Generation,
    end: End,
    budget: Budget,
    which: Which,
    /// The connection, once somebody needs it.
    systemd: OnceCell<Systemd>,
}

impl Settling {
    /// The manager by D-Bus, which may be away: whoever asks again tries again.
    async fn systemd(&self) -> Option<&Systemd> {
        let connect = || systemd(self.which, self.store.name());
        self.systemd.get_or_try_init(connect).await.ok()
    }

    async fn perform(&mut self) -> anyhow::Result<()> {
        fault::point(&self.store, "settle");
        if let Err(error) = self.store.note_end(self.generation, &self.end) {
            crate::output::errln!(
                "the end of generation {} could not be noted: {error}",
                self.generation
            );
        }
        let decided = self.decide(self.standing().await);
        self.tell(decided);
        match decided {
            Settle::Nothing => return Ok(()),
            Settle::Restart { after } => {
                tokio::time::sleep(after).await;
                // D-Bus may have gone meanwhile, and an old connection would not tell.
                self.systemd = OnceCell::new();
            }
            // Not under the lock: the handover that waits for this very step may hold it.
            Settle::Abandon => return self.cancel_restart().await,
            Settle::DropHandle | Settle::GiveUp => {}
        }
        // A handover may be replacing it at this moment: it decides, and drains all others or drops the handle itself.
        let Some(_lock) = lock(&self.store).await? else {
            return Ok(());
        };
        match self.decide(self.standing_under_lock().await) {
            Settle::Restart { .. } => return Ok(()),
            // It is not current any more: nothing is to start it again.
            Settle::Nothing | Settle::Abandon => return self.cancel_restart().await,
            Settle::DropHandle => self.give_back_handle("stop").await,
            Settle::GiveUp => {
                self.mark_bad();
                fault::point(&self.store, "settle-marked");
                // At once and not at the next connection: whoever looks is to see what serves instead, and why.
                self.give_back_handle("restart").await
            }
        }?;
        // Last: killed before, we leave a `current` that is dead, which is nobody's; the other way round we would leave
        // an active handle that nobody drops.
        fault::point(&self.store, "settle-dropped");
        Ok(self.store.clear_current()?)
    }

    /// Notes what it said last: an app on the server library says what it answered, moved and cut.
    async fn note_drained(&self) {
        if !self.end.is_drain() {
            return;
        }
        let unit = unit_names::generation(self.store.name(), self.generation.0);
        let state = match self.systemd().await {
            Some(systemd) => systemd.manager().state(&unit).await.ok(),
            None => None,
        };
        let status = match state {
            // Never READY: that is its handover's to tell.
            Some(state) if state.active_since_microseconds == 0 => return,
            Some(state) => state.status_text,
            None => String::new(),
        };
        let noted = self.store.note_drained(self.generation, &self.end, &status);
        if let Err(error) = noted {
            crate::output::errln!("the history could not be written: {error}");
        }
    }

    fn decide(&self, standing: Standing) -> Settle {
        crash::settle(self.budget, &self.ends(), standing, Timestamp::now())
    }

    fn ends(&self) -> Vec<End> {
        let mut ends = self.store.ends(self.generation);
        if ends.last() != Some(&self.end) {
            ends.push(self.end.clone());
        }
        ends
    }

    async fn standing(&self) -> Standing {
        if self.store.current() == Some(self.generation) {
            return Standing::Current;
        }
        match self.store.try_lock() {
            Ok(Some(_lock)) => self.standing_under_lock().await,
            _ => Standing::InHandover,
        }
    }

    /// Nobody else is at work.
    async fn standing_under_lock(&self) -> Standing {
        let current = self.store.current();
        if current == Some(self.generation) {
            return Standing::Current;
        }
        // `current` may name one that is gone. Where nobody can tell, nothing is dropped.
        let lives = match current {
            None => false,
            Some(current) => match self.systemd().await {
                Some(systemd) => systemd.serves(current).await,
                None => true,
            },
        };
        if lives {
            Standing::Replaced
        } else {
            Standing::Alone
        }
    }

    /// In the journal and in the history.
    fn tell(&self, decided: Settle) {
        let ends = self.ends();
        let noted = self
            .store
            .note_crash(self.generation, self.budget, &ends, decided);
        if let Err(error) = noted {
            crate::output::errln!("the history could not be written: {error}");
        }
        if !self.end.is_crash() {
            return;
        }
        let how = format!("generation {}: {}", self.generation, self.end.describe());
        let crashes = crash::recent_crashes(self.budget, &ends, self.end.at);
        let (most, within) = (self.budget.crashes, self.budget.within);
        match decided {
            Settle::Restart { after } => crate::output::outln!(
                "{how}; crash {crashes} within {within:?}, started again in {:?}",
                after + self.budget.delay
            ),
            Settle::GiveUp => crate::output::outln!(
                "{how}; crash {crashes} of {most} within {within:?}: its release is given up"
            ),
            Settle::Abandon | Settle::DropHandle => {
                crate::output::outln!("{how}; it is not started again");
            }
            Settle::Nothing => {}
        }
    }

    fn mark_bad(&self) {
        let reason = format!(
            "it crashed {} times within {:?}; at last {}",
            crash::recent_crashes(self.budget, &self.ends(), self.end.at),
            self.budget.within,
            self.end.describe()
        );
        if let Some(release) = self.store.release_of(self.generation)
            && let Err(error) = self.store.mark_bad(release.digest(), &reason)
        {
            crate::output::errln!("its release could not be marked: {error}");
        }
    }

    /// Cancels the restart that systemd would do next.
    async fn cancel_restart(&self) -> anyhow::Result<()> {
        let unit = unit_names::generation(self.store.name(), self.generation.0);
        match self.systemd().await {
            Some(systemd) => Ok(systemd.manager().stop_without_waiting(&unit).await?),
            None => systemctl(self.which, "stop", &unit).await,
        }
    }

    /// Stops or restarts the handle. One that is being started or stopped finds no current generation by itself; to ask
    /// for more would cancel that job.
    async fn give_back_handle(&self, verb: &str) -> anyhow::Result<()> {
        self.cancel_restart().await?;
        let handle = unit_names::handle(self.store.name());
        let Some(systemd) = self.systemd().await else {
            // Its jobs cannot be seen from here, and one that is active would keep connections waiting for ever.
            return systemctl(self.which, verb, &handle).await;
        };
        let state = systemd.manager().state(&handle).await?;
        if !state.is_active() || state.has_job {
            return Ok(());
        }
        match verb {
            "restart" => systemd.manager().restart_without_waiting(&handle).await?,
            _ => systemd.manager().stop_without_waiting(&handle).await?,
        }
        Ok(())
    }
}

/// A spec that cannot be read must not leave an active handle without a generation.
fn budget(spec_path: &Path) -> Budget {
    read_spec(spec_path)
        .map(|spec| Budget::of(&spec))
        .unwrap_or_else(|error| {
            crate::output::errln!("{error:#}; restarting by the default rules");
            Budget::default()
        })
}

async fn lock(store: &Store) -> anyhow::Result<Option<Lock>> {
    let deadline = Instant::now() + LOCK_DEADLINE;
    loop {
        match store.try_lock()? {
            Some(lock) => return Ok(Some(lock)),
            None if Instant::now() > deadline => return Ok(None),
            None => tokio::time::sleep(LOCK_STEP).await,
        }
    }
}

/// How the process ended, as systemd tells an `ExecStopPost=`.
fn end_from_environment() -> End {
    let variable = |name: &str| env::var(name).unwrap_or_default();
    End {
        at: Timestamp::now(),
        result: variable("SERVICE_RESULT"),
        code: variable("EXIT_CODE"),
        status: variable("EXIT_STATUS"),
    }
}
