//! One hello app under everything that passes sockets: it serves, whatever the environment says.
//!
//! What needs a booted systemd is in `scenarios/launchers.rs`, `portkeep dev` on the local backend in `local/`.
#![allow(missing_docs, reason = "the names of the tests say what they show")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs;
use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use portkeep_tests::{Outcome, request, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(20);
/// `cargo run` may have to compile.
const LATER: Duration = Duration::from_secs(300);
/// No address: whoever does not use the passed socket fails.
const NOWHERE: &str = "no address";

/// A launcher with the app.
struct Launched {
    child: Child,
    address: SocketAddr,
    directory: TempDir,
}

fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

impl Launched {
    /// `command` gets the address and an empty directory.
    fn start(command: impl FnOnce(SocketAddr, &Path) -> Command) -> Self {
        let (address, directory) = (free(), tempfile::tempdir().unwrap());
        let mut command = command(address, directory.path());
        command.env_remove("LISTEN_FDS").stdin(Stdio::null());
        Self::spawn(command, address, directory)
    }

    fn spawn(mut command: Command, address: SocketAddr, directory: TempDir) -> Self {
        let child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn();
        let child = child.unwrap_or_else(|error| {
            panic!("{command:?}: {error} (`tests/run launchers` brings what is needed)")
        });
        Self {
            child,
            address,
            directory,
        }
    }

    /// Which process answers, as soon as one does.
    fn answering(&self, deadline: Duration) -> PathBuf {
        wait_until("somebody answers", deadline, || self.process())
    }

    fn process(&self) -> Option<PathBuf> {
        let Outcome::Answer(answer) = request(self.address, "/", SOON) else {
            return None;
        };
        let (_, rest) = answer.body.split_once("process ")?;
        let pid = rest.split('<').next()?;
        Some(Path::new("/proc").join(pid))
    }

    /// Ends the launcher, and with it the app.
    fn end(mut self) {
        let process = self.answering(SOON);
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        wait_until("the launcher has ended", SOON, || {
            self.child.try_wait().unwrap()
        });
        wait_until("the app has ended", SOON, || {
            (!process.exists()).then_some(())
        });
    }
}

impl Drop for Launched {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        if thread::panicking() {
            // What is still running must not keep the pipe open for ever.
            thread::sleep(Duration::from_millis(500));
            let _ = self.child.kill();
            let mut said = vec![0; 8192];
            let length = self
                .child
                .stderr
                .take()
                .map_or(0, |mut stderr| stderr.read(&mut said).unwrap_or_default());
            eprintln!("it said: {}", String::from_utf8_lossy(&said[..length]));
        }
        let _ = self.child.wait();
    }
}

fn words(line: &str) -> Command {
    let mut words = line.split(' ');
    let mut command = Command::new(words.next().unwrap());
    command.args(words);
    command
}

#[test]
fn cargo_run() {
    let hello = Launched::start(|address, _| {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("Cargo.toml");
        let mut command = words("cargo run --quiet --package hello --manifest-path");
        command
            .arg(manifest)
            .env("PORTKEEP_LISTEN", address.to_string());
        command
    });
    hello.answering(LATER);
    hello.end();
}

/// A change starts it anew on the same socket; nobody who connects meanwhile is refused.
fn restarts(hello: &Launched) {
    let first = hello.answering(SOON);
    // watchexec needs a moment until it watches.
    let mut number = 0;
    let second = wait_until("a change starts it anew", SOON, || {
        number += 1;
        fs::write(hello.directory.path().join("changed"), number.to_string()).unwrap();
        thread::sleep(Duration::from_millis(300));
        let process = hello.process().expect("it is never refused");
        (process != first).then_some(process)
    });
    assert!(
        !first.exists(),
        "{} and {}",
        first.display(),
        second.display()
    );
}

#[test]
fn systemfd_and_watchexec() {
    let hello = Launched::start(|address, directory| {
        let mut command = words("systemfd --quiet --no-pid -s");
        command
            .arg(format!("http::{address}"))
            .args(["--", "watchexec", "--quiet", "--restart", "--watch"])
            .arg(directory)
            .args(["--", "hello"])
            .env("PORTKEEP_LISTEN", NOWHERE);
        command
    });
    restarts(&hello);
    hello.end();
}

#[test]
fn watchexec_socket() {
    let hello = Launched::start(|address, directory| {
        let mut command = words("watchexec --quiet --restart --socket");
        command
            .arg(format!("tcp::{address}"))
            .arg("--watch")
            .arg(directory)
            .args(["--", "hello"])
            .env("PORTKEEP_LISTEN", NOWHERE);
        command
    });
    restarts(&hello);
    hello.end();
}

#[test]
fn systemd_socket_activate() {
    let hello = Launched::start(|address, _| {
        let mut command =
            words("systemd-socket-activate --setenv=PORTKEEP_LISTEN=nowhere --listen");
        command.arg(address.to_string()).arg("hello");
        command
    });
    hello.answering(SOON);
    hello.end();
}

/// As devenv's process manager sets it: no names, and `LISTEN_PID` empty or somebody's who became the app.
#[test]
fn an_environment_without_names_and_process() {
    for variables in [
        "LISTEN_PID=",
        "LISTEN_PID=$$",
        "LISTEN_PID= LISTEN_FDNAMES=http",
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut command = words("sh -c");
        command
            .arg(format!(
                "{variables} LISTEN_FDS=1 exec hello 3<&0 0</dev/null"
            ))
            .stdin(OwnedFd::from(listener))
            .env("PORTKEEP_LISTEN", NOWHERE);
        let hello = Launched::spawn(command, address, tempfile::tempdir().unwrap());
        hello.answering(SOON);
        hello.end();
    }
}
