//! Running a command to its end, with a deadline.

use std::ffi::OsStr;
use std::fmt;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// No command of a test may take longer.
const DEADLINE: Duration = Duration::from_secs(60);

/// A command that has ended.
#[derive(Clone, Debug)]
#[must_use]
pub struct Finished {
    /// The command line, for messages.
    pub line: String,
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

impl Finished {
    /// Fails the test unless the command succeeded.
    #[track_caller]
    pub fn expect_success(self) -> Self {
        assert_eq!(self.code, Some(0), "should have succeeded: {self}");
        self
    }

    /// Fails the test unless the command failed, by an exit code of its own.
    #[track_caller]
    pub fn expect_failure(self) -> Self {
        assert!(
            matches!(self.code, Some(code) if code != 0),
            "should have failed: {self}"
        );
        self
    }

    /// Fails the test unless what it wrote contains one of the words, in any case.
    #[track_caller]
    pub fn expect_mention(&self, words: &[&str]) {
        let text = format!("{}\n{}", self.stdout, self.stderr).to_lowercase();
        assert!(
            words.iter().any(|word| text.contains(&word.to_lowercase())),
            "should mention one of {words:?}: {self}"
        );
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.code.map_or("a signal".into(), |code| code.to_string());
        write!(f, "`{}` ended with {code} after {:?}", self.line, self.took)?;
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.trim().is_empty() {
                write!(f, "\n--- {name}\n{}", text.trim_end())?;
            }
        }
        Ok(())
    }
}

/// Runs a program and waits for it.
pub fn run<S: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = S>) -> Finished {
    let mut command = Command::new(program);
    command.args(args);
    run_command(command)
}

/// Runs a prepared command and waits for it.
pub fn run_command(mut command: Command) -> Finished {
    let line = shown(&command);
    let start = Instant::now();
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start `{line}`: {error}"));
    let pid = Pid::from_child(&child);
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    match receiver.recv_timeout(DEADLINE) {
        Ok(Ok(output)) => Finished {
            line,
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            took: start.elapsed(),
        },
        Ok(Err(error)) => panic!("cannot wait for `{line}`: {error}"),
        Err(_) => {
            // Not reaped yet, so the number still names it.
            let _ = kill_process(pid, Signal::KILL);
            panic!("`{line}` did not end within {DEADLINE:?}")
        }
    }
}

fn shown(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy()];
    words.extend(command.get_args().map(OsStr::to_string_lossy));
    words.join(" ")
}
