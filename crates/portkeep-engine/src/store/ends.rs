//! Ends of a generation's processes, and their lines in the history.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;

use super::events::{CrashRecord, DrainedRecord, HistoryEvent};
use super::{Store, write::PRIVATE};
use crate::end::End;
use crate::generation::Generation;
use crate::settle::Settle;

/// How the reason of a drain begins that was ended at its deadline.
const CUT: &str = "it did not finish in time";

impl DrainedRecord {
    /// Whether it was ended at its deadline, with something unfinished.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.reason.starts_with(CUT)
    }
}

/// An end that was settled.
#[derive(Debug)]
pub struct Settled<'a> {
    /// Which generation ended.
    pub generation: Generation,
    /// All its ends, this one last.
    pub ends: &'a [End],
    /// Why it ended, for people.
    pub reason: &'a str,
    /// What it said last of itself.
    pub status: &'a str,
    /// What was decided.
    pub decided: Settle,
    /// How often it crashed recently.
    pub crashes: u32,
}

impl Store {
    /// Writes an end down, once, and answers what the history says of it: in the history where somebody may want to hear of it, then in the generation's directory. A
    /// call that was killed in between is made again, and finds what it wrote.
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

    /// What somebody may want to hear of it.
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
            // One that was never READY is its handover's to tell, where there is one.
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
            // Its handover has removed what is not needed any more: nobody asks for its ends.
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

    /// The ends of `generation` with `end` as the last one, whether it is written down or not: the same run ends once.
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

    /// How often `generation` crashed.
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
