//! Calls of rustc, one after the other, as cargo would have made them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, anyhow};
use cargo_metadata::diagnostic::{Diagnostic, DiagnosticLevel};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{ChildStderr, Command};

use super::unit::{Makes, Unit};
use super::{Direct, OUTPUT};
use crate::dev::browser::{Level, Part};
use crate::dev::process::Process;
use crate::dev::say::pass_on;

/// How long rustc may take to end when it is told to.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long what a session made is kept at least.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// Errors that say that a library is not the one that was expected: cargo may know better.
const OF_LIBRARIES: [&str; 9] = [
    "E0457", "E0460", "E0461", "E0462", "E0463", "E0464", "E0514", "E0519", "E0523",
];

/// The calls of a round.
#[derive(Debug)]
pub(in crate::dev) struct Run {
    units: Vec<Unit>,
    output: PathBuf,
    /// The name of the program.
    binary: String,
    /// How many units are compiled.
    done: usize,
    call: Option<Call>,
    parts: Vec<Part>,
    /// cargo's, for as long as this lives.
    _lock: File,
}

/// How the calls ended.
#[derive(Debug)]
pub(in crate::dev) enum End {
    /// With a program, and all files that it was made of.
    Good {
        executable: PathBuf,
        inputs: Vec<PathBuf>,
    },
    /// With errors of the compiler's, which are on the terminal.
    Bad(Vec<Part>),
}

#[derive(Debug)]
struct Call {
    process: Process,
    lines: Option<Lines<BufReader<ChildStderr>>>,
    said: Vec<Said>,
}

/// What rustc says, for people.
#[derive(Debug)]
struct Said {
    level: Level,
    text: String,
    is_of_libraries: bool,
}

impl Run {
    /// What this session made before is removed.
    pub(super) fn new(units: Vec<Unit>, lock: File, binary: &str) -> anyhow::Result<Self> {
        let first = units.first().context("there is nothing to compile")?;
        let above = first.directory_of_output().parent();
        let all = above.context("it is made nowhere")?.join(OUTPUT);
        sweep(&all);
        let output = all.join(std::process::id().to_string());
        if output.exists() {
            let fail = || format!("cannot remove {}", output.display());
            fs::remove_dir_all(&output).with_context(fail)?;
        }
        fs::create_dir_all(&output).with_context(|| format!("cannot make {}", output.display()))?;
        Ok(Self {
            units,
            output,
            binary: binary.to_owned(),
            done: 0,
            call: None,
            parts: Vec::new(),
            _lock: lock,
        })
    }

    pub(super) fn output(&self) -> &Path {
        &self.output
    }

    /// Waits for the end. Can be dropped and called again. An error is none of the sources': cargo has to build.
    pub(in crate::dev) async fn finish(&mut self, direct: &Direct) -> anyhow::Result<End> {
        while self.done < self.units.len() {
            let status = match &mut self.call {
                Some(call) => call.finish().await?,
                None => {
                    self.call = Some(self.start()?);
                    continue;
                }
            };
            let said = self.call.take().map(|call| call.said).unwrap_or_default();
            let has_errors = said.iter().any(|one| one.level == Level::Error);
            let is_of_libraries = said.iter().any(|one| one.is_of_libraries);
            let is_usual = match status.code() {
                Some(0) => !has_errors,
                Some(1) => has_errors,
                _ => false,
            };
            if !is_usual || is_of_libraries {
                return Err(anyhow!("rustc ended unexpectedly: {status}"));
            }
            for one in said {
                pass_on(&one.text);
                let text = one.text.trim_end().to_owned();
                self.parts.push(Part {
                    level: one.level,
                    text,
                });
            }
            if has_errors {
                return Ok(End::Bad(std::mem::take(&mut self.parts)));
            }
            self.note(direct)?;
            self.done += 1;
        }
        let program = self.units.iter().find(|unit| unit.makes == Makes::Program);
        let program = program.context("there is no program")?;
        let executable = self.output.join(&self.binary);
        fs::rename(program.program(&self.output), &executable)
            .with_context(|| format!("cannot rename the program to {}", executable.display()))?;
        Ok(End::Good {
            executable,
            inputs: direct.inputs(),
        })
    }

    fn start(&self) -> anyhow::Result<Call> {
        let unit = &self.units[self.done];
        let others: Vec<_> = self.units[..self.done].iter().collect();
        let mut command = Command::new(&unit.record.program);
        command
            .args(unit.arguments(&self.output, &others))
            .current_dir(&unit.record.directory)
            .env_clear()
            .envs(unit.environment())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let (process, _, stderr) = Process::start(command)
            .with_context(|| format!("cannot run {}", unit.record.program.display()))?;
        Ok(Call {
            process,
            lines: stderr.map(|stderr| BufReader::new(stderr).lines()),
            said: Vec::new(),
        })
    }

    /// What the unit that was compiled has made and read.
    fn note(&self, direct: &Direct) -> anyhow::Result<()> {
        let unit = &self.units[self.done];
        let made = match unit.makes {
            Makes::Program => unit.program(&self.output),
            _ => unit.library_in(&self.output),
        };
        let inputs = unit.inputs_by(&self.output).filter(|_| made.is_file());
        let inputs = inputs.with_context(|| format!("rustc made no {}", made.display()))?;
        direct.compiled(&unit.key(), inputs);
        Ok(())
    }

    pub(in crate::dev) async fn cancel(&mut self) {
        if let Some(call) = &mut self.call {
            call.process.stop(PATIENCE).await;
        }
    }
}

/// Removes what other sessions left long ago. A session in use makes its directory anew in each round, and needs it no
/// longer than that.
fn sweep(all: &Path) {
    for entry in fs::read_dir(all).into_iter().flatten().flatten() {
        let age = entry.metadata().and_then(|metadata| metadata.modified());
        let is_old = age.is_ok_and(|age| age.elapsed().is_ok_and(|age| age > KEPT));
        if is_old {
            // Only space is lost where it cannot be.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

impl Call {
    async fn finish(&mut self) -> anyhow::Result<ExitStatus> {
        while let Some(lines) = &mut self.lines {
            let line = lines.next_line().await;
            match line.context("cannot read what rustc says")? {
                Some(line) => self.said.extend(said(&line)),
                None => self.lines = None,
            }
        }
        let end = self.process.end().come().await;
        end.context("cannot wait for rustc")
    }
}

/// Nothing for what is for programs.
fn said(line: &str) -> Option<Said> {
    let Ok(message) = serde_json::from_str::<serde_json::Value>(line) else {
        // A macro's, or an internal error's.
        return Some(Said {
            level: Level::Warning,
            text: format!("{line}\n"),
            is_of_libraries: false,
        });
    };
    let diagnostic: Diagnostic = serde_json::from_value(message).ok()?;
    let level = match diagnostic.level {
        DiagnosticLevel::Error | DiagnosticLevel::Ice => Level::Error,
        _ => Level::Warning,
    };
    let code = diagnostic.code.map(|code| code.code).unwrap_or_default();
    Some(Said {
        level,
        text: diagnostic.rendered?,
        is_of_libraries: OF_LIBRARIES.contains(&code.as_str()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rustc_says_is_for_people_or_for_programs() {
        let line = |level: &str, code: &str| {
            format!(
                r#"{{"$message_type":"diagnostic","message":"m","code":{{"code":"{code}","explanation":null}},"level":"{level}","spans":[],"children":[],"rendered":"said\n"}}"#
            )
        };
        let warning = said(&line("warning", "unused")).unwrap();
        assert_eq!((warning.level, &*warning.text), (Level::Warning, "said\n"));
        assert_eq!(said(&line("error", "E0308")).unwrap().level, Level::Error);
        assert!(said(&line("error", "E0460")).unwrap().is_of_libraries);
        assert!(said(r#"{"$message_type":"artifact","artifact":"/t/a","emit":"link"}"#).is_none());
        assert_eq!(said("a macro prints").unwrap().text, "a macro prints\n");
    }
}
