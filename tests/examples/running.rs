//! An example under `portkeep dev --backend local`.

use std::env;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use portkeep_tests::command::run_command;
use portkeep_tests::{request, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Building one of the heavy ones takes longest.
const FIRST_ANSWER: Duration = Duration::from_secs(300);
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// A running example, with a home of its own.
pub(crate) struct Running {
    home: TempDir,
    name: String,
    address: SocketAddr,
    child: Child,
}

/// The project of an example: where a reader of its README would start it.
pub(crate) fn project(path: &str) -> PathBuf {
    // In the suites the sources are where they were built.
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../examples")
        .join(path)
}

impl Running {
    pub(crate) fn start(name: &str, project: &Path) -> Self {
        let home = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .unwrap();
        let log = File::create(home.path().join("log")).unwrap();
        let child = portkeep(home.path())
            .args(["dev", "--backend", "local", "--project"])
            .arg(project)
            .args(["--listen", &address.to_string()])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("cannot start portkeep (`tests/run examples` brings it): {error}")
            });
        let mut running = Self {
            home,
            name: name.to_owned(),
            address,
            child,
        };
        wait_until(&format!("{name} serves"), FIRST_ANSWER, || {
            assert!(matches!(running.child.try_wait(), Ok(None)), "it has ended");
            running.log().contains("generation 1 serves").then_some(())
        });
        running
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Hands over to a new process of the same release; returns when that serves.
    pub(crate) fn reload(&self) {
        let mut command = portkeep(self.home.path());
        command.args(["reload", "--force", &self.name]);
        let _ = run_command(command).expect_success();
    }

    /// The process that answers, as the example says it.
    pub(crate) fn answering_process(&self) -> u32 {
        let answer = request(self.address, "/", SOON).expect_answer().body;
        let number = answer.split("process ").nth(1).unwrap_or_default();
        let digits = number.chars().take_while(char::is_ascii_digit);
        digits.collect::<String>().parse().expect("its process")
    }

    /// Ctrl-C, which must end it well.
    pub(crate) fn interrupt(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        let status = wait_until("portkeep dev ends", SOON, || self.child.try_wait().unwrap());
        assert!(status.success(), "it ended with {status}");
    }

    fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("portkeep dev said:\n{}", self.log());
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            // It ends its generations too; only then may the directory go.
            let _ = kill_process(Pid::from_child(&self.child), Signal::INT);
            let _ = self.child.wait();
        }
    }
}

/// `portkeep` where nobody else's apps are, with the tools of whoever runs the test.
fn portkeep(home: &Path) -> Command {
    let mut command = Command::new("portkeep");
    command.env("HOME", home).env("XDG_RUNTIME_DIR", home);
    let own_home = env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    for (variable, directory) in [
        ("CARGO_HOME", ".cargo"),
        ("RUSTUP_HOME", ".rustup"),
        ("GOCACHE", ".cache/go-build"),
    ] {
        if env::var_os(variable).is_none() {
            command.env(variable, own_home.join(directory));
        }
    }
    command
}
