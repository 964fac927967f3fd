//! A running `portkeep dev --backend local`.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use portkeep_tests::command::{Finished, run_command};
use portkeep_tests::{Behaviour, Outcome, Publish, Watcher, probe, request, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(10);

/// A running `portkeep dev`, with a home and a project of its own.
pub(crate) struct Dev {
    home: TempDir,
    name: String,
    address: SocketAddr,
    way: Publish,
    child: Child,
}

impl Dev {
    /// Starts it and waits until the first build answers.
    pub(crate) fn start(name: &str, way: Publish, first: &Behaviour) -> Self {
        Self::start_with(name, way, first, json!({}))
    }

    /// With more fields in its spec.
    pub(crate) fn start_with(name: &str, way: Publish, first: &Behaviour, more: Value) -> Self {
        let dev = Self::open_with(name, way, first, more);
        dev.wait_for_version(&first.version, SOON);
        dev
    }

    /// Starts it, whatever becomes of the first build.
    pub(crate) fn open(name: &str, way: Publish, first: &Behaviour) -> Self {
        Self::open_with(name, way, first, json!({}))
    }

    fn open_with(name: &str, way: Publish, first: &Behaviour, more: Value) -> Self {
        let home = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .unwrap();
        let project = project(home.path());
        fs::create_dir(&project).unwrap();
        let mut spec = json!({
            "name": name,
            "exec": [format!("./{}", way.executable())],
            "watch": way.watched(),
            "listen": [{ "stream": address.to_string() }],
            "startTimeout": "4s",
        });
        if let (Some(spec), Value::Object(more)) = (spec.as_object_mut(), more) {
            spec.extend(more);
        }
        fs::write(project.join("portkeep.json"), spec.to_string()).unwrap();
        way.publish(&probe(), &project, first).unwrap();
        let log = File::create(home.path().join("log")).unwrap();
        let child = portkeep(home.path())
            .args(["dev", "--backend", "local", "--project"])
            .arg(&project)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("cannot start portkeep (`tests/run reload` brings it): {error}")
            });
        Self {
            home,
            name: name.to_owned(),
            address,
            way,
            child,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn publish(&self, behaviour: &Behaviour) {
        self.way
            .publish(&probe(), &project(self.home.path()), behaviour)
            .unwrap();
    }

    pub(crate) fn reload(&self) -> Finished {
        self.portkeep(&["reload", &self.name])
    }

    pub(crate) fn portkeep(&self, words: &[&str]) -> Finished {
        let mut command = portkeep(self.home.path());
        command.args(words);
        run_command(command)
    }

    /// `portkeep rollback`, to the last good release or to that of a generation.
    pub(crate) fn rollback(&self, generation: &[&str]) -> Finished {
        let mut command = portkeep(self.home.path());
        command.args(["rollback", &self.name]).args(generation);
        run_command(command)
    }

    /// Waits until a request is answered with this status.
    pub(crate) fn wait_for_status(&self, status: u16, deadline: Duration) {
        wait_until(&format!("{status} is answered"), deadline, || {
            (request(self.address, "/", SOON) == Outcome::Status(status)).then_some(())
        });
    }

    /// A command for the shell that hands over, changed or not.
    pub(crate) fn forced_reload(&self) -> String {
        let command = portkeep(self.home.path());
        let variables = command.get_envs().map(|(name, value)| match value {
            Some(value) => format!("{}='{}'", name.display(), value.display()),
            None => format!("-u {}", name.display()),
        });
        let variables: Vec<_> = variables.collect();
        // `env` wants its options first.
        let (unset, set): (Vec<_>, Vec<_>) =
            variables.into_iter().partition(|one| one.starts_with("-u"));
        format!(
            "env {} {} portkeep reload {} --force",
            unset.join(" "),
            set.join(" "),
            self.name
        )
    }

    pub(crate) fn watch(&self) -> Watcher {
        Watcher::start(self.address, Duration::from_millis(5), SOON)
    }

    pub(crate) fn wait_for_version(&self, version: &str, deadline: Duration) {
        wait_until(&format!("{version} answers"), deadline, || {
            (request(self.address, "/", SOON).version() == Some(version)).then_some(())
        });
    }

    /// The directory in `/proc` of the process that answers.
    pub(crate) fn answering_process(&self) -> PathBuf {
        let answer = request(self.address, "/", SOON).expect_answer();
        let pid = answer
            .body
            .lines()
            .find_map(|line| line.strip_prefix("pid "))
            .expect("the fixture tells its pid");
        Path::new("/proc").join(pid)
    }

    /// Ctrl-C, which must end it well.
    pub(crate) fn interrupt(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        let status = wait_until("portkeep dev ends", SOON, || self.child.try_wait().unwrap());
        assert!(status.success(), "it ended with {status}");
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = fs::read_to_string(self.home.path().join("log")).unwrap_or_default();
            eprintln!("portkeep dev said:\n{log}");
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            // It ends its generations too; only then may the directory go.
            let _ = kill_process(Pid::from_child(&self.child), Signal::INT);
            let _ = self.child.wait();
        }
    }
}

fn project(home: &Path) -> PathBuf {
    home.join("project")
}

/// `portkeep` where nobody else's apps are.
fn portkeep(home: &Path) -> Command {
    let mut command = Command::new("portkeep");
    command.env("HOME", home).env("XDG_RUNTIME_DIR", home);
    command
}
