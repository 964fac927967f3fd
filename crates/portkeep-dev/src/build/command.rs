//! One build, which can be cancelled.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use cargo_metadata::Message;
use cargo_metadata::diagnostic::DiagnosticLevel;
use portkeep_engine::process::{Children, Lines};
use tokio::process::{ChildStdout, Command};

use super::dep_info;
use super::direct::{Direct, End, Recording, Run};
use super::group::{Group, Show};
use crate::diagnostics::{Level, Part};
use crate::event::{Built, Work};
use crate::project::{BuildCommand, ProfileChoice, Project};
use crate::screen::Screen;

/// A build under way.
#[derive(Debug)]
pub(crate) struct Build<'a> {
    project: &'a Project,
    with: ProfileChoice,
    screen: Arc<dyn Screen>,
    children: Children,
    direct: Direct,
    /// Calls of rustc that replace cargo.
    calls: Option<Run>,
    recording: Option<Recording>,
    running: Option<Group>,
    /// cargo's messages; a command of the user's writes to the terminal itself.
    messages: Option<Lines<ChildStdout>>,
    started: Instant,
    /// The name of the executable that runs, if cargo makes several.
    binary: Option<String>,
    executable: Option<PathBuf>,
    work: Work,
    parts: Vec<Part>,
}

impl<'a> Build<'a> {
    /// Starts a build. `changed` has the files that changed since the last build, if that is its reason.
    pub(crate) fn start(
        project: &'a Project,
        with: ProfileChoice,
        direct: &Direct,
        changed: Option<&[PathBuf]>,
        screen: Arc<dyn Screen>,
        children: &Children,
    ) -> anyhow::Result<Self> {
        let mut build = Self {
            project,
            with,
            direct: direct.clone(),
            calls: direct.plan(with, changed, &screen, children),
            screen,
            children: children.clone(),
            recording: None,
            running: None,
            messages: None,
            started: Instant::now(),
            binary: None,
            executable: None,
            work: Work::Something,
            parts: Vec::new(),
        };
        if build.calls.is_none() {
            build.start_command()?;
        }
        Ok(build)
    }

    fn start_command(&mut self) -> anyhow::Result<()> {
        let (command, show) = match &self.project.build {
            BuildCommand::None => return Ok(()),
            BuildCommand::Cargo(cargo) => {
                self.binary = Some(cargo.binary.clone());
                let mut command = cargo.command(self.with, &self.project.directory);
                command.arg("--message-format=json-diagnostic-rendered-ansi");
                self.recording = self.direct.record(self.with, &mut command);
                (command, Show::Errors)
            }
            BuildCommand::Custom(words) => {
                let (program, arguments) = words.split_first().context("`build` is empty")?;
                let mut command = Command::new(program);
                command.args(arguments).current_dir(&self.project.directory);
                (command, Show::All)
            }
        };
        let mut group = Group::start(command, show, self.screen.clone(), &self.children)?;
        if let Some(stdout) = group.take_stdout() {
            self.messages = Some(Lines::of_json(stdout));
            self.work = Work::Nothing;
        }
        self.running = Some(group);
        Ok(())
    }

    /// Waits for the end of the rustc calls. Returns nothing if there are none, or if cargo has to build after all.
    async fn finish_calls(&mut self) -> anyhow::Result<Option<Built>> {
        let Some(calls) = &mut self.calls else {
            return Ok(None);
        };
        let end = calls.finish().await;
        self.calls = None;
        let took = self.started.elapsed();
        Ok(match end {
            Ok(End::Good {
                executable,
                units,
                begun,
            }) => Some(Built::Good {
                executable: Some(executable),
                took,
                work: Work::Something,
                inputs: self.direct.compiled(units, begun),
            }),
            Ok(End::Nothing(executable)) => Some(Built::Good {
                executable: Some(executable),
                took,
                work: Work::Nothing,
                inputs: Vec::new(),
            }),
            Ok(End::Bad(parts)) => {
                self.direct.wrote();
                Some(Built::Bad { took, parts })
            }
            Err(_unexpected) => {
                self.start_command()?;
                None
            }
        })
    }

    /// Waits for the end. Can be dropped and called again.
    pub(crate) async fn finish(&mut self) -> anyhow::Result<Built> {
        if let Some(built) = self.finish_calls().await? {
            return Ok(built);
        }
        while let Some(messages) = &mut self.messages {
            match messages
                .next()
                .await
                .context("cannot read what cargo says")?
            {
                Some(line) => self.note(&line),
                None => self.messages = None,
            }
        }
        let Some(running) = &mut self.running else {
            return Ok(Built::Good {
                executable: None,
                took: Duration::ZERO,
                work: Work::Something,
                inputs: Vec::new(),
            });
        };
        let status = running.wait().await?;
        let took = self.started.elapsed();
        if status.success() {
            let executable = self.executable.take();
            let inputs = executable.as_deref().map(dep_info::inputs);
            if let (Some(recording), Some(executable)) = (self.recording.take(), &executable) {
                self.direct.learn(recording, executable);
            }
            return Ok(Built::Good {
                executable,
                took,
                work: self.work,
                inputs: inputs.unwrap_or_default(),
            });
        }
        let mut parts = std::mem::take(&mut self.parts);
        if !parts.iter().any(|part| part.level == Level::Error) {
            // Not from the compiler: from a manifest that cannot be read, a build script, or a command of the user's.
            parts.push(Part {
                level: Level::Error,
                text: running.text(),
            });
        }
        Ok(Built::Bad { took, parts })
    }

    fn note(&mut self, line: &str) {
        match serde_json::from_str::<Message>(line) {
            Ok(Message::CompilerMessage(message)) => {
                let level = match message.message.level {
                    DiagnosticLevel::Error | DiagnosticLevel::Ice => Level::Error,
                    _ => Level::Warning,
                };
                if let Some(rendered) = message.message.rendered {
                    self.screen.relay_text(&rendered);
                    let text = rendered.trim_end().to_owned();
                    self.parts.push(Part { level, text });
                }
            }
            Ok(Message::CompilerArtifact(artifact)) => {
                if !artifact.fresh {
                    self.work = Work::Something;
                }
                if let Some(recording) = &mut self.recording {
                    recording.add(&artifact);
                }
                if let Some(executable) = artifact.executable
                    && self.binary.as_ref() == Some(&artifact.target.name)
                {
                    self.executable = Some(executable.into_std_path_buf());
                }
            }
            _ => {}
        }
    }

    /// Ends the build. What it has made so far stays for the next build. After `patience`, it is killed.
    pub(crate) async fn cancel(&mut self, patience: Duration) {
        if let Some(calls) = &mut self.calls {
            calls.cancel(patience).await;
            self.direct.wrote();
        }
        if let Some(running) = &mut self.running {
            running.cancel(patience).await;
        }
    }
}
