//! A process in a group of its own, whose end is heard of by everybody who wants to know.

use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::process::{ChildStderr, ChildStdout, Command};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

/// How long what a process started may go on after its end.
const REST: Duration = Duration::from_millis(200);
/// How often we look whether a group is empty: nothing tells us of the ends of other people's children.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// Ends with this value, at the latest, and with it all it started.
#[derive(Debug)]
pub(crate) struct Process {
    group: Option<Pid>,
    end: End,
}

/// The end of a process, once it has come.
#[derive(Debug, Clone)]
pub(crate) struct End(watch::Receiver<Option<ExitStatus>>);

impl End {
    /// Waits for it. Nothing where the process could not be waited for.
    pub(crate) async fn come(&mut self) -> Option<ExitStatus> {
        self.0
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|status| *status)
    }
}

impl Process {
    pub(crate) fn start(
        mut command: Command,
    ) -> std::io::Result<(Self, Option<ChildStdout>, Option<ChildStderr>)> {
        let mut child = command.process_group(0).kill_on_drop(true).spawn()?;
        let group = child
            .id()
            .and_then(|pid| i32::try_from(pid).ok())
            .and_then(Pid::from_raw);
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (sender, end) = watch::channel(None);
        tokio::spawn(async move {
            let status = child.wait().await.ok();
            let _ = sender.send(status);
        });
        let process = Self {
            group,
            end: End(end),
        };
        Ok((process, stdout, stderr))
    }

    pub(crate) fn id(&self) -> u32 {
        self.group
            .and_then(|group| u32::try_from(group.as_raw_nonzero().get()).ok())
            .unwrap_or_default()
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.end.0.borrow().is_none()
    }

    pub(crate) fn end(&self) -> End {
        self.end.clone()
    }

    /// Ends it and all it started; what does not end by itself is killed, the process itself after `patience`.
    pub(crate) async fn stop(&mut self, patience: Duration) {
        let Some(group) = self.group else { return };
        // It may have ended by itself in this moment.
        let _ = kill_process_group(group, Signal::TERM);
        if timeout(patience, self.end.come()).await.is_ok() {
            // What it started ends with it, as a rule; its number is not given to others while one of them is left.
            let until = Instant::now() + REST;
            while test_kill_process_group(group).is_ok() && Instant::now() < until {
                sleep(LOOK_AGAIN).await;
            }
        }
        let _ = kill_process_group(group, Signal::KILL);
        self.end.come().await;
    }
}

impl Drop for Process {
    /// Where a start is given up in the middle of it.
    fn drop(&mut self) {
        if let Some(group) = self.group.filter(|_| self.is_alive()) {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_nobody_has_any_more_is_ended() {
        let mut command = Command::new("sleep");
        command.arg("600");
        let (process, _, _) = Process::start(command).unwrap();
        let mut end = process.end();
        assert!(process.is_alive());
        drop(process);
        let status = timeout(Duration::from_secs(10), end.come()).await.unwrap();
        assert!(!status.unwrap().success());
    }
}
