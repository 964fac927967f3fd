//! How the processes of a generation ended, as its manager told the settle step.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::events::{CrashRecord, HistoryEvent};
use super::{Store, write::PRIVATE};
use crate::crash::{Budget, Settle, recent_crashes};
use crate::generation::Generation;

/// One end. The words are systemd's: `SERVICE_RESULT`, `EXIT_CODE`, `EXIT_STATUS`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// When.
    pub at: Timestamp,
    /// `success`, `exit-code`, `signal`, `core-dump`, `timeout`, `watchdog` …
    pub result: String,
    /// `exited`, `killed` or `dumped`; empty where no process ran.
    pub code: String,
    /// The exit status, or the signal's name.
    pub status: String,
}

impl End {
    /// True for an end that the app did not choose.
    #[must_use]
    pub fn is_crash(&self) -> bool {
        self.result != "success"
    }

    /// For people: `exit status 1`, `signal SEGV`, `not READY in time`.
    #[must_use]
    pub fn describe(&self) -> String {
        match (self.result.as_str(), self.code.as_str()) {
            ("timeout", _) => "it was not READY in time".to_owned(),
            ("watchdog", _) => "its watchdog was not fed".to_owned(),
            ("oom-kill", _) => "it ran out of memory".to_owned(),
            ("protocol", _) => "it ended without saying READY".to_owned(),
            (_, "exited") if let Some(step) = self.failed_step() => {
                format!("it could not be started: {step}")
            }
            ("success", "exited") => "it exited with status 0".to_owned(),
            (_, "exited") => format!("it exited with status {}", self.status),
            (_, "killed" | "dumped") => format!("it was ended by signal {}", self.status),
            (result, _) => format!("its unit ended with result `{result}`"),
        }
    }
}

impl End {
    /// The step before the app's own code that failed: systemd's exit statuses, systemd.exec(5).
    fn failed_step(&self) -> Option<&'static str> {
        Some(match self.status.as_str() {
            "200" => "its working directory is missing or not allowed (200/CHDIR)",
            "203" => "the executable is missing, or made for another system (203/EXEC)",
            "217" => "its user does not exist (217/USER)",
            "226" => "its sandbox could not be set up (226/NAMESPACE)",
            "243" => "its credentials could not be loaded (243/CREDENTIALS)",
            _ => return None,
        })
    }
}

impl Store {
    /// Adds an end of `generation`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn note_end(&self, generation: Generation, end: &End) -> io::Result<()> {
        let path = self.generation_directory(generation).join("ends.jsonl");
        let mut line = serde_json::to_vec(end)?;
        line.push(b'\n');
        File::options()
            .create(true)
            .append(true)
            .mode(PRIVATE)
            .open(path)?
            .write_all(&line)
    }

    /// Adds a crash and what was decided about it to the history; a clean end is none.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn note_crash(
        &self,
        generation: Generation,
        budget: Budget,
        ends: &[End],
        settle: Settle,
    ) -> io::Result<()> {
        let (Some(end), Some(decision)) =
            (ends.last().filter(|end| end.is_crash()), settle.decision())
        else {
            return Ok(());
        };
        let pause = match settle {
            Settle::Restart { after } => u64::try_from((after + budget.delay).as_millis()).ok(),
            _ => None,
        };
        self.note_event(&HistoryEvent::Crash(CrashRecord {
            at: end.at,
            generation,
            digest: self.release_of(generation).map(|release| release.digest),
            reason: end.describe(),
            crashes: recent_crashes(budget, ends, end.at),
            decision,
            pause_milliseconds: pause,
        }))
    }

    /// The ends of `generation`, oldest first.
    #[must_use]
    pub fn ends(&self, generation: Generation) -> Vec<End> {
        let text = fs::read_to_string(self.generation_directory(generation).join("ends.jsonl"))
            .unwrap_or_default();
        text.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }
}
