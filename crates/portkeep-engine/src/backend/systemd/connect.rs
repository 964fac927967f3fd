//! Finds the way to a manager.

use std::path::PathBuf;

use portkeep_spec::Manager as Which;
use zbus::Connection;
use zbus::connection::Builder;

use super::manager::ManagerError;
use crate::directories::user_runtime_directory;

/// Connects to a manager: by its private socket, as systemctl does (it works before the bus is up and spares a hop),
/// else by the bus.
pub(super) async fn connect(which: Which) -> Result<Connection, ManagerError> {
    let unreachable = |source| ManagerError::Unreachable { which, source };
    let (private, bus) = match which {
        Which::System => (PathBuf::from("/run/systemd/private"), None),
        Which::User => {
            let runtime = user_runtime_directory().map_err(ManagerError::NoRuntimeDirectory)?;
            (runtime.join("systemd/private"), Some(runtime.join("bus")))
        }
    };
    if private.exists() {
        let connected = Builder::address(format!("unix:path={}", private.display()).as_str()).p2p().build().await;
        if let Ok(connection) = connected {
            return Ok(connection);
        }
    }
    match bus {
        None => Connection::system().await.map_err(unreachable),
        Some(bus) if bus.exists() => {
            Builder::address(format!("unix:path={}", bus.display()).as_str()).build().await.map_err(unreachable)
        }
        Some(_) => Connection::session().await.map_err(unreachable),
    }
}
