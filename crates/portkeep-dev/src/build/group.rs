//! Command that can be ended with all processes that it started, and whose output is shown and kept.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use portkeep_engine::process::{Children, Descendants, Process, Started};
use tokio::process::{ChildStdout, Command};

use super::tee;
use crate::screen::Screen;

/// How long output is read after the command's end: a process that it started may keep the pipe open.
const REST: Duration = Duration::from_millis(200);
/// Bytes of output that are kept, the last ones. Pages show less.
const KEPT: usize = 1 << 20;

/// Output of a command.
#[derive(Debug, Clone, Default)]
pub(super) struct Output(Arc<Mutex<Vec<u8>>>);

impl Output {
    pub(super) fn push(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(bytes);
        if kept.len() > 2 * KEPT {
            let more = kept.len() - KEPT;
            kept.drain(..more);
        }
    }

    /// The text that a terminal shows in the end, without lines that were written over.
    pub(super) fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&bytes).replace("\r\n", "\n");
        let last = |line: &str| {
            line.rsplit('\r')
                .next()
                .unwrap_or_default()
                .replace("\x1b[K", "")
        };
        let lines: Vec<_> = text.lines().map(last).collect();
        lines.join("\n").trim().to_owned()
    }
}

/// A command in a process group of its own.
#[derive(Debug)]
pub(super) struct Group {
    process: Process,
    stdout: Option<ChildStdout>,
    tee: Option<tokio::task::JoinHandle<()>>,
    output: Output,
}

/// Which output of a command is shown as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Show {
    /// Progress and errors. This process reads the rest.
    Errors,
    /// Everything.
    All,
}

impl Group {
    pub(super) fn start(
        mut command: Command,
        show: Show,
        screen: Arc<dyn Screen>,
        children: &Children,
    ) -> anyhow::Result<Self> {
        let program = command
            .as_std()
            .get_program()
            .to_string_lossy()
            .into_owned();
        // The command would read the terminal's keys, which are ours.
        command.stdin(Stdio::null());
        let (theirs, ours) =
            tee::open().context("cannot make a pipe for the output of a command")?;
        match show {
            Show::Errors => command.stdout(Stdio::piped()),
            Show::All => command.stdout(theirs.try_clone().context("cannot copy a descriptor")?),
        };
        command.stderr(theirs);
        // Our copies of the other end are closed with the command, so that its end can be seen.
        let started = children.start(command, &format!("`{program}`"), Descendants::LeftRunning);
        let Started {
            process, stdout, ..
        } = started.with_context(|| format!("cannot run `{program}`"))?;
        let output = Output::default();
        let tee = tokio::task::spawn_blocking({
            let output = output.clone();
            move || copy(ours, &output, &*screen)
        });
        let tee = Some(tee);
        Ok(Self {
            process,
            stdout,
            tee,
            output,
        })
    }

    pub(super) fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.stdout.take()
    }

    /// Waits for the end. Can be dropped and called again.
    pub(super) async fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        let end = self.process.end().come().await;
        let status = end.context("cannot wait for a command")?;
        if let Some(tee) = &mut self.tee {
            let _ = tokio::time::timeout(REST, tee).await;
            self.tee = None;
        }
        Ok(status)
    }

    pub(super) fn text(&self) -> String {
        self.output.text()
    }

    /// Ends the command and all processes that it started. After `patience`, they are killed.
    pub(super) async fn cancel(&mut self, patience: Duration) {
        self.process.stop(patience).await;
    }
}

/// Shows and keeps output until nobody has the other end.
fn copy(ours: OwnedFd, output: &Output, screen: &dyn Screen) {
    let mut ours = std::fs::File::from(ours);
    let mut piece = [0; 4096];
    // A pseudo-terminal reports its end as an error.
    while let Ok(count @ 1..) = ours.read(&mut piece) {
        output.push(&piece[..count]);
        screen.relay(&piece[..count]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screen::Blank;

    const DEADLINE: Duration = Duration::from_secs(10);

    #[test]
    fn a_progress_bar_is_not_part_of_the_text() {
        let output = Output::default();
        output.push(b"  Building [==> ] 1/2\r\x1b[Kerror: no\r\n  at x\r\n");
        assert_eq!(output.text(), "error: no\n  at x");
    }

    #[test]
    fn the_end_of_a_flood_is_kept() {
        let output = Output::default();
        for _ in 0..300 {
            output.push(&[b'x'; 64 * 1024]);
        }
        output.push(b"error: no");
        let text = output.text();
        assert!(text.ends_with("error: no") && text.len() <= 2 * KEPT);
    }

    #[tokio::test]
    async fn a_cancelled_command_takes_what_it_started_with_it() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo begun; sleep 60 & wait"]);
        let mut group =
            Group::start(command, Show::All, Arc::new(Blank), &Children::default()).unwrap();
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        while group.text() != "begun" {
            assert!(tokio::time::Instant::now() < deadline);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let begun = tokio::time::Instant::now();
        group.cancel(DEADLINE).await;
        assert!(begun.elapsed() < DEADLINE);
        let tee = group.tee.take().unwrap();
        // Nobody has the other end any more.
        tokio::time::timeout(Duration::from_secs(10), tee)
            .await
            .unwrap()
            .unwrap();
    }

    #[tokio::test]
    async fn what_does_not_want_to_end_is_killed_also_when_its_parent_has_ended() {
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "(trap '' TERM; echo begun; while :; do sleep 0.05; done) & wait",
        ]);
        let mut group =
            Group::start(command, Show::All, Arc::new(Blank), &Children::default()).unwrap();
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        while group.text() != "begun" {
            assert!(tokio::time::Instant::now() < deadline);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        group.cancel(Duration::from_millis(100)).await;
        let tee = group.tee.take().unwrap();
        tokio::time::timeout(Duration::from_secs(10), tee)
            .await
            .unwrap()
            .unwrap();
    }
}
