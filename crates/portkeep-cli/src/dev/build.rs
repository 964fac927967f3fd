//! One build, which can be cancelled.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use cargo_metadata::Message;
use cargo_metadata::diagnostic::DiagnosticLevel;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{ChildStdout, Command};

use super::browser::{Level, Part};
use super::group::{Group, Show};
use super::project::{BuildCommand, Project, With};
use super::say::pass_on;

/// A build under way.
#[derive(Debug)]
pub(crate) struct Build {
    running: Option<Group>,
    /// cargo's messages; a command of the user's writes to the terminal itself.
    messages: Option<Lines<BufReader<ChildStdout>>>,
    started: Instant,
    /// The name of the one that is run, of those that cargo makes.
    binary: Option<String>,
    executable: Option<PathBuf>,
    work: Work,
    parts: Vec<Part>,
}

/// Whether a build did anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// All it would have made was there.
    Nothing,
    /// It made something, or does not tell.
    Something,
}

/// How a build ended.
#[derive(Debug)]
pub(crate) enum Built {
    /// With an executable, where the builder tells.
    Good {
        executable: Option<PathBuf>,
        took: Duration,
        work: Work,
    },
    /// With errors, which are on the terminal.
    Bad { took: Duration, parts: Vec<Part> },
}

impl Build {
    pub(crate) fn start(project: &Project, with: With) -> anyhow::Result<Self> {
        let mut build = Self {
            running: None,
            messages: None,
            started: Instant::now(),
            binary: None,
            executable: None,
            work: Work::Something,
            parts: Vec::new(),
        };
        let (command, show) = match &project.build {
            BuildCommand::None => return Ok(build),
            BuildCommand::Cargo(cargo) => {
                build.binary = Some(cargo.binary.clone());
                let mut command = cargo.command(with, &project.directory);
                command.arg("--message-format=json-diagnostic-rendered-ansi");
                (command, Show::Errors)
            }
            BuildCommand::Custom(words) => {
                let (program, arguments) = words.split_first().context("`build` is empty")?;
                let mut command = Command::new(program);
                command.args(arguments).current_dir(&project.directory);
                (command, Show::All)
            }
        };
        let mut group = Group::start(command, show)?;
        if let Some(stdout) = group.take_stdout() {
            build.messages = Some(BufReader::new(stdout).lines());
            build.work = Work::Nothing;
        }
        build.running = Some(group);
        Ok(build)
    }

    /// Waits for the end. Can be dropped and called again.
    pub(crate) async fn finish(&mut self) -> anyhow::Result<Built> {
        while let Some(messages) = &mut self.messages {
            match messages
                .next_line()
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
            });
        };
        let status = running.wait().await?;
        let took = self.started.elapsed();
        if status.success() {
            return Ok(Built::Good {
                executable: self.executable.take(),
                took,
                work: self.work,
            });
        }
        let mut parts = std::mem::take(&mut self.parts);
        if !parts.iter().any(|part| part.level == Level::Error) {
            // Not the compiler's: a manifest that cannot be read, a build script, a command of the user's.
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
                    pass_on(&rendered);
                    let text = rendered.trim_end().to_owned();
                    self.parts.push(Part { level, text });
                }
            }
            Ok(Message::CompilerArtifact(artifact)) => {
                if !artifact.fresh {
                    self.work = Work::Something;
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

    /// Ends the build; what it made so far stays for the next.
    pub(crate) async fn cancel(&mut self) {
        if let Some(running) = &mut self.running {
            running.cancel().await;
        }
    }
}

/// The executable that cargo did not name.
pub(crate) fn no_executable() -> anyhow::Error {
    anyhow!(
        "cargo built the project but named no executable; name it with `exec` in a portkeep.json"
    )
}
