//! User and umask of the caller. Nothing else reads them.

use std::path::Path;

use portkeep_spec::Manager as Which;
use rustix::process::{geteuid, getuid};

use crate::exit::usage;

/// Files of ours have the modes that we mean: their directories must not be closed to the app by a strict umask, nor open to
/// others by a wide one.
pub(crate) fn set_umask() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
}

/// Whether it is root.
pub(crate) fn is_root() -> bool {
    geteuid().is_root()
}

/// The manager of whoever asks: the system's for root, else the user's.
pub(crate) fn own_manager() -> Which {
    match is_root() {
        true => Which::System,
        false => Which::User,
    }
}

/// Refuses whoever may not change units of that manager.
pub(crate) fn may_change(which: Which) -> anyhow::Result<()> {
    match which {
        Which::System if !is_root() => Err(usage(
            "units of the system manager are root's: run this with sudo, or use --user",
        )),
        _ => Ok(()),
    }
}

/// Whether the user manager outlives the last session. logind marks it by a file that is called after the user.
pub(crate) fn lingers() -> bool {
    let marks = Path::new("/var/lib/systemd/linger");
    let named = portkeep_engine::user_name(getuid().as_raw());
    named.is_some_and(|name| marks.join(name).exists())
}
