//! Release command as a child process, with a deadline. Its process group ends with it.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use rustix::process::Signal;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::launch::launch_release_command;
use super::supervise::{LAST_LINES, LAST_LINES_DEADLINE, end as ended_without_process, ended};
use super::{LocalEvent, Shared};
use crate::backend::{BackendError, StartFailure};
use crate::end::Cause;
use crate::generation::Generation;
use crate::process::{Descendants, Output, Started};
use crate::release_command::ReleaseCommand;

/// How long it may take to end after SIGTERM, as in its unit under systemd.
const STOP: Duration = Duration::from_secs(5);
/// Number of shown lines. Of later ones, the last are kept for the report of a failure.
const SHOWN: usize = 1000;

/// A running release command. It ends when it is told to.
#[derive(Debug)]
pub(super) struct Releasing(watch::Sender<bool>);

/// Runs it in a task of its own: its caller may go away, and it still has somebody to end it.
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

/// Ends the running one, and returns after its end.
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
        let launched = launch_release_command(&store, &spec, self.generation, &command);
        let what = format!("the release command of generation {}", self.generation);
        let started = launched.and_then(|program| {
            self.shared
                .processes
                .start(program, &what, Descendants::Killed)
        });
        match started {
            Ok(started) => self.watch(started, command.timeout, stopped).await,
            Err(error) => {
                let none = ended_without_process("resources", "", "", false);
                Err(StartFailure::of(&none, vec![error.to_string()]))
            }
        }
    }

    async fn watch(
        &mut self,
        started: Started,
        timeout: Duration,
        mut stopped: watch::Receiver<bool>,
    ) -> Result<(), StartFailure> {
        let process = started.process;
        let mut output = Output::of(started.stdout, started.stderr);
        let mut end = process.end();
        let mut deadline = pin!(sleep_until(Instant::now() + timeout));
        let mut is_told_to_end = false;
        let mut is_stopped = false;
        let mut is_late = false;
        let status = loop {
            tokio::select! {
                status = end.come() => break status,
                Some(line) = output.next() => self.line(line),
                Ok(_) = stopped.wait_for(|stop| *stop), if !is_stopped => {
                    is_stopped = true;
                    is_told_to_end = true;
                    process.signal(Signal::TERM);
                    deadline.as_mut().reset(Instant::now() + STOP);
                }
                () = &mut deadline => {
                    is_late |= !is_stopped;
                    if is_told_to_end {
                        process.kill();
                    } else {
                        is_told_to_end = true;
                        process.signal(Signal::TERM);
                    }
                    deadline.as_mut().reset(Instant::now() + STOP);
                }
            }
        };
        let last = Instant::now() + LAST_LINES_DEADLINE;
        while let Ok(Some(line)) = timeout_at(last, output.next()).await {
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
