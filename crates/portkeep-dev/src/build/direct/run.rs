//! Calls rustc for one unit after the other, as cargo would have done.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use cargo_metadata::diagnostic::{Diagnostic, DiagnosticLevel};
use portkeep_engine::process::{Children, Descendants, Lines, Process};
use tokio::process::{ChildStderr, Command};

use super::stamp::Stamp;
use super::unit::{Unit, UnitKind};
use crate::diagnostics::{Level, Part};
use crate::screen::Screen;

/// Errors about a library that is not the expected one: cargo may resolve them.
const OF_LIBRARIES: [&str; 9] = [
    "E0457", "E0460", "E0461", "E0462", "E0463", "E0464", "E0514", "E0519", "E0523",
];

/// The rustc calls of a round.
#[derive(Debug)]
pub(in crate::build) struct Run {
    units: Vec<Unit>,
    /// The executable, where cargo puts it.
    executable: PathBuf,
    /// When the changes were looked at.
    begun: Stamp,
    /// Number of units that are compiled.
    done: usize,
    call: Option<Call>,
    parts: Vec<Part>,
    screen: Arc<dyn Screen>,
    children: Children,
    /// cargo's lock, held as long as this lives.
    _lock: Option<File>,
}

/// How the calls ended.
#[derive(Debug)]
pub(in crate::build) enum End {
    /// With an executable. These units were compiled for it, from files as of a time.
    Good {
        executable: PathBuf,
        units: Vec<Unit>,
        begun: Stamp,
    },
    /// There was nothing to do: this is the executable.
    Nothing(PathBuf),
    /// With compiler errors, which the terminal shows.
    Bad(Vec<Part>),
}

#[derive(Debug)]
struct Call {
    process: Process,
    lines: Option<Lines<ChildStderr>>,
    said: Vec<Said>,
}

/// A message of rustc for people.
#[derive(Debug)]
struct Said {
    level: Level,
    text: String,
    is_of_libraries: bool,
}

impl Run {
    pub(super) fn new(
        units: Vec<Unit>,
        executable: PathBuf,
        begun: Stamp,
        lock: File,
        screen: Arc<dyn Screen>,
        children: Children,
    ) -> Self {
        Self {
            units,
            executable,
            begun,
            done: 0,
            call: None,
            parts: Vec::new(),
            screen,
            children,
            _lock: Some(lock),
        }
    }

    /// A run for a change that no build reads.
    pub(super) fn nothing(executable: PathBuf, screen: Arc<dyn Screen>) -> Self {
        Self {
            units: Vec::new(),
            executable,
            begun: Stamp::default(),
            done: 0,
            call: None,
            parts: Vec::new(),
            screen,
            children: Children::default(),
            _lock: None,
        }
    }

    /// Waits for the end. Can be dropped and called again. An error is not caused by the sources: cargo has to build.
    pub(in crate::build) async fn finish(&mut self) -> anyhow::Result<End> {
        if self.units.is_empty() {
            return Ok(End::Nothing(self.executable.clone()));
        }
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
                self.screen.relay_text(&one.text);
                let text = one.text.trim_end().to_owned();
                self.parts.push(Part {
                    level: one.level,
                    text,
                });
            }
            if has_errors {
                return Ok(End::Bad(std::mem::take(&mut self.parts)));
            }
            let unit = &mut self.units[self.done];
            let (made, _) = unit.files();
            let inputs = unit.inputs_now().filter(|_| made.is_file());
            unit.inputs = inputs.with_context(|| format!("rustc made no {}", made.display()))?;
            self.done += 1;
        }
        let program = self
            .units
            .iter()
            .find(|unit| unit.makes == UnitKind::Program);
        let (program, _) = program.context("there is no program")?.files();
        put(&program, &self.executable)?;
        Ok(End::Good {
            executable: self.executable.clone(),
            units: std::mem::take(&mut self.units),
            begun: self.begun,
        })
    }

    fn start(&self) -> anyhow::Result<Call> {
        let unit = &self.units[self.done];
        // A linker may write into a file that has other names, and rustc may take an older library for the new one.
        let (made, more) = unit.files();
        remove(&made)?;
        more.as_deref().map_or(Ok(()), remove)?;
        let mut command = Command::new(&unit.record.program);
        command
            .args(&unit.record.arguments)
            .current_dir(&unit.record.directory)
            .env_clear()
            .envs(unit.environment())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let started = self
            .children
            .start(command, "`rustc`", Descendants::LeftRunning);
        let started =
            started.with_context(|| format!("cannot run {}", unit.record.program.display()))?;
        Ok(Call {
            process: started.process,
            lines: started.stderr.map(Lines::of_json),
            said: Vec::new(),
        })
    }

    /// Ends them. After `patience`, they are killed.
    pub(in crate::build) async fn cancel(&mut self, patience: Duration) {
        if let Some(call) = &mut self.call {
            call.process.stop(patience).await;
        }
    }
}

/// Gives an executable the second name that cargo gives it.
fn put(program: &Path, executable: &Path) -> anyhow::Result<()> {
    remove(executable)?;
    let fail = || {
        format!(
            "cannot put {} at {}",
            program.display(),
            executable.display()
        )
    };
    if fs::hard_link(program, executable).is_err() {
        fs::copy(program, executable).with_context(fail)?;
    }
    Ok(())
}

fn remove(path: &Path) -> anyhow::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

impl Call {
    async fn finish(&mut self) -> anyhow::Result<ExitStatus> {
        while let Some(lines) = &mut self.lines {
            let line = lines.next().await;
            match line.context("cannot read what rustc says")? {
                Some(line) => self.said.extend(said(&line)),
                None => self.lines = None,
            }
        }
        let end = self.process.end().come().await;
        end.context("cannot wait for rustc")
    }
}

/// Whether a message only counts earlier ones. cargo leaves those out as well.
fn is_count(message: &str) -> bool {
    message.starts_with("aborting due to ")
        || message.ends_with(" warning emitted")
        || message.ends_with(" warnings emitted")
}

/// The message for people in `line`; nothing if there is none.
fn said(line: &str) -> Option<Said> {
    let Ok(message) = serde_json::from_str::<serde_json::Value>(line) else {
        // From a macro, or an internal error.
        return Some(Said {
            level: Level::Warning,
            text: format!("{line}\n"),
            is_of_libraries: false,
        });
    };
    let diagnostic: Diagnostic = serde_json::from_value(message).ok()?;
    if is_count(&diagnostic.message) {
        return None;
    }
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
        for count in [
            "aborting due to 2 previous errors; 1 warning emitted",
            "3 warnings emitted",
        ] {
            assert!(said(&line("error", "").replace("\"m\"", &format!("\"{count}\""))).is_none());
        }
    }
}
