//! Protocol for other commands to speak to a `portkeep dev` that runs generations itself: one JSON line each way over a Unix
//! socket.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use jiff::Timestamp;
use portkeep_engine::maintenance::Change;
use portkeep_engine::{
    Directories, Generation, Place, Running, check_trusted, is_own_peer, listen_private,
};
use portkeep_spec::AppName;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

/// How long a running `portkeep dev` may take to list what runs.
const STATUS_DEADLINE: Duration = Duration::from_secs(5);

/// A question.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "camelCase")]
pub enum Ask {
    /// Hand over.
    Reload {
        /// Also if nothing changed.
        force: bool,
    },
    /// Hand over to an earlier release.
    Rollback {
        /// The generation that ran it; none for the newest good one before the current.
        generation: Option<u64>,
    },
    /// Begin or end maintenance.
    Maintenance(Change),
    /// List what runs.
    Status,
    /// Lines that generations wrote, one answer each; new ones as well if `follow` is set.
    Logs {
        /// Only lines of this generation.
        generation: Option<Generation>,
        /// Number of last lines.
        lines: usize,
        /// Whether to send new lines as well.
        follow: bool,
    },
}

/// An answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    /// It succeeded.
    Done {
        /// The line to print.
        line: String,
        /// The exit code of the asking command.
        code: u8,
    },
    /// It failed.
    Failed(String),
    /// What runs.
    Running(Vec<RunningLine>),
}

/// The shape of a line of `portkeep logs --json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogLine {
    /// When it was written.
    pub at: Option<Timestamp>,
    /// The generation that wrote it; none for a line about the app as a whole.
    pub generation: Option<Generation>,
    /// The unit; none without systemd.
    pub unit: Option<String>,
    /// What was written.
    pub message: String,
}

/// A [`Running`] on the wire.
#[derive(Debug, Serialize, Deserialize)]
pub struct RunningLine {
    /// The generation.
    pub generation: Generation,
    /// Its phase.
    pub phase: portkeep_engine::Phase,
}

impl From<Running> for RunningLine {
    fn from(running: Running) -> Self {
        Self {
            generation: running.generation,
            phase: running.phase,
        }
    }
}

impl From<RunningLine> for Running {
    fn from(line: RunningLine) -> Self {
        Self {
            generation: line.generation,
            phase: line.phase,
        }
    }
}

fn path(name: &AppName) -> anyhow::Result<PathBuf> {
    Ok(Directories::of(Place::Local, name)?.run.join("control"))
}

/// Whether a `portkeep dev` of this user runs this app with the local backend.
#[must_use]
pub fn is_served(name: &AppName) -> bool {
    path(name).is_ok_and(|path| connect(&path).is_ok())
}

/// Connects to a `portkeep dev` of this user. A socket in a directory that another user could have made, or a process of
/// another user, is not believed.
pub(crate) fn connect(path: &Path) -> anyhow::Result<StdStream> {
    let directory = path
        .parent()
        .context("the control socket has no directory")?;
    check_trusted(directory)?;
    let stream = StdStream::connect(path)?;
    if !is_own_peer(&stream)? {
        bail!(
            "another user listens at {}; only a `portkeep dev` of your own is asked",
            path.display()
        );
    }
    Ok(stream)
}

/// Asks the `portkeep dev` of an app, and leaves the answers to be read.
///
/// # Errors
/// When none of this user answers.
pub fn open(name: &AppName, ask: &Ask) -> anyhow::Result<StdStream> {
    let path = path(name)?;
    let mut stream = connect(&path)
        .with_context(|| format!("no `portkeep dev` answers at {}", path.display()))?;
    let mut line = serde_json::to_vec(ask)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    Ok(stream)
}

/// Asks the `portkeep dev` of an app.
///
/// # Errors
/// When none of this user answers, or it ends before it does.
pub fn ask(name: &AppName, ask: &Ask) -> anyhow::Result<Answer> {
    let stream = open(name, ask)?;
    // The list of what runs comes at once; a handover takes as long as it takes.
    let deadline = matches!(ask, Ask::Status).then_some(STATUS_DEADLINE);
    stream.set_read_timeout(deadline)?;
    let mut answer = String::new();
    BufReader::new(stream)
        .read_line(&mut answer)
        .with_context(|| format!("the `portkeep dev` of {name} does not answer; is it stopped?"))?;
    serde_json::from_str(&answer).context("`portkeep dev` ended before it answered")
}

/// The end that answers.
#[derive(Debug)]
pub(crate) struct Control {
    listener: UnixListener,
    path: PathBuf,
}

/// A question and the connection for its answer.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) ask: Ask,
    stream: UnixStream,
}

impl Control {
    /// Opens the socket. The caller holds the app's lock for `portkeep dev`, so an existing file is a leftover.
    pub(crate) fn listen(name: &AppName) -> anyhow::Result<Self> {
        let path = path(name)?;
        let listener = listen_private(&path)
            .and_then(UnixListener::from_std)
            .with_context(|| format!("cannot listen on {}", path.display()))?;
        Ok(Self { listener, path })
    }

    /// The next question. Skips one that cannot be read or that another user asks.
    pub(crate) async fn next(&self) -> std::io::Result<Option<Question>> {
        let (mut stream, _) = self.listener.accept().await?;
        if !is_own_peer(&stream).unwrap_or(false) {
            return Ok(None);
        }
        let mut line = String::new();
        let mut reader = tokio::io::BufReader::new(&mut stream);
        let read = reader.read_line(&mut line);
        // A client that connects and sends nothing must not hold up the others.
        if !matches!(
            tokio::time::timeout(Duration::from_secs(1), read).await,
            Ok(Ok(_))
        ) {
            return Ok(None);
        }
        Ok(serde_json::from_str(&line)
            .ok()
            .map(|ask| Question { ask, stream }))
    }
}

impl Question {
    /// Sends one of several answers; false if the client has gone.
    pub(crate) async fn answer_with(&mut self, answer: &impl Serialize) -> bool {
        let Ok(mut line) = serde_json::to_vec(answer) else {
            return false;
        };
        line.push(b'\n');
        self.stream.write_all(&line).await.is_ok()
    }

    /// Sends the answer; the client may have gone.
    pub(crate) async fn answer(mut self, answer: &Answer) {
        if let Ok(mut line) = serde_json::to_vec(answer) {
            line.push(b'\n');
            let _ = self.stream.write_all(&line).await;
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The apps that some `portkeep dev` of this user runs with the local backend.
#[must_use]
pub fn served_apps() -> Vec<AppName> {
    let Ok(any) = "any".parse::<AppName>() else {
        return Vec::new();
    };
    let Some(all) = path(&any)
        .ok()
        .and_then(|path| Some(path.parent()?.parent()?.to_owned()))
    else {
        return Vec::new();
    };
    let Ok(entries) = std::fs::read_dir(all) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_a_socket_in_a_directory_of_our_own_is_asked() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control");
        let _listener = listen_private(&path).unwrap();
        assert!(connect(&path).is_ok());
        fs::set_permissions(directory.path(), Permissions::from_mode(0o777)).unwrap();
        let refused = connect(&path).unwrap_err().to_string();
        assert!(refused.contains("written by everybody"), "{refused}");
    }
}
