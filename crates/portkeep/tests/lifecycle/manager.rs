//! A very small service manager: passes sockets, listens to notifications, sends signals.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::probe;

/// Longer than anything that is waited for here should take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// When it came, and what it says.
type Line = (Instant, String);

/// Lines that arrive over time.
#[derive(Clone, Default)]
struct Lines(Arc<(Mutex<Vec<Line>>, Condvar)>);

impl Lines {
    fn push(&self, line: String) {
        self.0.0.lock().unwrap().push((Instant::now(), line));
        self.0.1.notify_all();
    }

    fn all(&self) -> Vec<Line> {
        self.0.0.lock().unwrap().clone()
    }

    /// The first line that contains `what`.
    fn wait(&self, what: &str) -> Option<Line> {
        let deadline = Instant::now() + PATIENCE;
        let mut lines = self.0.0.lock().unwrap();
        loop {
            if let Some(found) = lines.iter().find(|(_, line)| line.contains(what)) {
                return Some(found.clone());
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            lines = self.0.1.wait_timeout(lines, left).unwrap().0;
        }
    }
}

/// How to start a process.
pub(crate) struct Setup {
    sockets: Vec<(String, OwnedFd)>,
    environment: Vec<(String, String)>,
    listen_pid: &'static str,
    mode: &'static str,
    open_files: Option<u32>,
    shared: bool,
}

pub(crate) struct Process {
    child: Child,
    notifications: Lines,
    log: Lines,
    _directory: TempDir,
}

pub(crate) fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::listen(&listener, 4096).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

impl Setup {
    pub(crate) fn new() -> Self {
        Self {
            sockets: Vec::new(),
            environment: Vec::new(),
            listen_pid: "$$",
            mode: "serve",
            open_files: None,
            shared: false,
        }
    }

    /// One listener named "http".
    pub(crate) fn http(listener: &TcpListener) -> Self {
        Self::new().socket("http", listener)
    }

    pub(crate) fn mode(mut self, mode: &'static str) -> Self {
        self.mode = mode;
        self
    }

    pub(crate) fn socket(mut self, name: &str, socket: impl AsFd) -> Self {
        let socket = socket.as_fd().try_clone_to_owned().unwrap();
        self.sockets.push((name.to_owned(), socket));
        self
    }

    pub(crate) fn set(mut self, variable: &str, value: impl ToString) -> Self {
        self.environment
            .push((variable.to_owned(), value.to_string()));
        self
    }

    /// As the shell reads it; `$$` is the right one.
    pub(crate) fn listen_pid(mut self, listen_pid: &'static str) -> Self {
        self.listen_pid = listen_pid;
        self
    }

    /// How many descriptors the process may have.
    pub(crate) fn open_files(mut self, limit: u32) -> Self {
        self.open_files = Some(limit);
        self
    }

    /// Whose process it becomes; only root may choose.
    pub(crate) fn user(mut self, user: u32) -> Self {
        self.shared = true;
        self.set(probe::USER, user)
    }

    pub(crate) fn start(mut self) -> Process {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let notify = UnixDatagram::bind(&path).unwrap();
        if self.shared {
            for path in [directory.path(), &path] {
                fs::set_permissions(path, Permissions::from_mode(0o777)).unwrap();
            }
        }

        let count = self.sockets.len();
        let names: Vec<_> = self.sockets.iter().map(|(name, _)| name.clone()).collect();
        // The sockets arrive as standard input and output; the shell puts them where the
        // protocol wants them, and its process becomes the one under test.
        let place = match count {
            0 => "exec 0</dev/null 1>&2",
            1 => "exec 3<&0 0</dev/null 1>&2",
            2 => "exec 3<&0 4<&1 0</dev/null 1>&2",
            _ => panic!("two sockets are enough"),
        };
        let mut script = format!("{place}; export WATCHDOG_PID=${{WATCHDOG_PID-$$}}; ");
        if count > 0 {
            script += &format!(
                "export LISTEN_FDS={count} LISTEN_FDNAMES={};",
                names.join(":")
            );
            if self.listen_pid != "unset" {
                script += &format!("export LISTEN_PID={};", self.listen_pid);
            }
        }
        if let Some(limit) = self.open_files {
            script += &format!("ulimit -n {limit};");
        }
        script += "exec \"$0\" --exact probe::probe_process --nocapture --test-threads=1";

        let mut stdio = self
            .sockets
            .drain(..)
            .map(|(_, socket)| Stdio::from(socket));
        let mut child = Command::new("sh")
            .arg("-c")
            .arg(script)
            .arg(std::env::current_exe().unwrap())
            .stdin(stdio.next().unwrap_or_else(Stdio::null))
            .stdout(stdio.next().unwrap_or_else(Stdio::null))
            .stderr(Stdio::piped())
            .env("NOTIFY_SOCKET", &path)
            .env(probe::MODE, self.mode)
            .envs(self.environment)
            .spawn()
            .unwrap();

        let log = Lines::default();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        thread::spawn({
            let log = log.clone();
            move || {
                stderr
                    .lines()
                    .map_while(Result::ok)
                    .for_each(|line| log.push(line));
            }
        });
        let notifications = Lines::default();
        thread::spawn({
            let notifications = notifications.clone();
            move || {
                let mut bytes = [0; 4096];
                while let Ok(length) = notify.recv(&mut bytes) {
                    for line in String::from_utf8_lossy(&bytes[..length]).lines() {
                        notifications.push(line.to_owned());
                    }
                }
            }
        });
        Process {
            child,
            notifications,
            log,
            _directory: directory,
        }
    }

    pub(crate) fn start_ready(self) -> Process {
        let process = self.start();
        process.notified("READY=1");
        process
    }
}

impl Process {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a notification.
    pub(crate) fn notified(&self, what: &str) -> Line {
        self.notifications
            .wait(what)
            .unwrap_or_else(|| panic!("no {what} within {PATIENCE:?}\n{}", self.story()))
    }

    pub(crate) fn notifications(&self) -> Vec<Line> {
        self.notifications.all()
    }

    pub(crate) fn has_notified(&self, what: &str) -> bool {
        self.notifications
            .all()
            .iter()
            .any(|(_, line)| line == what)
    }

    pub(crate) fn logged(&self, what: &str) -> String {
        self.log
            .wait(what)
            .unwrap_or_else(|| panic!("no {what} within {PATIENCE:?}\n{}", self.story()))
            .1
    }

    /// The lines of the log that contain `what`, so far.
    pub(crate) fn all_logged(&self, what: &str) -> Vec<String> {
        let lines = self.log.all().into_iter().map(|(_, line)| line);
        lines.filter(|line| line.contains(what)).collect()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// SIGSTOP, and waits until it has taken effect.
    pub(crate) fn stop(&self) {
        self.signal(Signal::STOP);
        self.stopped();
    }

    /// Waits until no thread runs any more: until the first one has seen the signal, the others go on.
    pub(crate) fn stopped(&self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.is_stopped() {
            assert!(Instant::now() < deadline, "it goes on\n{}", self.story());
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Whether each of its threads is.
    fn is_stopped(&self) -> bool {
        let threads = fs::read_dir(format!("/proc/{}/task", self.id())).unwrap();
        threads.flatten().all(|thread| {
            // The state follows the name, which is in parentheses.
            let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
            stat.rsplit(") ")
                .next()
                .is_some_and(|rest| rest.starts_with('T'))
        })
    }

    /// SIGTERM, and waits until the drain has begun: nothing is accepted any more.
    pub(crate) fn drain(&self) -> Instant {
        self.signal(Signal::TERM);
        self.notified("STOPPING=1").0
    }

    pub(crate) fn exited(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "it does not end\n{}",
                self.story()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for a clean exit and returns the report of its drain.
    pub(crate) fn report(&mut self) -> String {
        let status = self.exited();
        assert!(status.success(), "{status}\n{}", self.story());
        self.notified("STATUS=drained").1
    }

    /// Everything it said, for the message of a failed test.
    pub(crate) fn story(&self) -> String {
        let lines = |lines: &Lines| {
            let all = lines.all();
            let text: Vec<_> = all.iter().map(|(_, line)| format!("  {line}\n")).collect();
            text.concat()
        };
        format!(
            "notifications:\n{}log:\n{}",
            lines(&self.notifications),
            lines(&self.log)
        )
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
