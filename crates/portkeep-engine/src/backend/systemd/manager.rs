//! What we ask of a systemd manager.

use std::path::Path;
use std::sync::Arc;

use futures_util::{Stream, StreamExt};
use portkeep_spec::Manager as Which;
use tokio::sync::OnceCell;
use zbus::{Connection, OwnedVariant};

use super::connect::connect;
use super::job::{Removed, ended};
use super::proxy::{JobRemovedStream, PropertiesProxy, SystemdProxy};
use super::unit_path::unit_path;
use super::unit_state::UnitState;
use crate::backend::JobResult;
use crate::directories::DirectoriesError;

/// The oldest version whose units we know to work.
const OLDEST: u32 = 249;

/// What all units have.
const UNIT: &str = "org.freedesktop.systemd1.Unit";
/// What services have beside that.
const SERVICE: &str = "org.freedesktop.systemd1.Service";
/// Which argument of `JobRemoved` is the unit.
const UNIT_OF_JOB: u8 = 2;

/// Why a manager cannot be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManagerError {
    /// It does not answer.
    #[error("no systemd {which} manager can be reached{}", hint(*.which))]
    Unreachable {
        /// Which one.
        which: Which,
        /// What the connection said.
        #[source]
        source: zbus::Error,
    },
    /// A user manager needs a runtime directory.
    #[error("no systemd user manager can be reached")]
    NoRuntimeDirectory(#[source] DirectoriesError),
    /// The user manager runs, but there is no bus to reach it by.
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
    /// It went away while we waited for a job.
    #[error("the connection to systemd was lost")]
    ConnectionLost,
    /// It refused a call.
    #[error(transparent)]
    Bus(#[from] zbus::Error),
}

impl ManagerError {
    /// Why, in one clause and without a remedy: for who goes on without the manager.
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
    /// Whether the manager sends signals to this connection: only who waits for a job wants any.
    subscribed: Arc<OnceCell<()>>,
}

impl Manager {
    /// Connects, and sees that the version will do.
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
            subscribed: Arc::default(),
        })
    }

    /// Which manager it is.
    #[must_use]
    pub fn which(&self) -> Which {
        self.which
    }

    /// Its version as it names itself: `257.13-1~deb13u1`.
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

    /// The ends of the jobs of `unit` from now on. The bus passes those of no other unit on: of a hundred apps that hand over at
    /// once, each would be told the jobs of all.
    async fn removed(
        &self,
        unit: &str,
    ) -> zbus::Result<impl Stream<Item = zbus::Result<Removed>> + use<>> {
        let signals = self
            .systemd
            .receive_job_removed_with_args(&[(UNIT_OF_JOB, unit)])
            .await?;
        self.told(signals).await
    }

    /// The ends of all jobs from now on.
    pub(super) async fn removed_of_all(
        &self,
    ) -> zbus::Result<impl Stream<Item = zbus::Result<Removed>> + use<>> {
        self.told(self.systemd.receive_job_removed().await?).await
    }

    async fn told(
        &self,
        signals: JobRemovedStream,
    ) -> zbus::Result<impl Stream<Item = zbus::Result<Removed>> + use<>> {
        self.subscribed
            .get_or_try_init(|| self.systemd.subscribe())
            .await?;
        Ok(signals.map(|signal| {
            let arguments = signal.args()?;
            Ok(Removed {
                job: arguments.job.clone(),
                result: arguments.result.clone(),
            })
        }))
    }

    /// Keeps what is known of a unit until this connection ends, also after the unit has.
    ///
    /// # Errors
    /// When the manager refuses.
    pub async fn keep(&self, unit: &str) -> Result<(), ManagerError> {
        self.systemd.load_unit(unit).await?;
        Ok(self.systemd.ref_unit(unit).await?)
    }

    /// Starts a unit and waits for the job.
    ///
    /// # Errors
    /// When the manager refuses; a job that fails is not an error but its result.
    pub async fn start(&self, unit: &str) -> Result<JobResult, ManagerError> {
        let ask = self.systemd.start_unit(unit, "replace");
        Ok(ended(self.removed(unit).await?, ask).await?.result())
    }

    /// Asks for a unit to be started.
    ///
    /// # Errors
    /// When the manager refuses.
    pub async fn start_without_waiting(&self, unit: &str) -> Result<(), ManagerError> {
        self.systemd.start_unit(unit, "replace").await?;
        Ok(())
    }

    /// Asks for a unit to be stopped and started.
    ///
    /// # Errors
    /// When the manager refuses.
    pub async fn restart_without_waiting(&self, unit: &str) -> Result<(), ManagerError> {
        self.systemd.restart_unit(unit, "replace").await?;
        Ok(())
    }

    /// Stops a unit and waits for the job. One that is not loaded is stopped.
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

    /// Asks for a unit to be stopped. One that is not loaded is stopped.
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

    /// Reloads a unit, or starts it where it does not run, and waits for the job. Answers the job's number, too.
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

    /// Stops a unit and starts it, and waits for the job. Answers the job's number, too.
    ///
    /// # Errors
    /// When the manager refuses.
    pub async fn restart(&self, unit: &str) -> Result<(Option<u32>, JobResult), ManagerError> {
        let ask = self.systemd.restart_unit(unit, "replace");
        let ended = ended(self.removed(unit).await?, ask).await?;
        Ok((ended.number(), ended.result()))
    }

    /// Forgets that a unit failed.
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
            .map(|(unit, _, load, active, sub, _, _, job, _, _)| {
                (unit, state(load, active, sub, job))
            })
            .collect())
    }

    /// The state of a unit, loading it if needed.
    ///
    /// # Errors
    /// When the manager refuses.
    pub async fn state(&self, unit: &str) -> Result<UnitState, ManagerError> {
        // The empty interface name asks for the properties of all, in one call.
        self.properties(unit, "").await
    }

    /// What all kinds of units have: whether it runs, its jobs, its files, the sockets it is passed. A service has ten times as
    /// many properties, which the manager looks up at each question.
    ///
    /// # Errors
    /// When the manager refuses.
    pub async fn state_as_unit(&self, unit: &str) -> Result<UnitState, ManagerError> {
        self.properties(unit, UNIT).await
    }

    async fn properties(&self, unit: &str, interface: &str) -> Result<UnitState, ManagerError> {
        let proxy = self.properties_of(unit).await?;
        Ok(UnitState::of(proxy.get_all(interface).await?))
    }

    /// The user that the processes of a service are started as; `None` if that is the manager's own.
    ///
    /// # Errors
    /// When the manager refuses.
    pub(super) async fn user_of(&self, service: &str) -> Result<Option<u32>, ManagerError> {
        let user = self.of_service(service, "UID").await?;
        Ok(UnitState::user(&user))
    }

    /// The number of a service's main process; 0 if it has none.
    ///
    /// # Errors
    /// When the manager refuses.
    pub(super) async fn main_process(&self, service: &str) -> Result<u32, ManagerError> {
        let process = self.of_service(service, "MainPID").await?;
        Ok(u32::try_from(process).unwrap_or(0))
    }

    /// The command of a service's first `ExecStart=`, the program first; empty where it has none.
    ///
    /// # Errors
    /// When the manager refuses.
    pub(super) async fn command_of(&self, service: &str) -> Result<Vec<String>, ManagerError> {
        let commands = self.of_service(service, "ExecStart").await?;
        Ok(UnitState::command(commands))
    }

    /// The number of a unit's job, if it has one.
    ///
    /// # Errors
    /// When the manager refuses.
    pub(super) async fn job_of(&self, unit: &str) -> Result<Option<u32>, ManagerError> {
        let proxy = self.properties_of(unit).await?;
        let job = proxy.get(UNIT, "Job").await?;
        Ok(UnitState::job(job))
    }

    /// What a service says of itself (`STATUS=`).
    ///
    /// # Errors
    /// When the manager refuses.
    pub async fn status_text(&self, service: &str) -> Result<String, ManagerError> {
        let text = self.of_service(service, "StatusText").await?;
        Ok(String::try_from(text).unwrap_or_default())
    }

    /// One property of a unit that is a service.
    async fn of_service(&self, unit: &str, name: &str) -> Result<OwnedVariant, ManagerError> {
        let proxy = self.properties_of(unit).await?;
        Ok(proxy.get(SERVICE, name).await?)
    }

    /// A unit that is asked for by its path is loaded if it is not: `LoadUnit` would be one question more.
    async fn properties_of(&self, unit: &str) -> zbus::Result<PropertiesProxy<'static>> {
        PropertiesProxy::builder(&self.connection)
            .path(unit_path(unit))
            .cache_properties(zbus::proxy::CacheProperties::No)
            .build()
            .await
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

    /// True where a unit file of that name exists in another place than `directory`.
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

/// How long an enabled unit stays so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Until it is disabled.
    Disabled,
    /// Until the next boot.
    Reboot,
}

pub(super) fn is_no_such_unit(error: &zbus::Error) -> bool {
    matches!(error, zbus::Error::MethodError(name, _, _) if name.as_str() == "org.freedesktop.systemd1.NoSuchUnit")
}

fn major(version: &str) -> Option<u32> {
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}
