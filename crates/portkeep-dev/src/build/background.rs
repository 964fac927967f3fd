//! Background build of the wanted profile, behind builds of a profile that is there already.
//!
//! cargo compiles for a profile of its own all that the app depends on once more. Where that is there for `dev`, the first
//! page would have to wait for it, so the first builds are made with `dev`.

use std::process::Stdio;
use std::time::Duration;

use portkeep_engine::process::{Children, Descendants, Process};
use rustix::process::{Pid, setpriority_process};

use crate::project::{BuildCommand, ProfileChoice, Project};

/// After everything else on the machine.
const NICE: i32 = 19;
/// How long it may take to end when it is told to.
const PATIENCE: Duration = Duration::from_secs(5);

/// How far it is.
#[derive(Debug)]
pub(crate) enum BackgroundBuild {
    /// The profile that is meant builds.
    Over,
    /// It is begun as soon as something serves.
    Due,
    /// Under way.
    Running(Process),
}

impl BackgroundBuild {
    pub(crate) fn of(project: &Project) -> Self {
        match &project.build {
            BuildCommand::Cargo(build) if build.begins_with_dev() => Self::Due,
            _ => Self::Over,
        }
    }

    /// With which profile the next build is made.
    pub(crate) fn with(&self) -> ProfileChoice {
        match self {
            Self::Over => ProfileChoice::Meant,
            Self::Due | Self::Running(_) => ProfileChoice::Dev,
        }
    }

    /// Whether the first builds use another profile than the one that is meant.
    pub(crate) fn is_due(&self) -> bool {
        self.with() == ProfileChoice::Dev
    }

    /// The sources are good: it can begin. Where it cannot be run, the next good build tries again.
    pub(crate) fn begin(&mut self, project: &Project, children: &Children) {
        let (Self::Due, BuildCommand::Cargo(build)) = (&*self, &project.build) else {
            return;
        };
        let mut command = build.command(ProfileChoice::Meant, &project.directory);
        // What is wrong with it is said by a build in the foreground.
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let Ok(started) = children.start(command, "`cargo`", Descendants::LeftRunning) else {
            return;
        };
        let process = started.process;
        let pid = i32::try_from(process.id()).ok().and_then(Pid::from_raw);
        // Only slower for others, without it.
        let _ = pid.map(|pid| setpriority_process(Some(pid), NICE));
        *self = Self::Running(process);
    }

    /// Waits for its end, for ever if none is under way, and answers whether it is good. Can be dropped and called again.
    pub(crate) async fn ended(&mut self) -> bool {
        let Self::Running(process) = self else {
            return std::future::pending().await;
        };
        let status = process.end().come().await;
        let is_good = status.is_some_and(|status| status.success());
        // The sources may have been bad in the meantime.
        *self = if is_good { Self::Over } else { Self::Due };
        is_good
    }

    pub(crate) async fn stop(&mut self) {
        if let Self::Running(process) = self {
            process.stop(PATIENCE).await;
        }
    }
}
