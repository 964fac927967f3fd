//! The facts of the machine.

use std::fs;
use std::path::Path;

use portkeep_engine::backend::systemd::Manager;
use portkeep_engine::diagnosis::MachineFacts;
use portkeep_spec::Manager as Which;

use super::chain;

/// The facts of the machine, and its manager if that answers.
pub(crate) async fn machine(which: Which) -> (MachineFacts, Option<Manager>) {
    let mut manager = None;
    let version = match Manager::connect(which).await {
        Ok(connected) => match connected.version().await {
            Ok(version) => {
                manager = Some(connected);
                Ok(version)
            }
            Err(error) => Err(chain(&error)),
        },
        Err(error) => Err(chain(&error)),
    };
    let facts = MachineFacts {
        which,
        version,
        lingers: (which == Which::User).then(crate::caller::lingers),
        somaxconn: kernel_number("net/core/somaxconn"),
        aborts_on_overflow: kernel_number("net/ipv4/tcp_abort_on_overflow").unwrap_or(0) != 0,
        unified_cgroups: Path::new("/sys/fs/cgroup/cgroup.controllers").exists(),
    };
    (facts, manager)
}

fn kernel_number(name: &str) -> Option<u32> {
    let text = fs::read_to_string(Path::new("/proc/sys").join(name)).ok()?;
    text.trim().parse().ok()
}
