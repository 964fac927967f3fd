//! How a process of a generation ended: facts, as its manager tells them.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One end. The words are systemd's: `SERVICE_RESULT`, `EXIT_CODE`, `EXIT_STATUS`, `INVOCATION_ID`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// When it was noted.
    pub at: Timestamp,
    /// What the manager calls the run that ended: one end each. None with the local backend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invocation: Option<String>,
    /// `success`, `exit-code`, `signal`, `core-dump`, `timeout`, `watchdog`, `resources` …
    pub result: String,
    /// `exited`, `killed` or `dumped`; empty where no process ran.
    pub code: String,
    /// The exit status, or the signal's name.
    pub status: String,
    /// It was READY before it ended.
    #[serde(default)]
    pub ready: bool,
}

/// Why a process of a generation ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Cause {
    /// In good order.
    Clean,
    /// It was not READY in time, or did not finish in time.
    TimedOut,
    /// Its watchdog was not fed.
    Watchdog,
    /// The kernel ended it for want of memory.
    OutOfMemory,
    /// It ended in good order, but without saying READY.
    NeverReady,
    /// It could not be set up: none of the app's own code ran.
    Setup(Step),
    /// It exited with this status.
    Exited(String),
    /// A signal ended it.
    Signal(String),
    /// What this version of portkeep has no name for: systemd's word.
    Other(String),
}

/// The step before the app's own code that failed: an exit status of systemd's, systemd.exec(5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(into = "&'static str")]
pub enum Step {
    /// Before there was a process: an environment file that cannot be read, for one.
    Resources,
    /// A process was there, and this status of systemd's says how far it came.
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

    fn of(status: &str) -> Option<Self> {
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

    /// Whether the release itself may be to blame, and not what the machine has for it.
    #[must_use]
    pub fn is_of_the_release(self) -> bool {
        self == Self::EXECUTABLE
    }
}

/// systemd's exit statuses for what it does before it runs an executable: systemd.exec(5), "Process Exit Codes".
const STATUSES: [(u8, &str, &str); 43] = [
    (
        200,
        "CHDIR",
        "its working directory is missing or not allowed",
    ),
    (201, "NICE", "its priority could not be set"),
    (202, "FDS", "its descriptors could not be set up"),
    (
        203,
        "EXEC",
        "the executable is missing, not allowed, or made for another system",
    ),
    (204, "MEMORY", "there was not enough memory to start it"),
    (205, "LIMITS", "its limits could not be set"),
    (206, "OOM_ADJUST", "its OOM score could not be set"),
    (207, "SIGNAL_MASK", "its signal mask could not be set"),
    (208, "STDIN", "its standard input could not be set up"),
    (209, "STDOUT", "its standard output could not be set up"),
    (210, "CHROOT", "its root directory could not be changed"),
    (211, "IOPRIO", "its I/O priority could not be set"),
    (212, "TIMERSLACK", "its timer slack could not be set"),
    (213, "SECUREBITS", "its secure bits could not be set"),
    (214, "SETSCHEDULER", "its scheduler could not be set"),
    (
        215,
        "CPUAFFINITY",
        "its processor affinity could not be set",
    ),
    (216, "GROUP", "its group does not exist"),
    (217, "USER", "its user does not exist"),
    (218, "CAPABILITIES", "its capabilities could not be set"),
    (219, "CGROUP", "its control group could not be set up"),
    (220, "SETSID", "its session could not be made"),
    (221, "CONFIRM", "its start was not confirmed"),
    (222, "STDERR", "its standard error could not be set up"),
    (224, "PAM", "its PAM session could not be opened"),
    (225, "NETWORK", "its network namespace could not be set up"),
    (226, "NAMESPACE", "its sandbox could not be set up"),
    (
        227,
        "NO_NEW_PRIVILEGES",
        "its privileges could not be locked",
    ),
    (228, "SECCOMP", "its system call filter could not be set"),
    (
        229,
        "SELINUX_CONTEXT",
        "its SELinux context could not be set",
    ),
    (230, "PERSONALITY", "its personality could not be set"),
    (
        231,
        "APPARMOR_PROFILE",
        "its AppArmor profile could not be set",
    ),
    (
        232,
        "ADDRESS_FAMILIES",
        "its address families could not be restricted",
    ),
    (
        233,
        "RUNTIME_DIRECTORY",
        "its runtime directory could not be set up",
    ),
    (235, "CHOWN", "the owner of a socket could not be changed"),
    (
        236,
        "SMACK_PROCESS_LABEL",
        "its SMACK label could not be set",
    ),
    (237, "KEYRING", "its keyring could not be set up"),
    (
        238,
        "STATE_DIRECTORY",
        "its state directory could not be set up",
    ),
    (
        239,
        "CACHE_DIRECTORY",
        "its cache directory could not be set up",
    ),
    (
        240,
        "LOGS_DIRECTORY",
        "its log directory could not be set up",
    ),
    (
        241,
        "CONFIGURATION_DIRECTORY",
        "its configuration directory could not be set up",
    ),
    (242, "NUMA_POLICY", "its NUMA policy could not be set"),
    (243, "CREDENTIALS", "its credentials could not be loaded"),
    (245, "BPF", "its BPF restrictions could not be set"),
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

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clean => f.write_str("it exited with status 0"),
            Self::TimedOut => f.write_str("it was not READY in time"),
            Self::Watchdog => f.write_str("its watchdog was not fed"),
            Self::OutOfMemory => f.write_str("it ran out of memory"),
            Self::NeverReady => f.write_str("it ended without saying READY"),
            Self::Setup(step) => write!(f, "it could not be started: {step}"),
            Self::Exited(status) => write!(f, "it exited with status {status}"),
            Self::Signal(signal) => write!(f, "it was ended by signal {signal}"),
            Self::Other(result) => write!(f, "its unit ended with result `{result}`"),
        }
    }
}

impl End {
    /// Why it ended. A status of systemd's means a failed setup only where the app's own code had not said READY: an app
    /// may exit with any status.
    #[must_use]
    pub fn cause(&self) -> Cause {
        let setup = || Step::of(&self.status).filter(|_| !self.ready);
        match (self.result.as_str(), self.code.as_str()) {
            ("timeout", _) => Cause::TimedOut,
            ("watchdog", _) => Cause::Watchdog,
            ("oom-kill", _) => Cause::OutOfMemory,
            ("protocol", _) => Cause::NeverReady,
            ("resources", _) => Cause::Setup(Step::Resources),
            ("success", "killed") => Cause::Signal(self.status.clone()),
            ("success", _) => Cause::Clean,
            (_, "exited") => match setup() {
                Some(step) => Cause::Setup(step),
                None => Cause::Exited(self.status.clone()),
            },
            (_, "killed" | "dumped") => Cause::Signal(self.status.clone()),
            (result, _) => Cause::Other(result.to_owned()),
        }
    }

    /// True for an end that the app did not choose, and nobody asked it for.
    #[must_use]
    pub fn is_crash(&self) -> bool {
        self.result != "success" && !self.is_cut()
    }

    /// Whether it was asked to end, and killed at the deadline of its drain. Once it is READY, systemd has no other timeout.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.result == "timeout" && self.ready
    }

    /// For people: `it exited with status 1`.
    #[must_use]
    pub fn describe(&self) -> String {
        self.cause().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(result: &str, code: &str, status: &str, ready: bool) -> End {
        End {
            at: Timestamp::UNIX_EPOCH,
            invocation: None,
            result: result.to_owned(),
            code: code.to_owned(),
            status: status.to_owned(),
            ready,
        }
    }

    #[test]
    fn every_end_has_a_cause() {
        for (end, cause) in [
            (end("success", "exited", "0", true), Cause::Clean),
            (
                end("success", "killed", "TERM", true),
                Cause::Signal("TERM".into()),
            ),
            (
                end("exit-code", "exited", "1", false),
                Cause::Exited("1".into()),
            ),
            (
                end("exit-code", "exited", "203", false),
                Cause::Setup(Step::EXECUTABLE),
            ),
            // What served has a status of its own.
            (
                end("exit-code", "exited", "203", true),
                Cause::Exited("203".into()),
            ),
            (
                end("exit-code", "exited", "199", false),
                Cause::Exited("199".into()),
            ),
            (
                end("resources", "", "", false),
                Cause::Setup(Step::Resources),
            ),
            (
                end("core-dump", "dumped", "SEGV", true),
                Cause::Signal("SEGV".into()),
            ),
            (end("timeout", "killed", "KILL", false), Cause::TimedOut),
            (
                end("exec-condition", "", "", false),
                Cause::Other("exec-condition".into()),
            ),
        ] {
            assert_eq!(end.cause(), cause, "{end:?}");
        }
    }

    #[test]
    fn a_step_is_named_with_its_status() {
        let cause = end("exit-code", "exited", "217", false).cause();
        assert_eq!(
            cause.to_string(),
            "it could not be started: its user does not exist (217/USER)"
        );
    }

    #[test]
    fn what_was_ready_and_is_killed_at_its_deadline_has_drained() {
        assert!(!end("timeout", "killed", "KILL", true).is_crash());
        assert!(end("timeout", "killed", "KILL", false).is_crash());
    }
}
