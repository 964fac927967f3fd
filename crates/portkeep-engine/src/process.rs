//! Child processes of portkeep itself: builds, checks, release commands and generations.
//!
//! Each process leads a group of its own: portkeep handles Ctrl-C of the terminal itself, and a kill reaches everything
//! that the process started. One task owns the process. Only that task sends signals, and only before it has waited for the
//! process: until then, no other process can have its number or that of its group. [`Children`] record running processes in
//! a directory, where the next portkeep finds those that a killed one left running.

mod last_lines;
mod lines;
mod members;
mod output;
mod pid_file;

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid,
};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::signal::unix::SignalKind;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

pub use last_lines::{LastLines, telling};
pub use lines::Lines;
pub use output::{Finish, Output};
pub use pid_file::LeftoverProcess;

use pid_file::PidFile;

use crate::store::Store;

/// How long descendants of a stopped process may run after its end.
const DESCENDANTS_GRACE: Duration = Duration::from_millis(200);
/// An instant that is never reached.
const NEVER: Duration = Duration::from_secs(60 * 60 * 24 * 365);

/// What happens to the descendants of a process that ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Descendants {
    /// They are killed, as systemd kills the rest of a control group.
    Killed,
    /// They go on: a build may start a server that later builds use.
    LeftRunning,
}

/// Starts processes, and records those that run.
#[derive(Debug, Clone, Default)]
pub struct Children {
    notes: Option<PathBuf>,
}

/// A started process, and the streams that have a pipe.
#[derive(Debug)]
pub struct Started {
    /// The process.
    pub process: Process,
    /// Its standard output.
    pub stdout: Option<ChildStdout>,
    /// Its standard error.
    pub stderr: Option<ChildStderr>,
}

impl Children {
    /// Processes of an app, recorded beside its generations.
    #[must_use]
    pub fn of(store: &Store) -> Self {
        Self::noted_in(store.run_directory().join("processes"))
    }

    /// Records processes in `directory`, which nobody else may write to. It is created when needed.
    #[must_use]
    pub fn noted_in(directory: PathBuf) -> Self {
        Self {
            notes: Some(directory),
        }
    }

    /// Starts a process in a group of its own. The process ends when the returned value is dropped. `what` describes it in
    /// messages about processes that were left running.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(
        &self,
        mut command: Command,
        what: &str,
        descendants: Descendants,
    ) -> io::Result<Started> {
        let mut child = command.process_group(0).kill_on_drop(true).spawn()?;
        let pid = child
            .id()
            .and_then(|pid| i32::try_from(pid).ok())
            .and_then(Pid::from_raw)
            .ok_or_else(|| io::Error::other("it has no number"))?;
        // Without a record it cannot be found after a crash. It runs all the same.
        let notes = self.notes.as_deref();
        let note = notes.and_then(|directory| PidFile::write(directory, pid, what).ok());
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (orders, inbox) = mpsc::unbounded_channel();
        let (sender, end) = watch::channel(None);
        let leader = Leader {
            child,
            pid,
            descendants,
            is_waited_for: false,
        };
        tokio::spawn(async move {
            let status = leader.follow(inbox).await;
            drop(note);
            let _ = sender.send(Some(status));
        });
        Ok(Started {
            process: Process {
                pid,
                orders,
                end: Ending(end),
            },
            stdout,
            stderr,
        })
    }

    /// Ends the processes that a killed portkeep left running, with everything they started, and returns their
    /// descriptions. Takes a few seconds at most; if the future is dropped, they are killed at once.
    pub async fn end_left(&self) -> Vec<LeftoverProcess> {
        match self.notes.clone() {
            Some(directory) => pid_file::end_left(&directory).await,
            None => Vec::new(),
        }
    }
}

/// A running process. It ends when this value is dropped at the latest, with everything it started.
#[derive(Debug)]
pub struct Process {
    pid: Pid,
    orders: mpsc::UnboundedSender<Order>,
    end: Ending,
}

/// The end of a process, when it has ended.
#[derive(Debug, Clone)]
pub struct Ending(watch::Receiver<Option<Option<ExitStatus>>>);

impl Ending {
    /// Waits for the end. None if the process could not be waited for.
    pub async fn come(&mut self) -> Option<ExitStatus> {
        let came = self.0.wait_for(Option::is_some).await;
        came.ok().and_then(|status| (*status).flatten())
    }
}

#[derive(Debug)]
enum Order {
    Signal(Signal),
    Stop(Duration),
    Kill,
}

impl Process {
    /// The number of the process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Whether it still runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.end.0.borrow().is_none()
    }

    /// A future for its end.
    #[must_use]
    pub fn end(&self) -> Ending {
        self.end.clone()
    }

    /// Sends a signal to the process alone.
    pub fn signal(&self, signal: Signal) {
        self.order(Order::Signal(signal));
    }

    /// Kills it and everything it started.
    pub fn kill(&self) {
        self.order(Order::Kill);
    }

    /// Sends SIGTERM to it and everything it started. After `patience`, the rest is killed.
    pub fn begin_to_stop(&self, patience: Duration) {
        self.order(Order::Stop(patience));
    }

    /// The same, and waits for the end.
    pub async fn stop(&self, patience: Duration) {
        self.begin_to_stop(patience);
        self.end().come().await;
    }

    fn order(&self, order: Order) {
        // It may have ended by itself in this moment.
        let _ = self.orders.send(order);
    }
}

/// The process, as its task owns it.
struct Leader {
    child: Child,
    pid: Pid,
    descendants: Descendants,
    /// Another process may have its number.
    is_waited_for: bool,
}

impl Leader {
    async fn follow(mut self, mut inbox: mpsc::UnboundedReceiver<Order>) -> Option<ExitStatus> {
        let mut is_told_to_end = false;
        let mut is_dropped = false;
        let mut deadline = Instant::now() + NEVER;
        {
            let mut ended = std::pin::pin!(has_ended(self.pid));
            loop {
                tokio::select! {
                    () = &mut ended => break,
                    order = inbox.recv(), if !is_dropped => match order {
                        Some(Order::Signal(signal)) => {
                            let _ = kill_process(self.pid, signal);
                        }
                        Some(Order::Stop(patience)) => {
                            is_told_to_end = true;
                            let _ = kill_process_group(self.pid, Signal::TERM);
                            deadline = deadline.min(Instant::now() + patience);
                        }
                        Some(Order::Kill) => {
                            is_told_to_end = true;
                            self.kill_group();
                        }
                        None => {
                            is_told_to_end = true;
                            is_dropped = true;
                            self.kill_group();
                        }
                    },
                    () = sleep_until(deadline) => {
                        deadline = Instant::now() + NEVER;
                        self.kill_group();
                    }
                }
            }
        }
        // A kill that is requested at this moment counts, too.
        while let Ok(order) = inbox.try_recv() {
            is_told_to_end |= matches!(order, Order::Stop(_) | Order::Kill);
        }
        if is_told_to_end && !is_dropped {
            // By default, everything it started ends with it.
            members::ended(self.pid, DESCENDANTS_GRACE).await;
        }
        if is_told_to_end || self.descendants == Descendants::Killed {
            self.kill_group();
        }
        let status = self.child.wait().await;
        self.is_waited_for = true;
        status.ok()
    }

    fn kill_group(&self) {
        let _ = kill_process_group(self.pid, Signal::KILL);
    }
}

impl Drop for Leader {
    /// For a runtime that ends before the process does.
    fn drop(&mut self) {
        if !self.is_waited_for {
            self.kill_group();
        }
    }
}

/// Waits until a child has ended, without reaping it.
async fn has_ended(process: Pid) {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    // Subscribed first, so that an end right after the check is not missed.
    let Ok(mut told) = tokio::signal::unix::signal(SignalKind::child()) else {
        return;
    };
    while let Ok(None) = waitid(WaitId::Pid(process), options) {
        if told.recv().await.is_none() {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
