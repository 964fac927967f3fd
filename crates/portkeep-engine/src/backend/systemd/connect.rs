//! Connects to a manager.
//!
//! Uses the bus, not the manager's private socket that systemctl prefers: there systemd signs its messages with a
//! well-known name where D-Bus requires a unique one, and zbus (6.2) rightly refuses them.

use portkeep_spec::Manager as Which;
use zbus::Connection;
use zbus::connection::Builder;

use super::manager::ManagerError;
use crate::directories::user_runtime_directory;

/// Connects to the bus of a manager.
pub(super) async fn connect(which: Which) -> Result<Connection, ManagerError> {
    let unreachable = |source| ManagerError::Unreachable { which, source };
    if which == Which::System {
        return Connection::system().await.map_err(unreachable);
    }
    let runtime = user_runtime_directory().map_err(ManagerError::NoRuntimeDirectory)?;
    let bus = runtime.join("bus");
    if bus.exists() {
        // Not DBUS_SESSION_BUS_ADDRESS first: a desktop may have a session bus without systemd.
        return Builder::address(format!("unix:path={}", bus.display()).as_str())
            .build()
            .await
            .map_err(unreachable);
    }
    if runtime.join("systemd/private").exists() {
        return Err(ManagerError::NoUserBus(bus));
    }
    Connection::session().await.map_err(unreachable)
}
