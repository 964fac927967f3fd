//! The systemd manager a scenario talks to.

use std::env;
use std::path::PathBuf;

use crate::command::{Finished, run};

/// One of the two kinds of managers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manager {
    /// PID 1.
    System,
    /// The manager of the user who runs the test.
    User,
}

impl Manager {
    /// root's tests use the system manager, everybody else's their own.
    #[must_use]
    pub fn of_this_process() -> Self {
        if rustix::process::geteuid().is_root() {
            Self::System
        } else {
            Self::User
        }
    }

    /// `--system` or `--user`.
    #[must_use]
    pub fn flag(self) -> &'static str {
        match self {
            Self::System => "--system",
            Self::User => "--user",
        }
    }

    /// Where scenarios keep their apps.
    #[must_use]
    pub fn apps_directory(self) -> PathBuf {
        match self {
            Self::System => PathBuf::from("/srv"),
            Self::User => PathBuf::from(env::var_os("HOME").expect("HOME is set")).join("apps"),
        }
    }

    /// Where apps have what lives until the reboot.
    #[must_use]
    pub fn run_directory(self) -> PathBuf {
        match self {
            Self::System => PathBuf::from("/run/portkeep"),
            Self::User => {
                PathBuf::from(env::var_os("XDG_RUNTIME_DIR").expect("XDG_RUNTIME_DIR is set"))
                    .join("portkeep")
            }
        }
    }

    /// Where apps have what lives on.
    #[must_use]
    pub fn state_directory(self) -> PathBuf {
        match self {
            Self::System => PathBuf::from("/var/lib/portkeep"),
            Self::User => PathBuf::from(env::var_os("HOME").expect("HOME is set"))
                .join(".local/state/portkeep"),
        }
    }

    /// The socket of the bus that it is on.
    #[must_use]
    pub fn bus(self) -> PathBuf {
        match self {
            Self::System => PathBuf::from("/run/dbus/system_bus_socket"),
            Self::User => {
                PathBuf::from(env::var_os("XDG_RUNTIME_DIR").expect("XDG_RUNTIME_DIR is set"))
                    .join("bus")
            }
        }
    }

    /// Runs `systemctl`.
    pub fn systemctl(self, args: &[&str]) -> Finished {
        run("systemctl", [&[self.flag()], args].concat())
    }

    /// What the units that match a pattern logged last.
    pub fn journal(self, pattern: &str) -> Finished {
        let unit = match self {
            Self::System => "--unit",
            Self::User => "--user-unit",
        };
        let options = ["--no-pager", "--quiet", "--output=short-precise"];
        run(
            "journalctl",
            options.into_iter().chain(["--lines=80", unit, pattern]),
        )
    }

    /// One property of a unit.
    #[must_use]
    pub fn property(self, unit: &str, property: &str) -> String {
        let shown = self.systemctl(&["show", "--property", property, "--value", unit]);
        shown.expect_success().stdout.trim().to_owned()
    }
}
