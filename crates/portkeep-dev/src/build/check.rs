//! One check between the build and the handover, which can be cancelled.

use std::sync::Arc;
use std::time::{Duration, Instant};

use portkeep_engine::process::Children;
use portkeep_spec::Check;
use tokio::process::Command;

use super::group::{Group, Show};
use crate::event::Checked;
use crate::project::Project;
use crate::screen::Screen;

/// A check under way.
#[derive(Debug)]
pub(crate) struct Checking {
    group: Group,
    started: Instant,
}

impl Checking {
    pub(crate) fn start(
        check: &Check,
        project: &Project,
        screen: Arc<dyn Screen>,
        children: &Children,
    ) -> anyhow::Result<Self> {
        let words = check.command();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).current_dir(&project.directory);
        Ok(Self {
            group: Group::start(command, Show::All, screen, children)?,
            started: Instant::now(),
        })
    }

    /// Waits for the end. Can be dropped and called again.
    pub(crate) async fn finish(&mut self) -> anyhow::Result<Checked> {
        let status = self.group.wait().await?;
        let took = self.started.elapsed();
        Ok(if status.success() {
            Checked::Passed(took)
        } else {
            Checked::Failed(took, self.group.text())
        })
    }

    /// Ends the check. After `patience`, it is killed.
    pub(crate) async fn cancel(&mut self, patience: Duration) {
        self.group.cancel(patience).await;
    }
}

/// A check as people write it.
pub(crate) fn line(check: &Check) -> String {
    match check {
        Check::Line(line) => line.clone(),
        Check::Words(words) => words.join(" "),
    }
}
