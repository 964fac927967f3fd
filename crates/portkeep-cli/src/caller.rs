//! Reads the user and sets the umask of the caller. No other module touches them.

use std::path::Path;

use portkeep_spec::Manager as Which;
use rustix::process::{geteuid, getuid};

use crate::exit::usage;

/// Sets the umask so that portkeep's files get the modes that the code names. A strict umask would close their directories
/// to the app, and a wide one would open them to others.
pub(crate) fn set_umask() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
}

/// Whether the caller is root.
pub(crate) fn is_root() -> bool {
    geteuid().is_root()
}

/// The caller's manager: the system manager for root, else the user manager.
pub(crate) fn own_manager() -> Which {
    match is_root() {
        true => Which::System,
        false => Which::User,
    }
}

/// Refuses a caller that may not change units of that manager.
pub(crate) fn may_change(which: Which) -> anyhow::Result<()> {
    match which {
        Which::System if !is_root() => Err(usage(
            "units of the system manager are root's: run this with sudo, or use --user",
        )),
        _ => Ok(()),
    }
}

/// Whether the user manager outlives the user's last session. logind marks such a user by a file with the user's name.
pub(crate) fn lingers() -> bool {
    let marks = Path::new("/var/lib/systemd/linger");
    let named = portkeep_engine::user_name(getuid().as_raw());
    named.is_some_and(|name| marks.join(name).exists())
}
