//! History of an app: one line for each event.
//!
//! Several processes write it: handovers under the app's lock, settle steps without. So the file has a lock of its own,
//! which is held while a line is added or the oldest lines are cut off.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use super::events::{HandoverRecord, HistoryEvent};
use super::{Store, atomic_write, write::PRIVATE};
use crate::generation::Generation;
use crate::handover::HandoverId;

/// Number of kept lines; the oldest are cut off first.
const KEPT: usize = 1000;
/// No line is shorter: a file with fewer bytes needs no counting.
const SHORTEST: usize = 64;
/// How long a line waits for the file's lock. Then it is added without: a recorded event is worth more than safety from the
/// one cut that may be in progress.
const PATIENCE: Duration = Duration::from_secs(2);
/// Number of bytes that are read at first from the end of the file.
const AT_ONCE: u64 = 16 << 10;
const STEP: Duration = Duration::from_millis(1);

impl Store {
    fn history_path(&self) -> PathBuf {
        self.state.join("history.jsonl")
    }

    /// Adds a handover.
    pub(crate) fn record(&self, record: &HandoverRecord) -> io::Result<()> {
        self.note_event(&HistoryEvent::Handover(record.clone()))
    }

    /// Adds an event. If several processes add and cut at once, none loses another's line.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn note_event(&self, event: &HistoryEvent) -> io::Result<()> {
        self.note_and_keep(event, KEPT)
    }

    pub(super) fn note_and_keep(&self, event: &HistoryEvent, kept: usize) -> io::Result<()> {
        let (mut file, is_locked) = self.open_history()?;
        let mut line = Vec::new();
        if !ends_a_line(&mut file)? {
            // A disk was full: the beginning of a line is of no use.
            line.push(b'\n');
        }
        serde_json::to_writer(&mut line, event)?;
        line.push(b'\n');
        // One write, so that it stays whole even without the lock.
        file.write_all(&line)?;
        if is_locked {
            self.trim_history(&mut file, kept)?;
        }
        Ok(())
    }

    /// Opens the file and locks it, unless another process keeps it locked.
    fn open_history(&self) -> io::Result<(File, bool)> {
        let path = self.history_path();
        let deadline = Instant::now() + PATIENCE;
        loop {
            // A reason may contain lines of the app's log, which the journal does not show to everybody either.
            let file = File::options()
                .create(true)
                .read(true)
                .append(true)
                .mode(PRIVATE)
                .open(&path)?;
            let is_late = Instant::now() >= deadline;
            match file.try_lock() {
                // A process that cuts replaces the file, and has the lock of the old one.
                Ok(()) if is_at(&file, &path) => return Ok((file, true)),
                Ok(()) => {}
                Err(_) if is_late => return Ok((file, false)),
                Err(TryLockError::WouldBlock) => thread::sleep(STEP),
                // A file system without locks.
                Err(TryLockError::Error(_)) => return Ok((file, false)),
            }
        }
    }

    /// Cuts off the oldest lines of the locked file.
    fn trim_history(&self, file: &mut File, kept: usize) -> io::Result<()> {
        if file.metadata()?.len() < (2 * kept * SHORTEST) as u64 {
            return Ok(());
        }
        let mut text = String::new();
        file.seek(SeekFrom::Start(0))?;
        file.read_to_string(&mut text)?;
        let lines = text.lines().count();
        // Cut at twice the limit, so that not every event rewrites the file.
        if lines <= 2 * kept {
            return Ok(());
        }
        let cut: Vec<_> = text.lines().take(lines - kept).collect();
        self.count_before_cut(&cut)?;
        let text: String = text
            .lines()
            .skip(lines - kept)
            .flat_map(|line| [line, "\n"])
            .collect();
        atomic_write(&self.history_path(), text.as_bytes(), PRIVATE)
    }

    /// All kept events, oldest first. Unreadable lines are skipped.
    ///
    /// # Errors
    /// When the file exists and cannot be read.
    pub fn events(&self) -> io::Result<Vec<HistoryEvent>> {
        Ok(events(&self.history_text()?))
    }

    fn history_text(&self) -> io::Result<String> {
        match fs::read_to_string(self.history_path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            text => text,
        }
    }

    /// All kept handovers, oldest first.
    ///
    /// # Errors
    /// When the file exists and cannot be read.
    pub fn history(&self) -> io::Result<Vec<HandoverRecord>> {
        let handovers = self.events()?.into_iter().filter_map(|event| match event {
            HistoryEvent::Handover(record) => Some(record),
            _ => None,
        });
        Ok(handovers.collect())
    }

    /// Passes the text of the history to `look`, while nobody adds to it or cuts it.
    pub(crate) fn with_history_locked<T>(&self, look: impl FnOnce(&str) -> T) -> io::Result<T> {
        let path = self.history_path();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut file = match File::open(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(look("")),
                file => file?,
            };
            let is_late = Instant::now() >= deadline;
            let is_locked = match file.try_lock() {
                Ok(()) => is_at(&file, &path),
                Err(TryLockError::WouldBlock) => false,
                // A file system without locks.
                Err(TryLockError::Error(_)) => true,
            };
            if is_locked || is_late {
                let mut text = String::new();
                file.read_to_string(&mut text)?;
                return Ok(look(&text));
            }
            thread::sleep(STEP);
        }
    }

    /// The handover that started `generation`.
    pub(crate) fn handover_to(&self, generation: Generation) -> Option<HandoverId> {
        let handovers = self.history().ok()?.into_iter().rev();
        let mut to = handovers.filter(|record| record.generation == Some(generation));
        Some(to.next()?.id)
    }

    /// The last kept handover. Only the end of the file is read, however long it is.
    ///
    /// # Errors
    /// When the file exists and cannot be read.
    pub fn last_handover(&self) -> io::Result<Option<HandoverRecord>> {
        let mut file = match File::open(self.history_path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let length = file.metadata()?.len();
        let mut part = AT_ONCE;
        loop {
            let begin = length.saturating_sub(part);
            file.seek(SeekFrom::Start(begin))?;
            let mut bytes = Vec::new();
            (&mut file).take(part).read_to_end(&mut bytes)?;
            let text = String::from_utf8_lossy(&bytes);
            // Half a line cannot be read.
            let last =
                text.lines()
                    .rev()
                    .find_map(|line| match serde_json::from_str(line).ok()? {
                        HistoryEvent::Handover(record) => Some(record),
                        _ => None,
                    });
            if last.is_some() || begin == 0 {
                return Ok(last);
            }
            part = part.saturating_mul(4);
        }
    }
}

fn is_at(file: &File, path: &std::path::Path) -> bool {
    let (Ok(opened), Ok(there)) = (file.metadata(), fs::metadata(path)) else {
        return false;
    };
    (opened.dev(), opened.ino()) == (there.dev(), there.ino())
}

fn ends_a_line(file: &mut File) -> io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

fn events(text: &str) -> Vec<HistoryEvent> {
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// Reports new events of a history, each once, even if the oldest lines are cut off meanwhile.
#[derive(Debug)]
pub struct Follower {
    store: Store,
    /// The last reported line.
    last: Option<String>,
}

impl Follower {
    /// Begins now.
    #[must_use]
    pub fn new(store: Store) -> Self {
        let text = store.history_text().unwrap_or_default();
        Self {
            last: whole_lines(&text).last().map(str::to_owned),
            store,
        }
    }

    /// Events since the last call, oldest first.
    ///
    /// # Errors
    /// When the file exists and cannot be read.
    pub fn news(&mut self) -> io::Result<Vec<HistoryEvent>> {
        let text = self.store.history_text()?;
        let new = after(&text, self.last.as_deref());
        let news = new
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        if let Some(line) = new.last() {
            self.last = Some((*line).to_owned());
        }
        Ok(news)
    }
}

/// Complete lines: one that is being written is reported when it is complete.
fn whole_lines(text: &str) -> impl DoubleEndedIterator<Item = &str> {
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines()
}

/// The lines after the last one that is `known`; all, if it was cut off. A line contains the time, so that no two are
/// equal.
fn after<'a>(text: &'a str, known: Option<&str>) -> Vec<&'a str> {
    let mut new: Vec<_> = whole_lines(text)
        .rev()
        .take_while(|line| Some(*line) != known)
        .collect();
    new.reverse();
    new
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jiff::Timestamp;

    use super::*;
    use crate::store::{CrashRecord, Decision};

    fn event(number: u64) -> HistoryEvent {
        HistoryEvent::Crash(CrashRecord {
            at: Timestamp::from_second(i64::try_from(number).unwrap()).unwrap(),
            generation: Generation(number),
            digest: None,
            label: None,
            reason: "it exited with status 1".to_owned(),
            crashes: 1,
            decision: Decision::Restart,
            pause_milliseconds: None,
            status: String::new(),
            invocation: None,
        })
    }

    fn numbers(events: Vec<HistoryEvent>) -> Vec<u64> {
        let number = |event| match event {
            HistoryEvent::Crash(crash) => crash.generation.0,
            other => panic!("{other:?}"),
        };
        events.into_iter().map(number).collect()
    }

    #[test]
    fn no_line_is_lost_while_others_are_cut_off() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::below(root.path());
        // Few are kept, so that lines are added while others are cut off all the time.
        let (writers, each, keep, rounds) = (8_u64, 20_u64, 30, 60);
        for round in 0..rounds {
            let _ = fs::remove_file(store.history_path());
            std::thread::scope(|scope| {
                for writer in 0..writers {
                    let store = &store;
                    scope.spawn(move || {
                        for number in 0..each {
                            let event = event(writer * each + number);
                            store.note_and_keep(&event, keep).unwrap();
                        }
                    });
                }
            });
            let told = numbers(store.events().unwrap());
            let kept: BTreeSet<_> = told.iter().copied().collect();
            assert_eq!(told.len(), kept.len(), "round {round}: told twice");
            assert!(
                told.len() >= keep && told.len() <= 2 * keep,
                "round {round}"
            );
            // The remaining lines of each writer end with its last one and have no gap.
            for writer in 0..writers {
                let last = (writer + 1) * each - 1;
                let mine: Vec<_> = kept.range(writer * each..=last).copied().collect();
                let Some(first) = mine.first() else { continue };
                let whole: Vec<_> = (*first..=last).collect();
                assert_eq!(mine, whole, "round {round}, writer {writer}");
            }
        }
    }

    #[test]
    fn a_lock_that_is_kept_and_a_torn_line_hold_nothing_up() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::below(root.path());
        store.note_event(&event(1)).unwrap();
        let path = store.history_path();
        let mut torn = File::options().append(true).open(&path).unwrap();
        torn.write_all(b"{\"event\":\"cra").unwrap();
        let kept = File::open(&path).unwrap();
        kept.lock().unwrap();
        store.note_event(&event(2)).unwrap();
        drop(kept);
        store.note_event(&event(3)).unwrap();
        assert_eq!(numbers(store.events().unwrap()), [1, 2, 3]);
    }

    #[test]
    fn the_last_handover_is_found_however_far_back() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::below(root.path());
        assert_eq!(store.last_handover().unwrap(), None);
        store.note_event(&event(0)).unwrap();
        assert_eq!(store.last_handover().unwrap(), None);
        let record: HandoverRecord = serde_json::from_value(serde_json::json!({
            "at": "2026-01-01T00:00:00Z", "purpose": "reload", "result": "handed-over", "generation": 1, "previous": null,
            "digest": null, "source": null, "drained": [], "reason": "x".repeat(100_000),
            "steps": { "lockMilliseconds": 0, "takeMilliseconds": 0, "startMilliseconds": 0, "totalMilliseconds": 0 },
        }))
        .unwrap();
        store.record(&record).unwrap();
        for number in 1..=500 {
            assert_eq!(store.last_handover().unwrap().as_ref(), Some(&record));
            store.note_event(&event(number)).unwrap();
        }
    }

    #[test]
    fn each_event_is_told_once_whatever_is_cut_off() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::below(root.path());
        store.note_event(&event(0)).unwrap();
        let mut follower = Follower::new(store.clone());
        let mut told = Vec::new();
        for number in 1..=2 * KEPT as u64 + 3 {
            store.note_event(&event(number)).unwrap();
            if number % 7 == 0 || number > 1990 {
                told.extend(numbers(follower.news().unwrap()));
            }
        }
        told.extend(numbers(follower.news().unwrap()));
        assert_eq!(told, (1..=2 * KEPT as u64 + 3).collect::<Vec<_>>());
        assert!(follower.news().unwrap().is_empty());
    }

    #[test]
    fn a_line_that_is_being_written_is_told_when_it_is_whole() {
        assert_eq!(after("a\nb\nc", Some("a")), ["b"]);
        assert_eq!(after("a\nb\nc\n", Some("b")), ["c"]);
        assert_eq!(after("b\nc\n", Some("a")), ["b", "c"]);
        assert_eq!(after("a\n", None), ["a"]);
        assert!(after("", None).is_empty());
    }
}
