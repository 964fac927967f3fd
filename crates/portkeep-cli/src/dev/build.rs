//! One build, which can be cancelled.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use cargo_metadata::Message;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::project::{BuildCommand, Project};

/// A build under way.
#[derive(Debug)]
pub(crate) struct Build {
    running: Option<Running>,
    started: Instant,
    executable: Option<PathBuf>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    /// cargo's messages; a command of the user's writes to the terminal itself.
    messages: Option<Lines<BufReader<ChildStdout>>>,
}

/// How a build ended.
#[derive(Debug)]
pub(crate) enum Built {
    /// With an executable, where the builder tells.
    Good {
        executable: Option<PathBuf>,
        took: Duration,
    },
    /// With errors, which are on the terminal.
    Bad { took: Duration },
}

impl Build {
    pub(crate) fn start(project: &Project) -> anyhow::Result<Self> {
        let (mut command, is_cargo) = match &project.build {
            BuildCommand::None => {
                return Ok(Self {
                    running: None,
                    started: Instant::now(),
                    executable: None,
                });
            }
            BuildCommand::Cargo(words) => {
                let mut command =
                    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
                command
                    .args(["build", "--message-format=json-diagnostic-rendered-ansi"])
                    .args(words);
                command.stdout(Stdio::piped());
                (command, true)
            }
            BuildCommand::Custom(words) => {
                let (program, arguments) = words.split_first().context("`build` is empty")?;
                let mut command = Command::new(program);
                command.args(arguments).current_dir(&project.directory);
                (command, false)
            }
        };
        // cargo reads the terminal's keys; they are ours. Its progress bar goes to stderr, which stays the terminal.
        command
            .stdin(Stdio::null())
            .process_group(0)
            .kill_on_drop(true);
        let program = command
            .as_std()
            .get_program()
            .to_string_lossy()
            .into_owned();
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot run `{program}` to build the project"))?;
        let stdout = child.stdout.take().filter(|_| is_cargo);
        let messages = stdout.map(|stdout| BufReader::new(stdout).lines());
        Ok(Self {
            running: Some(Running { child, messages }),
            started: Instant::now(),
            executable: None,
        })
    }

    /// Waits for the end. Can be dropped and called again.
    pub(crate) async fn finish(&mut self) -> anyhow::Result<Built> {
        let Some(running) = &mut self.running else {
            return Ok(Built::Good {
                executable: None,
                took: Duration::ZERO,
            });
        };
        if let Some(messages) = &mut running.messages {
            while let Some(line) = messages
                .next_line()
                .await
                .context("cannot read what cargo says")?
            {
                match serde_json::from_str::<Message>(&line) {
                    Ok(Message::CompilerMessage(message)) => {
                        if let Some(rendered) = message.message.rendered {
                            anstream::eprint!("{rendered}");
                        }
                    }
                    Ok(Message::CompilerArtifact(artifact)) => {
                        if let Some(executable) = artifact.executable {
                            self.executable = Some(executable.into_std_path_buf());
                        }
                    }
                    _ => {}
                }
            }
            running.messages = None;
        }
        let status = running
            .child
            .wait()
            .await
            .context("cannot wait for the build")?;
        let took = self.started.elapsed();
        if !status.success() {
            return Ok(Built::Bad { took });
        }
        Ok(Built::Good {
            executable: self.executable.take(),
            took,
        })
    }

    /// Ends the build; what it made so far stays for the next.
    pub(crate) async fn cancel(&mut self) {
        let Some(running) = &mut self.running else {
            return;
        };
        let pid = running
            .child
            .id()
            .and_then(|pid| i32::try_from(pid).ok())
            .and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // cargo and the compilers it started are one group of their own.
            let _ = kill_process_group(pid, Signal::TERM);
        }
        if tokio::time::timeout(Duration::from_secs(5), running.child.wait())
            .await
            .is_err()
        {
            let _ = pid.map(|pid| kill_process_group(pid, Signal::KILL));
            let _ = running.child.wait().await;
        }
    }
}

/// The executable that cargo did not name.
pub(crate) fn no_executable() -> anyhow::Error {
    anyhow!(
        "cargo built the project but named no executable; name it with `exec` in a portkeep.json"
    )
}
