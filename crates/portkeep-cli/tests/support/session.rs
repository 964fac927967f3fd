//! A running `portkeep dev`, without systemd, on a project of its own.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::Home;

/// How long a small program may take to be built and started while other tests compile, too.
pub(crate) const BUILD: Duration = Duration::from_secs(90);

/// Takes the passed socket, and has no dependencies.
pub(crate) const APP: &str = r#"use std::io::{Read, Write};
use std::os::fd::FromRawFd;

const VERSION: &str = "one";

fn main() {
    // start
    assert!(std::env::var("LISTEN_FDS").is_ok());
    let listener = unsafe { std::net::TcpListener::from_raw_fd(3) };
    let ready = std::os::unix::net::UnixDatagram::unbound().unwrap();
    ready.send_to(b"READY=1", std::env::var("NOTIFY_SOCKET").unwrap()).unwrap();
    for stream in listener.incoming() {
        // All holders of the socket share its non-blocking flag, including a holding page that ends.
        let Ok(mut stream) = stream else {
            std::thread::sleep(std::time::Duration::from_millis(1));
            continue;
        };
        let _ = stream.read(&mut [0; 1024]);
        let _ = write!(stream, "HTTP/1.0 200 OK\r\n\r\n{VERSION}");
    }
}
"#;

/// Binds its port itself, which is in place of `HERE`, and has no dependencies.
pub(crate) const ITSELF: &str = r#"use std::io::{Read, Write};

const VERSION: &str = "one";

fn main() {
    // start
    let listener = std::net::TcpListener::bind("HERE").unwrap();
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let _ = stream.read(&mut [0; 1024]);
        let _ = write!(stream, "HTTP/1.0 200 OK\r\n\r\n{VERSION}");
    }
}
"#;

/// Its manifest, with `more` at the end, where a table with portkeep's settings is open.
pub(crate) fn manifest(more: &str) -> String {
    format!(
        "[package]\nname = \"hello\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[workspace]\n\
         [package.metadata.portkeep]\nreadiness = \"notify\"\nmoveConnections = false\n{more}\n"
    )
}

pub(crate) struct Session {
    child: Child,
    home: Home,
    address: SocketAddr,
    /// The other end of what it writes, where nobody reads that.
    _unread: Option<std::io::PipeReader>,
}

impl Session {
    /// Starts it in the directory above the project `hello`, to which `files` are written first.
    pub(crate) fn start(files: &[(&str, &str)], arguments: &[&str]) -> Self {
        Self::start_where(files, arguments, |_| {})
    }

    /// The same, after `prepare` was called with the directory above the project.
    pub(crate) fn start_where(
        files: &[(&str, &str)],
        arguments: &[&str],
        prepare: impl FnOnce(&Path),
    ) -> Self {
        let home = home_with(files);
        prepare(home.path());
        Self::start_in(home, free_address(), arguments)
    }

    /// The same, with a project whose app opens its port itself: `HERE` in its files is the address.
    pub(crate) fn start_self_binding(files: &[(&str, &str)], arguments: &[&str]) -> Self {
        let (home, address) = (Home::new(), free_address());
        for (name, text) in files {
            home.write(name, &text.replace("HERE", &address.to_string()));
        }
        Self::start_in(home, address, arguments)
    }

    /// The same, where nobody reads what it writes.
    pub(crate) fn start_before_a_stopped_terminal(
        files: &[(&str, &str)],
        arguments: &[&str],
    ) -> Self {
        let home = home_with(files);
        let (unread, output) = std::io::pipe().unwrap();
        let mut session = Self::start_writing_to(output.into(), home, free_address(), arguments);
        session._unread = Some(unread);
        session
    }

    /// The same, where the project's build directory is a file system of 64 MiB.
    pub(crate) fn start_on_a_small_disk(files: &[(&str, &str)]) -> Self {
        let home = home_with(files);
        fs::create_dir(home.path().join("hello/target")).unwrap();
        let output = File::create(home.path().join("log")).unwrap();
        let address = free_address();
        let command = Self::command_in(&home, address, &[]);
        let namespaces: &[&str] = match rustix::process::geteuid().is_root() {
            true => &["--mount"],
            false => &["--user", "--map-root-user", "--mount"],
        };
        let mount = "mount -t tmpfs -o size=64m tmpfs hello/target && exec \"$@\"";
        let mut within = Command::new("unshare");
        within
            .args(namespaces)
            .args(["sh", "-c", mount, "sh"])
            .arg(command.get_program())
            .args(command.get_args())
            .current_dir(home.path());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => within.env(name, value),
                None => within.env_remove(name),
            };
        }
        Self::spawn(within, output.into(), home, address)
    }

    /// A file in the build directory, as `portkeep dev` sees it.
    pub(crate) fn in_target(&self, name: &str) -> PathBuf {
        let root = format!("/proc/{}/root", self.child.id());
        let target = self.path("hello/target");
        Path::new(&root)
            .join(target.strip_prefix("/").unwrap())
            .join(name)
    }

    fn start_in(home: Home, address: SocketAddr, arguments: &[&str]) -> Self {
        let output = File::create(home.path().join("log")).unwrap();
        Self::start_writing_to(output.into(), home, address, arguments)
    }

    fn start_writing_to(
        output: OwnedFd,
        home: Home,
        address: SocketAddr,
        arguments: &[&str],
    ) -> Self {
        let command = Self::command_in(&home, address, arguments);
        Self::spawn(command, output, home, address)
    }

    fn command_in(home: &Home, address: SocketAddr, arguments: &[&str]) -> Command {
        let listen = address.to_string();
        let first = ["dev", "--backend", "local", "--project", "hello"];
        let mut command = home.command(&[&first[..], &["--listen", &listen], arguments].concat());
        // A test may bring a cargo of its own, which calls the real one.
        let own = home.path().join("cargo");
        if own.exists() {
            let real = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
            command.env("REAL_CARGO", real).env("CARGO", own);
        }
        command
            // The toolchain is found through the user's home.
            .env("CARGO_HOME", of_the_user("CARGO_HOME", ".cargo"))
            .env("RUSTUP_HOME", of_the_user("RUSTUP_HOME", ".rustup"))
            .env_remove("CARGO_TARGET_DIR");
        command
    }

    fn spawn(mut command: Command, output: OwnedFd, home: Home, address: SocketAddr) -> Self {
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        Self {
            child,
            home,
            address,
            _unread: None,
        }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }

    pub(crate) fn count(&self, words: &str) -> usize {
        self.log().matches(words).count()
    }

    #[track_caller]
    pub(crate) fn wait(&self, what: &str, mut probe: impl FnMut() -> bool) {
        let start = Instant::now();
        while !probe() {
            assert!(
                start.elapsed() < BUILD,
                "not within {BUILD:?}: {what}\n{}",
                self.log()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until `words` were printed once more than before.
    #[track_caller]
    pub(crate) fn expect_said(&self, words: &str, act: impl FnOnce()) {
        let before = self.count(words);
        act();
        self.wait(words, || self.count(words) > before);
    }

    /// Waits until nothing was printed for a second.
    #[track_caller]
    pub(crate) fn wait_for_rest(&self) {
        let (mut log, mut since) = (self.log(), Instant::now());
        self.wait("it comes to rest", || {
            let now = self.log();
            if now != log {
                (log, since) = (now, Instant::now());
            }
            since.elapsed() > Duration::from_secs(1)
        });
    }

    #[track_caller]
    pub(crate) fn expect_answer(&self, version: &str) {
        self.wait(&format!("{version} answers"), || {
            self.get().is_ok_and(|body| body == version)
        });
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        self.home.write(name, text);
    }

    /// Writes a file outside the project, and returns its path.
    pub(crate) fn write_aside(&self, text: &str) -> PathBuf {
        self.home.write("aside", text)
    }

    /// Replaces a part of a file, which must contain it.
    #[track_caller]
    pub(crate) fn edit(&self, name: &str, old: &str, new: &str) {
        let text = fs::read_to_string(self.path(name)).unwrap();
        assert!(text.contains(old), "{name} has no {old}");
        fs::write(self.path(name), text.replace(old, new)).unwrap();
    }

    /// Another command, of the same user.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.home.command(arguments)
    }

    /// One request on a connection of its own, without a retry.
    pub(crate) fn get(&self) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let body = answer.split_once("\r\n\r\n");
        Ok(body.map(|(_, body)| body.to_owned()).unwrap_or_default())
    }

    /// Kills it without its descendants, and starts it again.
    pub(crate) fn kill_and_start_again(self, arguments: &[&str]) -> Self {
        let (home, address) = self.kill();
        Self::start_in(home, address, arguments)
    }

    /// Kills it without its descendants.
    fn kill(mut self) -> (Home, SocketAddr) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let home = std::mem::replace(&mut self.home, Home::new());
        (home, self.address)
    }

    /// The output of another command, which has to end by itself.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let output = self.home.command(arguments).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&said).into_owned()
    }

    /// Resident memory of `portkeep dev`, in bytes.
    pub(crate) fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes: u64 = line
            .unwrap()
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .unwrap();
        kilobytes * 1024
    }

    /// The app's address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it; its directory stays until this is dropped.
    pub(crate) fn end(mut self) -> Self {
        self.interrupt();
        self.wait_for_end();
        self
    }

    /// Waits until it has ended, by itself or on request.
    #[track_caller]
    pub(crate) fn wait_for_end(&mut self) {
        assert!(
            self.has_ended(),
            "it did not end within {BUILD:?}\n{}",
            self.log()
        );
    }

    fn has_ended(&mut self) -> bool {
        let start = Instant::now();
        while self.is_running() {
            if start.elapsed() > BUILD {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return false;
            }
            thread::sleep(Duration::from_millis(5));
        }
        true
    }

    /// As Ctrl-C does.
    pub(crate) fn interrupt(&self) {
        #[expect(
            clippy::disallowed_methods,
            reason = "not reaped yet, so the number still names it"
        )]
        let _ = kill_process(Pid::from_child(&self.child), Signal::INT);
    }

    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.is_running() {
            self.interrupt();
        }
        if !self.has_ended() && !thread::panicking() {
            panic!("Ctrl-C did not end it within {BUILD:?}\n{}", self.log());
        }
    }
}

fn home_with(files: &[(&str, &str)]) -> Home {
    let home = Home::new();
    for (name, text) in files {
        home.write(name, text);
    }
    home
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

fn of_the_user(variable: &str, place: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(
        || Path::new(&std::env::var_os("HOME").expect("HOME is set")).join(place),
        PathBuf::from,
    )
}
