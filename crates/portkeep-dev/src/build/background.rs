//! Background build of the configured profile, while the first builds use a profile whose dependencies are built already.
//!
//! cargo compiles all dependencies anew for a profile of its own. If they are built for `dev` already, the first builds use
//! `dev`, so that the first page does not wait for them.

use std::process::Stdio;
use std::time::Duration;

use portkeep_engine::process::{Children, Descendants, Process};
use rustix::process::{Pid, setpriority_process};

use crate::project::{BuildCommand, ProfileChoice, Project};

/// Lowest priority: everything else on the machine goes first.
const NICE: i32 = 19;

/// State of the background build.
#[derive(Debug)]
pub(crate) enum BackgroundBuild {
    /// Builds use the configured profile now.
    Over,
    /// It begins as soon as a version serves.
    Due,
    /// It runs.
    Running(Process),
}

impl BackgroundBuild {
    pub(crate) fn of(project: &Project) -> Self {
        match &project.build {
            BuildCommand::Cargo(build) if build.begins_with_dev() => Self::Due,
            _ => Self::Over,
        }
    }

    /// The profile of the next build.
    pub(crate) fn with(&self) -> ProfileChoice {
        match self {
            Self::Over => ProfileChoice::Configured,
            Self::Due | Self::Running(_) => ProfileChoice::Dev,
        }
    }

    /// Whether the first builds use another profile than the configured one.
    pub(crate) fn is_due(&self) -> bool {
        self.with() == ProfileChoice::Dev
    }

    /// Begins the build, now that the sources compile. If cargo cannot be run, the next good build tries again.
    pub(crate) fn begin(&mut self, project: &Project, children: &Children) {
        let (Self::Due, BuildCommand::Cargo(build)) = (&*self, &project.build) else {
            return;
        };
        let mut command = build.command(ProfileChoice::Configured, &project.directory);
        // A build in the foreground shows its errors.
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let Ok(started) = children.start(command, "`cargo`", Descendants::LeftRunning) else {
            return;
        };
        let process = started.process;
        let pid = i32::try_from(process.id()).ok().and_then(Pid::from_raw);
        // Without it, the build only slows others down.
        let _ = pid.map(|pid| setpriority_process(Some(pid), NICE));
        *self = Self::Running(process);
    }

    /// Waits for its end, for ever if none runs. Returns whether it succeeded. Can be dropped and called again.
    pub(crate) async fn ended(&mut self) -> bool {
        let Self::Running(process) = self else {
            return std::future::pending().await;
        };
        let status = process.end().come().await;
        let is_good = status.is_some_and(|status| status.success());
        // The sources may have had errors in the meantime.
        *self = if is_good { Self::Over } else { Self::Due };
        is_good
    }

    /// Ends it. After `patience`, it is killed.
    pub(crate) async fn stop(&mut self, patience: Duration) {
        if let Self::Running(process) = self {
            process.stop(patience).await;
        }
    }
}
