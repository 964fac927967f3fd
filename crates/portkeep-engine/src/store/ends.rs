//! Ends of a generation's processes, and their lines in the history.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;

use super::events::{CrashRecord, DrainedRecord, HistoryEvent};
use super::{Store, write::PRIVATE};
use crate::end::End;
use crate::generation::Generation;
use crate::settle::Settle;

/// Beginning of the reason of a drain that was killed at its deadline.
const CUT: &str = "it did not finish in time";

impl DrainedRecord {
    /// Whether it was killed at its deadline.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.reason.starts_with(CUT)
    }
}

/// A settled end.
#[derive(Debug)]
pub struct Settled<'a> {
    /// The generation.
    pub generation: Generation,
    /// All its ends, this one last.
    pub ends: &'a [End],
    /// The reason, for people.
    pub reason: &'a str,
    /// Its last status.
    pub status: &'a str,
    /// The decision.
    pub decided: Settle,
    /// Number of recent crashes.
    pub crashes: u32,
}

impl Store {
    /// Records an end, once, and returns its event: in the history if it is of interest, then in the generation's
    /// directory. After a kill in between, the call is repeated, and finds what it wrote.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn note_settled(&self, settled: &Settled<'_>) -> io::Result<Option<HistoryEvent>> {
        let Some(end) = settled.ends.last() else {
            return Ok(None);
        };
        if self.ends(settled.generation).contains(end) {
            return Ok(None);
        }
        let event = self.event_of(settled, end);
        let told = event.iter().try_for_each(|event| self.note_event(event));
        self.note_end(settled.generation, end)?;
        told.map(|()| event)
    }

    /// The event of an end, if it is of interest.
    fn event_of(&self, settled: &Settled<'_>, end: &End) -> Option<HistoryEvent> {
        let generation = settled.generation;
        let release = || {
            self.release_of(generation).map_or((None, None), |release| {
                (Some(release.digest.clone()), release.label())
            })
        };
        let is_expected = settled.decided == Settle::Nothing;
        if !end.is_crash() && end.ready {
            let reason = match end.is_cut() {
                true => format!("{CUT} and was ended"),
                false => settled.reason.to_owned(),
            };
            let (digest, label) = release();
            Some(HistoryEvent::Drained(DrainedRecord {
                at: end.at,
                generation,
                digest,
                label,
                status: settled.status.to_owned(),
                reason,
                invocation: end.invocation.clone(),
            }))
        } else if end.is_crash() && (end.ready || !is_expected) {
            // If it was never READY, its handover records it, if there is one.
            let pause = match settled.decided {
                Settle::Restart { after } => u64::try_from(after.as_millis()).ok(),
                _ => None,
            };
            let (digest, label) = release();
            Some(HistoryEvent::Crash(CrashRecord {
                at: end.at,
                generation,
                digest,
                label,
                reason: settled.reason.to_owned(),
                crashes: settled.crashes,
                decision: settled.decided.decision(),
                pause_milliseconds: pause,
                status: settled.status.to_owned(),
                invocation: end.invocation.clone(),
            }))
        } else {
            None
        }
    }

    fn note_end(&self, generation: Generation, end: &End) -> io::Result<()> {
        let directory = self.generation_directory(generation);
        if !directory.exists() {
            // Its handover has removed the directory already: nobody needs its ends.
            return Ok(());
        }
        let path = directory.join("ends.jsonl");
        let mut line = serde_json::to_vec(end)?;
        line.push(b'\n');
        File::options()
            .create(true)
            .append(true)
            .mode(PRIVATE)
            .open(path)?
            .write_all(&line)
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

    /// The ends of `generation` with `end` as the last one, whether it is recorded or not: a run ends once.
    #[must_use]
    pub fn ends_with(&self, generation: Generation, end: &End) -> Vec<End> {
        let mut ends = self.ends(generation);
        match ends
            .iter()
            .position(|noted| noted.invocation.is_some() && noted.invocation == end.invocation)
        {
            Some(noted) => ends.truncate(noted + 1),
            None => ends.push(end.clone()),
        }
        ends
    }

    /// Number of crashes of `generation`.
    #[must_use]
    pub fn crashes(&self, generation: Generation) -> u32 {
        let crashes = self
            .ends(generation)
            .iter()
            .filter(|end| end.is_crash())
            .count();
        u32::try_from(crashes).unwrap_or(u32::MAX)
    }
}
