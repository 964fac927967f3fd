//! End of a generation's process, as its manager reports it.

mod step;

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use step::Step;

/// One end. The words are systemd's: `SERVICE_RESULT`, `EXIT_CODE`, `EXIT_STATUS`, `INVOCATION_ID`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// When it was recorded.
    pub at: Timestamp,
    /// The manager's id of the run that ended. None with the local backend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invocation: Option<String>,
    /// `success`, `exit-code`, `signal`, `core-dump`, `timeout`, `watchdog`, `resources` …
    pub result: String,
    /// `exited`, `killed` or `dumped`; empty if no process ran.
    pub code: String,
    /// The exit status, or the signal's name.
    pub status: String,
    /// Whether it was READY before it ended.
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
    /// Its watchdog ran out.
    Watchdog,
    /// The kernel killed it for lack of memory.
    OutOfMemory,
    /// It ended in good order, but without saying READY.
    NeverReady,
    /// It could not be set up: none of the app's own code ran.
    Setup(Step),
    /// It exited with this status.
    Exited(String),
    /// A signal ended it.
    Signal(String),
    /// An end without a name in this version of portkeep: systemd's word.
    Other(String),
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
    /// Its cause. An exit status of systemd's means a failed setup only if the app's own code had not said READY: an app
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

    /// Whether the app did not choose this end, and nobody requested it.
    #[must_use]
    pub fn is_crash(&self) -> bool {
        self.result != "success" && !self.is_cut()
    }

    /// Whether it was asked to end, and killed at the deadline of its drain. After READY, systemd has no other timeout.
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
            // A generation that served has a status of its own.
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
    fn what_was_ready_and_is_killed_at_its_deadline_has_drained() {
        assert!(!end("timeout", "killed", "KILL", true).is_crash());
        assert!(end("timeout", "killed", "KILL", false).is_crash());
    }
}
