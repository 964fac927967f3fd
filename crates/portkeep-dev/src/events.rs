//! `--events FILE`: one JSON line for each event, for programs. A view: it decides nothing.

mod line;

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use portkeep_spec::AppName;

use self::line::{EventLine, Line};
use super::effect::Notice;
use super::screen::Screen;
use super::usage::usage;
use super::verdict::Verdict;

/// Number of events that may wait for a slow disk.
const MOST: usize = 10_000;
/// The app's lines may be private.
const MODE: u32 = 0o600;
/// How long the last lines may take to be written.
const LAST: Duration = Duration::from_millis(500);

/// Writes events to a file, in a thread of its own.
#[derive(Debug)]
pub(crate) struct Events {
    name: AppName,
    lines: Option<SyncSender<String>>,
    /// Taken when this ends.
    done: Mutex<Receiver<()>>,
    lost: AtomicU64,
    path: PathBuf,
}

impl Events {
    /// Opens the file, and writes what is known of the project.
    ///
    /// # Errors
    /// When it cannot be written to.
    pub(crate) fn open(
        path: &Path,
        name: &AppName,
        project: &Path,
        screen: Arc<dyn Screen>,
    ) -> anyhow::Result<Self> {
        let fail = |error: std::io::Error| {
            usage(format!(
                "cannot write to {}: {error}; name a file that can be written with --events FILE",
                path.display()
            ))
        };
        // Opening a pipe that nobody reads would block.
        let flags = rustix::fs::OFlags::NONBLOCK.bits();
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(MODE)
            .custom_flags(flags.cast_signed())
            .open(path)
            .map_err(fail)?;
        rustix::io::ioctl_fionbio(&file, false).map_err(|error| fail(error.into()))?;
        let (lines, to_write) = sync_channel(MOST);
        let (ended, done) = sync_channel(1);
        let shown = path.to_owned();
        thread::spawn(move || {
            if let Err(error) = write(file, &to_write) {
                let words = format!(
                    "portkeep: {} is not written to any more: {error}",
                    shown.display()
                );
                screen.line(&words.into());
            }
            let _ = ended.send(());
        });
        let opened = Self {
            name: name.clone(),
            lines: Some(lines),
            done: Mutex::new(done),
            lost: AtomicU64::new(0),
            path: path.canonicalize().unwrap_or_else(|_| path.to_owned()),
        };
        opened.write(&EventLine::Begins {
            app: name.as_str(),
            project: &project.to_string_lossy(),
            process: std::process::id(),
        });
        Ok(opened)
    }

    /// The file, which is no source, wherever it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn tell(&self, notice: &Notice) {
        let text = line::words(&self.name, notice);
        self.write(&EventLine::of(notice, &text));
    }

    /// Writes the end of a round.
    pub(crate) fn end_round(&self, verdict: &Verdict) {
        let verdict = Verdict {
            app: Some(self.name.to_string()),
            ..verdict.clone()
        };
        self.write(&EventLine::Verdict { verdict: &verdict });
    }

    fn write(&self, told: &EventLine<'_>) {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 && !self.push(&EventLine::EventsLost { count: lost }) {
            self.lost.fetch_add(lost, Ordering::Relaxed);
        }
        if !self.push(told) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns false if the event would hold up the loop.
    fn push(&self, told: &EventLine<'_>) -> bool {
        let (Some(lines), Ok(line)) = (&self.lines, Line::now(Timestamp::now(), told).text())
        else {
            return true;
        };
        !matches!(lines.try_send(line), Err(TrySendError::Full(_)))
    }
}

/// Waits a short time for the last lines.
impl Drop for Events {
    fn drop(&mut self) {
        self.write(&EventLine::Ends);
        self.lines = None;
        let until = Instant::now() + LAST;
        if let Ok(done) = self.done.get_mut() {
            let _ = done.recv_timeout(until.saturating_duration_since(Instant::now()));
        }
    }
}

fn write(mut file: File, lines: &Receiver<String>) -> std::io::Result<()> {
    for line in lines {
        file.write_all(line.as_bytes())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use portkeep_engine::Generation;

    use super::*;
    use crate::screen::Blank;

    fn open(path: &Path) -> anyhow::Result<Events> {
        let name: AppName = "hello".parse().unwrap();
        Events::open(path, &name, Path::new("/p"), Arc::new(Blank))
    }

    #[test]
    fn each_event_is_a_line_and_sessions_follow_each_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events");
        for _ in 0..2 {
            let events = open(&path).unwrap();
            events.tell(&Notice::Building(Some("src/main.rs".to_owned())));
            events.tell(&Notice::Line(Generation(3), "a\nb \u{1b}[31m\"".to_owned()));
            events.end_round(&Verdict::serves(Some(3)));
        }
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let names: Vec<_> = lines
            .iter()
            .map(|line| line["event"].as_str().unwrap())
            .collect();
        let once = ["begins", "building", "line", "verdict", "ends"];
        assert_eq!(names, [once, once].concat());
        assert!(
            lines
                .iter()
                .all(|line| line["version"] == 1 && line["at"].is_string())
        );
        assert_eq!(lines[2]["text"], "a\nb \u{1b}[31m\"");
        assert_eq!(lines[3]["result"], "serves");
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            MODE
        );
    }

    #[test]
    fn what_cannot_be_written_to_is_refused_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let error = open(directory.path()).unwrap_err().to_string();
        assert!(error.contains("--events FILE"), "{error}");
        let pipe = directory.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
        let error = open(&pipe).unwrap_err().to_string();
        assert!(error.contains("--events FILE"), "{error}");
    }

    #[test]
    fn a_reader_that_stands_still_holds_up_nobody_and_is_told_of_what_it_missed() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
        let reader = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&pipe)
            .unwrap();
        let events = open(&pipe).unwrap();
        let line = Notice::Line(Generation(1), "x".repeat(200));
        for _ in 0..3 * MOST {
            events.tell(&line);
        }
        assert!(events.lost.load(Ordering::Relaxed) > 0);
        drop(events);
        drop(reader);
    }
}
