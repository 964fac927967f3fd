//! The release command as a child process, with a deadline, and a group that ends with it.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::Child;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::group::{has_ended, kill_all, signal};
use super::launch::launch_release_command;
use super::supervise::{LAST_LINES, LAST_LINES_DEADLINE, end as ended_without_process, ended};
use super::{LocalEvent, Shared, orphan};
use crate::backend::{BackendError, StartFailure};
use crate::end::Cause;
use crate::generation::Generation;
use crate::release_command::ReleaseCommand;

/// How long it may take to end once it is asked to: that of its unit under systemd.
const STOP: Duration = Duration::from_secs(5);
/// Lines that are shown. Of what comes after them, the last ones are kept for the report of a failure.
const SHOWN: usize = 1000;
/// A longer line is told in pieces.
const LONGEST_LINE: u64 = 4096;
/// Lines that wait to be told. Who writes more waits.
const WAITING: usize = 64;

/// The release command that runs. It ends when it is told to.
#[derive(Debug)]
pub(super) struct Releasing(watch::Sender<bool>);

/// Runs it in a task of its own: who waits for it may go away, and it is not left without anybody who ends it.
pub(super) async fn run(
    shared: &Arc<Shared>,
    generation: Generation,
    command: &ReleaseCommand,
) -> Result<Result<(), StartFailure>, BackendError> {
    end(shared).await;
    let (stop, stopped) = watch::channel(false);
    *shared.releasing() = Some(Releasing(stop));
    let run = Run {
        shared: shared.clone(),
        generation,
        last_lines: VecDeque::new(),
        lines: 0,
    };
    let running = tokio::spawn(run.follow(command.clone(), stopped));
    running
        .await
        .map_err(|error| BackendError::new("the task of the release command died", error))
}

/// Ends the one that runs, and answers when it has ended.
pub(super) async fn end(shared: &Shared) {
    let running = shared.releasing().take();
    if let Some(Releasing(stop)) = running {
        stop.send_replace(true);
        stop.closed().await;
    }
}

impl Shared {
    fn releasing(&self) -> std::sync::MutexGuard<'_, Option<Releasing>> {
        self.releasing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

struct Run {
    shared: Arc<Shared>,
    generation: Generation,
    last_lines: VecDeque<String>,
    lines: usize,
}

impl Run {
    async fn follow(
        mut self,
        command: ReleaseCommand,
        stopped: watch::Receiver<bool>,
    ) -> Result<(), StartFailure> {
        let spec = self.shared.spec();
        let store = self.shared.store.clone();
        let child = match launch_release_command(&store, &spec, self.generation, &command) {
            Ok(child) => child,
            Err(error) => {
                let none = ended_without_process("resources", "", "", false);
                return Err(StartFailure::of(&none, vec![error.to_string()]));
            }
        };
        let _ = orphan::note(&store, self.generation, child.id().unwrap_or(0));
        let result = self.watch(child, command.timeout, stopped).await;
        orphan::forget(&store, self.generation);
        result
    }

    async fn watch(
        &mut self,
        mut child: Child,
        timeout: Duration,
        mut stopped: watch::Receiver<bool>,
    ) -> Result<(), StartFailure> {
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        let group = pid.and_then(Pid::from_raw);
        let (sender, mut lines) = mpsc::channel(WAITING);
        forward(child.stdout.take(), sender.clone());
        forward(child.stderr.take(), sender);
        let mut has_ended = pin!(has_ended(group));
        let mut deadline = pin!(sleep_until(Instant::now() + timeout));
        let mut is_told_to_end = false;
        let mut is_stopped = false;
        let mut is_late = false;
        loop {
            tokio::select! {
                () = &mut has_ended => break,
                Some(line) = lines.recv() => self.line(line),
                Ok(_) = stopped.wait_for(|stop| *stop), if !is_stopped => {
                    is_stopped = true;
                    is_told_to_end = true;
                    signal(group, Signal::TERM);
                    deadline.as_mut().reset(Instant::now() + STOP);
                }
                () = &mut deadline => {
                    is_late |= !is_stopped;
                    if is_told_to_end {
                        kill_all(group);
                    } else {
                        is_told_to_end = true;
                        signal(group, Signal::TERM);
                    }
                    deadline.as_mut().reset(Instant::now() + STOP);
                }
            }
        }
        // What it started must not outlive it. Before it is waited for: until then its number is nobody else's.
        kill_all(group);
        let status = child.wait().await;
        let last = Instant::now() + LAST_LINES_DEADLINE;
        while let Ok(Some(line)) = timeout_at(last, lines.recv()).await {
            self.line(line);
        }
        if self.lines > SHOWN {
            let more = self.lines - SHOWN;
            let text = format!("… and {more} more lines of the release command");
            self.shared.tell(LocalEvent::Line(self.generation, text));
        }
        if is_stopped {
            return Err(StartFailure::by_circumstances("it was told to end"));
        }
        let end = ended(status, is_late.then_some("timeout"), true);
        match end.cause() {
            Cause::Clean => Ok(()),
            _ => Err(StartFailure::of(&end, self.last_lines.drain(..).collect())),
        }
    }

    fn line(&mut self, line: String) {
        if self.last_lines.len() == LAST_LINES {
            self.last_lines.pop_front();
        }
        self.last_lines.push_back(line.clone());
        self.lines += 1;
        if self.lines <= SHOWN {
            self.shared.tell(LocalEvent::Line(self.generation, line));
        }
    }
}

/// Sends the lines of a stream to `lines` until it ends, at the pace at which they are taken.
fn forward(stream: Option<impl AsyncRead + Unpin + Send + 'static>, lines: mpsc::Sender<String>) {
    let Some(stream) = stream else { return };
    tokio::spawn(async move {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        loop {
            line.clear();
            let mut piece = (&mut reader).take(LONGEST_LINE);
            let read = piece.read_until(b'\n', &mut line).await;
            if !read.is_ok_and(|length| length > 0) {
                break;
            }
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end_matches(['\n', '\r']).to_owned();
            if lines.send(text).await.is_err() {
                break;
            }
        }
    });
}
