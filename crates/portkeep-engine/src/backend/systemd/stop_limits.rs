//! Time limits of stops, as systemd has them loaded.

use std::time::Duration;

use portkeep_spec::{Manager as Which, contract, unit_names};
use tokio::time::timeout;

use super::manager::{Manager, ManagerError};
use super::unit_state::UnitState;
use crate::generation::Generation;
use crate::stop_limits::{LimitOf, StopLimit};
use crate::store::Store;

/// How long the system's manager may take to tell a user's what it needs to know only for advice.
const DEADLINE: Duration = Duration::from_secs(5);

impl Manager {
    /// The limits of an app. What is not loaded, and what cannot be asked, is left out.
    ///
    /// # Errors
    /// When the manager does not answer.
    pub async fn stop_limits(&self, store: &Store) -> Result<Vec<StopLimit>, ManagerError> {
        let name = store.name();
        let which = self.which();
        let leave = unit_names::leave(name);
        // The settings are the template's, as in `Systemd::settings`.
        let current = store.current_app().unwrap_or(Generation(0));
        let drain = self.state(&unit_names::generation(name, current.0)).await?;
        let found = [
            self.shutdown_limit().await,
            limit(LimitOf::Leave, which, self.state(&leave).await?, leave),
            limit(
                LimitOf::Drain,
                which,
                drain,
                unit_names::generation_template(name),
            ),
        ];
        Ok(found.into_iter().flatten().collect())
    }

    /// What a shutdown of the machine gives all apps of this manager.
    async fn shutdown_limit(&self) -> Option<StopLimit> {
        let (unit, state) = match self.which() {
            Which::System => {
                let unit = contract::SHUTDOWN.to_owned();
                let state = self.state(&unit).await.ok()?;
                (unit, state)
            }
            // Not everybody may ask the system's manager.
            Which::User => {
                let unit = format!("user@{}.service", rustix::process::getuid().as_raw());
                let asked = async {
                    let system = Self::connect(Which::System).await?;
                    system.state(&unit).await
                };
                let state = timeout(DEADLINE, asked).await.ok()?.ok()?;
                (unit, state)
            }
        };
        limit(LimitOf::Shutdown, Which::System, state, unit)
    }
}

fn limit(of: LimitOf, which: Which, state: UnitState, unit: String) -> Option<StopLimit> {
    (state.load == "loaded").then(|| StopLimit {
        of,
        unit,
        which,
        limit: state.stop_timeout,
        drop_ins: state.drop_ins.into_iter().map(Into::into).collect(),
    })
}
