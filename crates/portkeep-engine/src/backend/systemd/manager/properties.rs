//! Properties of a unit, read from its object on the bus.

use futures_util::future::try_join_all;
use zbus::{OwnedObjectPath, OwnedVariant};

use super::{Manager, ManagerError};
use crate::backend::systemd::proxy::PropertiesProxy;
use crate::backend::systemd::unit_path::unit_path;
use crate::backend::systemd::unit_state::UnitState;

/// Interface of all units.
const UNIT: &str = "org.freedesktop.systemd1.Unit";
/// Further interface of services.
const SERVICE: &str = "org.freedesktop.systemd1.Service";

impl Manager {
    /// The state of a unit. The manager loads the unit if needed.
    ///
    /// # Errors
    /// When the manager refuses.
    pub async fn state(&self, unit: &str) -> Result<UnitState, ManagerError> {
        // The empty interface name asks for the properties of all interfaces, in one call.
        self.properties(unit, "").await
    }

    /// The named properties of a unit, out of those that all units have. Reading all of them takes the manager ten times as
    /// long, because it checks whether the unit's files have changed.
    pub(in crate::backend::systemd) async fn part(
        &self,
        unit: &str,
        properties: &[&str],
    ) -> Result<UnitState, ManagerError> {
        let proxy = self.properties_of(unit).await?;
        let values = properties.iter().map(async |property| {
            let value = proxy.get(UNIT, property).await?;
            Ok::<_, zbus::Error>(((*property).to_owned(), value))
        });
        let values = try_join_all(values).await?;
        Ok(UnitState::of(values.into_iter().collect()))
    }

    async fn properties(&self, unit: &str, interface: &str) -> Result<UnitState, ManagerError> {
        let proxy = self.properties_of(unit).await?;
        Ok(UnitState::of(proxy.get_all(interface).await?))
    }

    /// The user of a service's processes; `None` for the manager's own.
    ///
    /// # Errors
    /// When the manager refuses.
    pub(in crate::backend::systemd) async fn user_of(
        &self,
        service: &str,
    ) -> Result<Option<u32>, ManagerError> {
        let user = self.of_service(service, "UID").await?;
        Ok(UnitState::user(&user))
    }

    /// The number of a service's main process; 0 if it has none.
    ///
    /// # Errors
    /// When the manager refuses.
    pub(in crate::backend::systemd) async fn main_process(
        &self,
        service: &str,
    ) -> Result<u32, ManagerError> {
        let process = self.of_service(service, "MainPID").await?;
        Ok(u32::try_from(process).unwrap_or(0))
    }

    /// The command of a service's first `ExecStart=`, program first; empty if it has none.
    ///
    /// # Errors
    /// When the manager refuses.
    pub(in crate::backend::systemd) async fn command_of(
        &self,
        service: &str,
    ) -> Result<Vec<String>, ManagerError> {
        let commands = self.of_service(service, "ExecStart").await?;
        Ok(UnitState::command(commands))
    }

    /// The status text of a service (`STATUS=`).
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

    /// One property of a loaded unit.
    pub(in crate::backend::systemd) async fn property(
        &self,
        unit: &OwnedObjectPath,
        interface: &str,
        name: &str,
    ) -> Result<OwnedVariant, ManagerError> {
        let answer = self
            .connection
            .call_method(
                Some("org.freedesktop.systemd1"),
                unit,
                Some("org.freedesktop.DBus.Properties"),
                "Get",
                &(interface, name),
            )
            .await?;
        Ok(answer.body().deserialize::<OwnedVariant>()?)
    }

    /// The manager loads a unit whose path is asked for; `LoadUnit` would be a second call.
    async fn properties_of(&self, unit: &str) -> zbus::Result<PropertiesProxy<'static>> {
        PropertiesProxy::builder(&self.connection)
            .path(unit_path(unit))
            .cache_properties(zbus::proxy::CacheProperties::No)
            .build()
            .await
    }
}
