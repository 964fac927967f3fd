//! Child processes, for everything that portkeep runs itself: builds, checks, release commands and generations.
//!
//! A process leads a group of its own, so that Ctrl-C at the terminal is ours to handle, and a kill reaches what it started.
//! One task owns it. Only that task sends signals, and only before it has waited for the process: until then the number, and
//! that of the group, names nobody else. Whoever runs processes has [`Children`], which remember them in a directory: what a
//! killed portkeep left running is found there by the next one.

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

pub use lines::Lines;
pub use output::Output;
pub use pid_file::Left;

use pid_file::PidFile;

use crate::store::Store;

/// How long what a stopped process started may go on after its end.
const REST: Duration = Duration::from_millis(200);
/// A moment that never comes.
const NEVER: Duration = Duration::from_secs(60 * 60 * 24 * 365);

/// What becomes of what a process started, when it ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// It is killed, as systemd kills what is left of a control group.
    Ends,
    /// It goes on: a build may start a server that later builds use.
    GoesOn,
}

/// Starts processes, and remembers those that run.
#[derive(Debug, Clone, Default)]
pub struct Children {
    notes: Option<PathBuf>,
}

/// A process that was started, and the streams that it has a pipe for.
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
    /// Those of an app, remembered beside its generations.
    #[must_use]
    pub fn of(store: &Store) -> Self {
        Self::noted_in(store.run_directory().join("processes"))
    }

    /// Remembers what runs in `directory`, which nobody else may write. It is made when it is needed.
    #[must_use]
    pub fn noted_in(directory: PathBuf) -> Self {
        Self {
            notes: Some(directory),
        }
    }

    /// Starts a process in a group of its own. It ends when the answer is dropped. `what` names it for people, should it be
    /// left running.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&self, mut command: Command, what: &str, rest: Rest) -> io::Result<Started> {
        let mut child = command.process_group(0).kill_on_drop(true).spawn()?;
        let pid = child
            .id()
            .and_then(|pid| i32::try_from(pid).ok())
            .and_then(Pid::from_raw)
            .ok_or_else(|| io::Error::other("it has no number"))?;
        // Not to be found after a crash is no reason not to run.
        let notes = self.notes.as_deref();
        let note = notes.and_then(|directory| PidFile::write(directory, pid, what).ok());
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (orders, inbox) = mpsc::unbounded_channel();
        let (sender, end) = watch::channel(None);
        let leader = Leader {
            child,
            pid,
            rest,
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

    /// Ends what a killed portkeep left running, with all that it started, and answers what that was. Takes some seconds at
    /// most.
    pub async fn end_left(&self) -> Vec<Left> {
        match self.notes.clone() {
            Some(directory) => pid_file::end_left(&directory).await,
            None => Vec::new(),
        }
    }
}

/// A running process. Ends with this value, at the latest, and with it all it started.
#[derive(Debug)]
pub struct Process {
    pid: Pid,
    orders: mpsc::UnboundedSender<Order>,
    end: Ending,
}

/// The end of a process, once it has come.
#[derive(Debug, Clone)]
pub struct Ending(watch::Receiver<Option<Option<ExitStatus>>>);

impl Ending {
    /// Waits for it. Nothing where the process could not be waited for.
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

    /// It has not ended yet.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.end.0.borrow().is_none()
    }

    /// Its end, to be waited for.
    #[must_use]
    pub fn end(&self) -> Ending {
        self.end.clone()
    }

    /// Sends a signal to the process alone.
    pub fn signal(&self, signal: Signal) {
        self.order(Order::Signal(signal));
    }

    /// Kills it and all it started.
    pub fn kill(&self) {
        self.order(Order::Kill);
    }

    /// Tells it and all it started to end (SIGTERM). What is left after `patience` is killed.
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

/// The process as its task has it.
struct Leader {
    child: Child,
    pid: Pid,
    rest: Rest,
    /// Its number may be another's.
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
        // A kill that was asked for in this moment counts, too.
        while let Ok(order) = inbox.try_recv() {
            is_told_to_end |= matches!(order, Order::Stop(_) | Order::Kill);
        }
        if is_told_to_end && !is_dropped {
            // What it started ends with it, as a rule.
            members::ended(self.pid, REST).await;
        }
        if is_told_to_end || self.rest == Rest::Ends {
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
    /// Where the runtime ends before the process does.
    fn drop(&mut self) {
        if !self.is_waited_for {
            self.kill_group();
        }
    }
}

/// Waits until a child has ended, and leaves it to be waited for.
async fn has_ended(process: Pid) {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    // Listened to first, so that an end between the look and the wait is told.
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
