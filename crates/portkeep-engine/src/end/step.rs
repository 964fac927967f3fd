//! Steps of systemd before an app's own code runs, by their exit statuses.

use std::fmt;

use serde::Serialize;

/// The step before the app's own code that failed: an exit status of systemd's, systemd.exec(5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(into = "&'static str")]
pub enum Step {
    /// Before there was a process: for example, an environment file cannot be read.
    Resources,
    /// There was a process, and systemd's status says how far it came.
    Status(u8),
}

impl From<Step> for &'static str {
    fn from(step: Step) -> Self {
        step.word()
    }
}

impl Step {
    /// The executable itself is missing, or made for another system.
    pub const EXECUTABLE: Self = Self::Status(203);
    /// The working directory.
    pub const WORKING_DIRECTORY: Self = Self::Status(200);
    /// The user.
    pub const USER: Self = Self::Status(217);
    /// The group.
    pub const GROUP: Self = Self::Status(216);
    /// The sandbox's view of the files.
    pub const NAMESPACE: Self = Self::Status(226);
    /// The credentials.
    pub const CREDENTIALS: Self = Self::Status(243);

    pub(super) fn of(status: &str) -> Option<Self> {
        let status = status.parse().ok()?;
        STATUSES
            .iter()
            .any(|(known, ..)| *known == status)
            .then_some(Self::Status(status))
    }

    fn entry(self) -> (&'static str, &'static str) {
        let Self::Status(status) = self else {
            return ("RESOURCES", "a file that it needs cannot be read");
        };
        STATUSES
            .iter()
            .find(|(known, ..)| *known == status)
            .map_or(("UNKNOWN", "systemd says no more"), |(_, word, what)| {
                (word, what)
            })
    }

    /// systemd's word for it: `CHDIR`.
    #[must_use]
    pub fn word(self) -> &'static str {
        self.entry().0
    }

    /// Whether the release itself may be to blame, and not the machine.
    #[must_use]
    pub fn is_of_the_release(self) -> bool {
        self == Self::EXECUTABLE
    }
}

/// systemd's exit statuses before it runs an executable: systemd.exec(5), "Process Exit Codes", and for the newest ones
/// `systemd-analyze exit-status`. 255 is not among them, because an app that exits with -1 has it, too.
const STATUSES: [(u8, &str, &str); 45] = [
    (
        200,
        "CHDIR",
        "its working directory is missing, or its user may not enter it",
    ),
    (201, "NICE", "its priority could not be set (Nice=)"),
    (202, "FDS", "the sockets could not be passed to it"),
    (
        203,
        "EXEC",
        "the executable is missing, not allowed, or made for another system",
    ),
    (204, "MEMORY", "there was not enough memory to start it"),
    (
        205,
        "LIMITS",
        "its limits could not be set (LimitNOFILE= and the like)",
    ),
    (
        206,
        "OOM_ADJUST",
        "its OOM score could not be set (OOMScoreAdjust=)",
    ),
    (207, "SIGNAL_MASK", "its signals could not be set up"),
    (
        208,
        "STDIN",
        "its standard input could not be opened (StandardInput=)",
    ),
    (
        209,
        "STDOUT",
        "its standard output could not be opened (StandardOutput=), or the journal takes no lines",
    ),
    (
        210,
        "CHROOT",
        "its root directory could not be changed (RootDirectory=)",
    ),
    (
        211,
        "IOPRIO",
        "its I/O priority could not be set (IOSchedulingPriority=)",
    ),
    (
        212,
        "TIMERSLACK",
        "its timer slack could not be set (TimerSlackNSec=)",
    ),
    (
        213,
        "SECUREBITS",
        "its secure bits could not be set (SecureBits=)",
    ),
    (
        214,
        "SETSCHEDULER",
        "its scheduler could not be set (CPUSchedulingPolicy=)",
    ),
    (
        215,
        "CPUAFFINITY",
        "it may not run on the processors that it is given (CPUAffinity=)",
    ),
    (
        216,
        "GROUP",
        "its group does not exist, or could not be set (Group=)",
    ),
    (217, "USER", "its user does not exist"),
    (
        218,
        "CAPABILITIES",
        "its capabilities could not be set (CapabilityBoundingSet=, AmbientCapabilities=)",
    ),
    (219, "CGROUP", "its control group could not be set up"),
    (
        220,
        "SETSID",
        "a session of its own could not be made for it",
    ),
    (
        221,
        "CONFIRM",
        "somebody at the console did not let it start (systemd.confirm_spawn=)",
    ),
    (
        222,
        "STDERR",
        "its standard error could not be opened (StandardError=)",
    ),
    (224, "PAM", "its PAM session could not be opened (PAMName=)"),
    (
        225,
        "NETWORK",
        "its network namespace could not be set up (PrivateNetwork=)",
    ),
    (
        226,
        "NAMESPACE",
        "its sandbox could not be set up: a path that it names may be missing",
    ),
    (
        227,
        "NO_NEW_PRIVILEGES",
        "it could not be kept from new privileges (NoNewPrivileges=)",
    ),
    (
        228,
        "SECCOMP",
        "its system call filter could not be set (SystemCallFilter=)",
    ),
    (
        229,
        "SELINUX_CONTEXT",
        "its SELinux context could not be set (SELinuxContext=)",
    ),
    (
        230,
        "PERSONALITY",
        "its execution domain could not be set (Personality=)",
    ),
    (
        231,
        "APPARMOR_PROFILE",
        "its AppArmor profile could not be set (AppArmorProfile=)",
    ),
    (
        232,
        "ADDRESS_FAMILIES",
        "its address families could not be restricted (RestrictAddressFamilies=)",
    ),
    (
        233,
        "RUNTIME_DIRECTORY",
        "its runtime directory could not be made (RuntimeDirectory=)",
    ),
    (235, "CHOWN", "the owner of a socket could not be changed"),
    (
        236,
        "SMACK_PROCESS_LABEL",
        "its SMACK label could not be set (SmackProcessLabel=)",
    ),
    (237, "KEYRING", "its kernel keyring could not be set up"),
    (
        238,
        "STATE_DIRECTORY",
        "its state directory could not be made (StateDirectory=)",
    ),
    (
        239,
        "CACHE_DIRECTORY",
        "its cache directory could not be made (CacheDirectory=)",
    ),
    (
        240,
        "LOGS_DIRECTORY",
        "its log directory could not be made (LogsDirectory=)",
    ),
    (
        241,
        "CONFIGURATION_DIRECTORY",
        "its configuration directory could not be made (ConfigurationDirectory=)",
    ),
    (
        242,
        "NUMA_POLICY",
        "its NUMA policy could not be set (NUMAPolicy=)",
    ),
    (243, "CREDENTIALS", "its credentials could not be loaded"),
    (244, "BPF", "its BPF restrictions could not be set"),
    (
        245,
        "KSM",
        "its memory could not be set up for merging (MemoryKSM=)",
    ),
    (
        246,
        "MEMORY_THP",
        "its huge pages could not be set (MemoryTHP=)",
    ),
];

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, what) = self.entry();
        match self {
            Self::Resources => write!(f, "{what} (resources)"),
            Self::Status(status) => write!(f, "{what} ({status}/{word})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// systemd's own statuses in `systemd-analyze exit-status` of 262.
    #[test]
    fn each_status_of_systemd_is_told_in_words() {
        let of_systemd = (200..=246).filter(|status| ![223, 234].contains(status));
        for status in of_systemd {
            let step = Step::of(&status.to_string());
            let step = step.unwrap_or_else(|| panic!("{status} is unknown"));
            let text = step.to_string();
            assert!(
                text.ends_with(&format!(" ({status}/{})", step.word())),
                "{text}"
            );
            assert!(text.starts_with(char::is_lowercase), "{text}");
        }
        for other in ["0", "1", "199", "223", "234", "247", "255", "256", "", "x"] {
            assert_eq!(Step::of(other), None, "{other}");
        }
        assert_eq!(Step::of("217"), Some(Step::USER));
        assert_eq!(Step::USER.to_string(), "its user does not exist (217/USER)");
        assert_eq!(Step::of("244").map(Step::word), Some("BPF"));
    }
}
