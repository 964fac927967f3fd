//! Command line of a generation, and of its release command.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use command_fds::CommandFdExt;
use portkeep_spec::{Spec, contract, environment_file, small_file};
use tokio::process::Command;

use super::Sockets;
use crate::generation::Generation;
use crate::release::Release;
use crate::release_command::ReleaseCommand;
use crate::store::Store;

/// The first descriptor of the protocol, `SD_LISTEN_FDS_START`.
const FIRST: i32 = 3;

/// `LISTEN_PID` must be the number of the process that reads it, which is unknown before it exists: the shell sets its own,
/// and becomes the app.
const BECOME: &str = r#"LISTEN_PID=$$ exec "$0" "$@""#;

pub(super) fn launch(
    store: &Store,
    spec: &Spec,
    sockets: &Sockets,
    generation: Generation,
    notify: &Path,
    runner: &[OsString],
) -> io::Result<Command> {
    let release = release_of(store, generation)?;
    let executable = store.generation_executable(generation);
    // An executable that runs in place is started by the name it was given: an interpreter finds its modules by that. A
    // name that leads elsewhere by now would start another release.
    let leads_there =
        |name: &&Path| fs::canonicalize(name).is_ok_and(|path| path == release.executable);
    let program = release.argv0().filter(leads_there).unwrap_or(&executable);
    let mut command = Command::new("/bin/sh");
    command
        .arg("-c")
        .arg(BECOME)
        .args(runner)
        .arg(program)
        .args(release.arguments());
    settle_in(&mut command, store, spec, generation, &release)?;
    command
        .env(
            contract::LISTEN_FDS,
            sockets.descriptors().len().to_string(),
        )
        .env(contract::LISTEN_FDNAMES, sockets.names())
        .env(contract::NOTIFY_SOCKET, notify);
    if let Some(watchdog) = &spec.watchdog {
        command.env(contract::WATCHDOG_USEC, watchdog.0.as_micros().to_string());
    }
    pass(&mut command, sockets.descriptors())?;
    Ok(command)
}

/// The prepared release command for `generation`, like the app, but without sockets and without READY.
pub(super) fn launch_release_command(
    store: &Store,
    spec: &Spec,
    generation: Generation,
    what: &ReleaseCommand,
) -> io::Result<Command> {
    let release = release_of(store, generation)?;
    let mut command = Command::new(what.argv0.as_ref().unwrap_or(&what.program));
    command.args(&what.arguments);
    settle_in(&mut command, store, spec, generation, &release)?;
    Ok(command)
}

fn release_of(store: &Store, generation: Generation) -> io::Result<Release> {
    let gone = || io::Error::new(io::ErrorKind::NotFound, "its release is gone");
    store.release_of(generation).ok_or_else(gone)
}

/// Sets up what all processes of the app have: environment, directory, and pipes for output.
fn settle_in(
    command: &mut Command,
    store: &Store,
    spec: &Spec,
    generation: Generation,
    release: &Release,
) -> io::Result<()> {
    for file in &spec.environment_files {
        command.envs(read_environment_file(file)?);
    }
    // Neither our own variables nor those of a file.
    for name in contract::NOT_INHERITED {
        command.env_remove(name);
    }
    command.envs(store.environment_of(generation, release));
    if let Some(directory) = spec.working_directory.as_deref().or(release.files()) {
        command.current_dir(directory);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Ok(())
}

/// Maps the sockets to 3, 4, 5 …
fn pass<'a>(
    command: &mut Command,
    descriptors: impl Iterator<Item = BorrowedFd<'a>>,
) -> io::Result<()> {
    let mappings = descriptors
        .zip(FIRST..)
        .map(|(descriptor, child_fd)| {
            Ok(command_fds::FdMapping {
                parent_fd: descriptor.try_clone_to_owned()?,
                child_fd,
            })
        })
        .collect::<io::Result<Vec<_>>>()?;
    command
        .as_std_mut()
        .fd_mappings(mappings)
        .map_err(io::Error::other)?;
    Ok(())
}

/// Reads a file of variables by the rules of dotenv, which differ from systemd's in one thing: `$NAME` is replaced.
fn read_environment_file(path: &Path) -> io::Result<Vec<(String, String)>> {
    let because = |problem: String| {
        io::Error::other(format!("environment file {}: {problem}", path.display()))
    };
    let text = small_file::read(path, environment_file::LONGEST_FILE)
        .map_err(|error| because(error.to_string()))?;
    dotenvy::from_read_iter(text.as_slice())
        .map(|entry| entry.map_err(|error| because(error.to_string())))
        .collect()
}

/// How often it is checked whether the shell has become the app: the kernel does not report that.
#[cfg(target_os = "linux")]
const LOOK: Duration = Duration::from_millis(1);

/// Waits until the process runs the app's own code, and not the shell any more. For ever, if it never does: then it ends.
#[cfg(target_os = "linux")]
pub(super) async fn executed(pid: u32) {
    loop {
        match fs::read(format!("/proc/{pid}/cmdline")) {
            Ok(line)
                if !line.is_empty()
                    && !line
                        .windows(BECOME.len())
                        .any(|part| part == BECOME.as_bytes()) =>
            {
                return;
            }
            _ => tokio::time::sleep(LOOK).await,
        }
    }
}

/// Without /proc it is unknown: a started process counts as executed.
#[cfg(not(target_os = "linux"))]
pub(super) async fn executed(_pid: u32) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_file_is_a_regular_file() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, kind, 0o600.into(), 0).unwrap();
        for (path, why) in [
            (fifo.as_path(), "a FIFO"),
            (Path::new("/dev/zero"), "a device"),
        ] {
            let error = read_environment_file(path).unwrap_err().to_string();
            assert!(
                error.contains(why) && error.contains(path.to_str().unwrap()),
                "{error}"
            );
        }
        let file = directory.path().join("env");
        fs::write(&file, "A=1\nB='2 3'\n").unwrap();
        let read = read_environment_file(&file).unwrap();
        assert_eq!(
            read,
            [("A", "1"), ("B", "2 3")].map(|(name, value)| (name.into(), value.into()))
        );
    }
}
