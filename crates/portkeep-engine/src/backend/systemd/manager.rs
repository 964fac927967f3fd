//! Calls to a systemd manager.

mod properties;

use std::path::Path;

use futures_util::{Stream, StreamExt};
use portkeep_spec::Manager as Which;
use zbus::{Connection, OwnedObjectPath};

use super::connect::connect;
use super::job::{Removed, ended};
use super::proxy::{JobRemovedStream, SystemdProxy};
use super::unit_state::UnitState;
use crate::backend::JobResult;
use crate::directories::DirectoriesError;

/// The oldest version on which our units are known to work.
const OLDEST: u32 = 249;

/// The argument of `JobRemoved` that is the unit.
const UNIT_OF_JOB: u8 = 2;

/// Why a manager cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManagerError {
    /// It does not answer.
    #[error("no systemd {which} manager can be reached{}", hint(*.which))]
    Unreachable {
        /// The manager.
        which: Which,
        /// The error of the connection.
        #[source]
        source: zbus::Error,
    },
    /// A user manager needs a runtime directory.
    #[error("no systemd user manager can be reached")]
    NoRuntimeDirectory(#[source] DirectoriesError),
    /// The user manager runs, but has no bus.
    #[error(
        "the systemd user manager runs, but {0} does not exist; install the user bus (Debian: dbus-user-session)"
    )]
    NoUserBus(std::path::PathBuf),
    /// It is too old.
    #[error("systemd {version} is too old: version {OLDEST} or newer is needed")]
    TooOld {
        /// Its version.
        version: String,
    },
    /// It went away during the wait for a job.
    #[error("the connection to systemd was lost")]
    ConnectionLost,
    /// It refused a call.
    #[error(transparent)]
    Bus(#[from] zbus::Error),
}

impl ManagerError {
    /// The reason in one clause, without a remedy, for callers that go on without the manager.
    #[must_use]
    pub fn in_a_clause(&self) -> String {
        match self {
            Self::Unreachable { which, .. } => format!("no systemd {which} manager is reachable"),
            Self::NoRuntimeDirectory(_) => "no systemd user manager is reachable".to_owned(),
            Self::NoUserBus(bus) => format!("the user bus {} does not exist", bus.display()),
            other => other.to_string(),
        }
    }
}

fn hint(which: Which) -> &'static str {
    match which {
        Which::System => "; is this machine booted with systemd, and are you root?",
        Which::User => {
            "; log in through PAM, or run `loginctl enable-linger $USER`, and see that XDG_RUNTIME_DIR is set"
        }
    }
}

/// A connection to one manager; a clone shares it.
#[derive(Debug, Clone)]
pub struct Manager {
    which: Which,
    connection: Connection,
    pub(super) systemd: SystemdProxy<'static>,
}

impl Manager {
    /// Connects, and checks the version.
    ///
    /// # Errors
    /// When the manager cannot be reached or is too old; the message says what to do.
    pub async fn connect(which: Which) -> Result<Self, ManagerError> {
        let connection = connect(which).await?;
        let systemd = SystemdProxy::builder(&connection)
            .cache_properties(zbus::proxy::CacheProperties::No)
            .build()
            .await?;
        let version = systemd
            .version()
            .await
            .map_err(|source| ManagerError::Unreachable { which, source })?;
        if major(&version).is_some_and(|major| major < OLDEST) {
            return Err(ManagerError::TooOld { version });
        }
        Ok(Self {
            which,
            connection,
            systemd,
        })
    }

    /// The manager.
    #[must_use]
    pub fn which(&self) -> Which {
        self.which
    }

    /// Its version, as it reports it: `257.13-1~deb13u1`.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn version(&self) -> Result<String, ManagerError> {
        Ok(self.systemd.version().await?)
    }

    /// Reads all unit files again.
    ///
    /// # Errors
    /// When it refuses.
    pub async fn daemon_reload(&self) -> Result<(), ManagerError> {
        Ok(self.systemd.reload().await?)
    }

    /// The ends of later jobs of `unit`.
    ///
    /// The manager reports the end of a job to its caller. A subscription would make it report everything about all units
    /// to everybody on the bus: a hundred messages for each handover. And the bus filters out other units: otherwise each
    /// of a hundred apps that hand over at once would receive the jobs of all.
    async fn removed(
        &self,
        unit: &str,
    ) -> zbus::Result<impl Stream<Item = zbus::Result<Removed>> + use<>> {
        let signals = self
            .systemd
            .receive_job_removed_with_args(&[(UNIT_OF_JOB, unit)])
            .await?;
        Ok(told(signals))
    }

    /// The ends of all later jobs of this connection, and of others' jobs after a subscription.
    pub(super) async fn removed_of_all(
        &self,
    ) -> zbus::Result<impl Stream<Item = zbus::Result<Removed>> + use<>> {
        Ok(told(self.systemd.receive_job_removed().await?))
    }

    /// Has the manager send signals about others' jobs, too.
    pub(super) async fn subscribe(&self) -> zbus::Result<()> {
        self.systemd.subscribe().await
    }

    /// Keeps the manager's knowledge of a unit until this connection ends, even after the end of the unit.
    ///
    /// # Errors
    /// When the manager refuses.
    pub async fn keep(&self, unit: &str) -> Result<(), ManagerError> {
        // This loads the unit. Loading it first would do that twice: the manager forgets a unit at once that nobody keeps.
        match self.systemd.ref_unit(unit).await {
            Err(error) if is_no_such_unit(&error) => {
                self.systemd.load_unit(unit).await?;
                Ok(self.systemd.ref_unit(unit).await?)
            }
            kept => Ok(kept?),
        }
    }

    /// Starts a unit and waits for the job.
    ///
    /// # Errors
    /// When the manager refuses; a job that fails is not an error but its result.
    pub async fn start(&self, unit: &str) -> Result<JobResult, ManagerError> {
        let ask = self.systemd.start_unit(unit, "replace");
        Ok(ended(self.removed(unit).await?, ask).await?.result())
    }

    /// Starts a unit without waiting for the job.
    ///
    /// # Errors
    /// When the manager refuses.
    pub async fn start_without_waiting(&self, unit: &str) -> Result<(), ManagerError> {
        self.systemd.start_unit(unit, "replace").await?;
        Ok(())
    }

    /// Restarts a unit without waiting for the job.
    ///
    /// # Errors
    /// When the manager refuses.
    pub async fn restart_without_waiting(&self, unit: &str) -> Result<(), ManagerError> {
        self.systemd.restart_unit(unit, "replace").await?;
        Ok(())
    }

    /// Stops a unit and waits for the job. A unit that is not loaded counts as stopped.
    ///
    /// # Errors
    /// When the manager refuses.
    pub async fn stop(&self, unit: &str) -> Result<JobResult, ManagerError> {
        let ask = self.systemd.stop_unit(unit, "replace");
        match ended(self.removed(unit).await?, ask).await {
            Err(ManagerError::Bus(error)) if is_no_such_unit(&error) => Ok(JobResult::Done),
            other => Ok(other?.result()),
        }
    }

    /// Stops a unit without waiting for the job. A unit that is not loaded counts as stopped.
    ///
    /// # Errors
    /// When the manager refuses.
    pub async fn stop_without_waiting(&self, unit: &str) -> Result<(), ManagerError> {
        match self.systemd.stop_unit(unit, "replace").await {
            Ok(_job) => Ok(()),
            Err(error) if is_no_such_unit(&error) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends SIGKILL to all processes of a unit.
    ///
    /// # Errors
    /// When the manager refuses.
    pub async fn kill(&self, unit: &str) -> Result<(), ManagerError> {
        match self
            .systemd
            .kill_unit(unit, "all", rustix::process::Signal::KILL.as_raw())
            .await
        {
            Err(error) if !is_no_such_unit(&error) => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Reloads a unit, or starts it if it does not run, and waits for the job. Returns the job's number, too.
    ///
    /// # Errors
    /// When the manager refuses.
    pub async fn reload_or_restart(
        &self,
        unit: &str,
    ) -> Result<(Option<u32>, JobResult), ManagerError> {
        let ask = self.systemd.reload_or_restart_unit(unit, "replace");
        let ended = ended(self.removed(unit).await?, ask).await?;
        Ok((ended.number(), ended.result()))
    }

    /// Restarts a unit, and waits for the job. Returns the job's number, too.
    ///
    /// # Errors
    /// When the manager refuses.
    pub async fn restart(&self, unit: &str) -> Result<(Option<u32>, JobResult), ManagerError> {
        let ask = self.systemd.restart_unit(unit, "replace");
        let ended = ended(self.removed(unit).await?, ask).await?;
        Ok((ended.number(), ended.result()))
    }

    /// Resets the failed state of a unit.
    ///
    /// # Errors
    /// When the manager refuses.
    pub async fn reset_failed(&self, unit: &str) -> Result<(), ManagerError> {
        match self.systemd.reset_failed_unit(unit).await {
            Err(error) if !is_no_such_unit(&error) => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// The loaded units whose names match one of `patterns`.
    ///
    /// # Errors
    /// When the manager refuses.
    pub async fn list(&self, patterns: &[&str]) -> Result<Vec<(String, UnitState)>, ManagerError> {
        let units = self.list_with_paths(patterns).await?;
        let units = units.into_iter().map(|(unit, state, _)| (unit, state));
        Ok(units.collect())
    }

    /// The same, with their paths on the bus.
    pub(super) async fn list_with_paths(
        &self,
        patterns: &[&str],
    ) -> Result<Vec<(String, UnitState, OwnedObjectPath)>, ManagerError> {
        let units = self.systemd.list_units_by_patterns(&[], patterns).await?;
        let state = |load, active, sub, job| UnitState {
            load,
            active,
            sub,
            job: Some(job).filter(|job| *job != 0),
            ..UnitState::default()
        };
        Ok(units
            .into_iter()
            .map(|(unit, _, load, active, sub, _, path, job, _, _)| {
                (unit, state(load, active, sub, job), path)
            })
            .collect())
    }

    /// Enables units, for good or until the next boot.
    ///
    /// # Errors
    /// When the manager refuses.
    pub async fn enable(&self, files: &[&str], until: Until) -> Result<(), ManagerError> {
        self.systemd
            .enable_unit_files(files, until == Until::Reboot, true)
            .await?;
        Ok(())
    }

    /// Disables units.
    ///
    /// # Errors
    /// When the manager refuses.
    pub async fn disable(&self, files: &[&str], until: Until) -> Result<(), ManagerError> {
        self.systemd
            .disable_unit_files(files, until == Until::Reboot)
            .await?;
        Ok(())
    }

    /// Whether a unit file with that name exists elsewhere than in `directory`.
    ///
    /// # Errors
    /// When the manager refuses.
    pub async fn defined_elsewhere(
        &self,
        unit: &str,
        directory: &Path,
    ) -> Result<Option<String>, ManagerError> {
        let state = self.state(unit).await?;
        let elsewhere =
            state.load == "loaded" && !Path::new(&state.fragment).starts_with(directory);
        Ok(elsewhere.then_some(state.fragment))
    }
}

/// How long an enabled unit stays enabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Until it is disabled.
    Disabled,
    /// Until the next boot.
    Reboot,
}

fn told(signals: JobRemovedStream) -> impl Stream<Item = zbus::Result<Removed>> + use<> {
    signals.map(|signal| {
        let arguments = signal.args()?;
        Ok(Removed {
            job: arguments.job.clone(),
            result: arguments.result.clone(),
        })
    })
}

pub(super) fn is_no_such_unit(error: &zbus::Error) -> bool {
    matches!(error, zbus::Error::MethodError(name, _, _) if name.as_str() == "org.freedesktop.systemd1.NoSuchUnit")
}

fn major(version: &str) -> Option<u32> {
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}
