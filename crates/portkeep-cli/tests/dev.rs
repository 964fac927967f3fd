//! `portkeep dev` on a real cargo project, without systemd: edit, break, mend, end.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod support;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use support::Home;

/// The first build compiles axum and tokio.
const FIRST_BUILD: Duration = Duration::from_secs(400);
const BUILD: Duration = Duration::from_secs(60);

struct Session {
    child: Child,
    log: PathBuf,
    source: PathBuf,
    address: SocketAddr,
    _home: Home,
}

impl Session {
    /// Starts it on a copy of `examples/hello`.
    fn start() -> Self {
        let home = Home::new();
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../..")
            .canonicalize()
            .unwrap();
        let library = workspace.join("crates/portkeep");
        home.write(
            "hello/Cargo.toml",
            &format!(
                "[package]\nname = \"hello\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n[dependencies]\n\
                 axum = {{ version = \"0.8\", default-features = false, features = [\"http1\", \"tokio\"] }}\n\
                 portkeep = {{ path = {library:?} }}\n\
                 tokio = {{ version = \"1\", features = [\"macros\", \"rt-multi-thread\"] }}\n\
                 tracing-subscriber = {{ version = \"0.3\", default-features = false, features = [\"fmt\"] }}\n"
            ),
        );
        fs::copy(
            workspace.join("Cargo.lock"),
            home.path().join("hello/Cargo.lock"),
        )
        .unwrap();
        let source = home.write(
            "hello/src/main.rs",
            &fs::read_to_string(workspace.join("examples/hello/src/main.rs")).unwrap(),
        );
        let address = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let log = home.path().join("log");
        let output = File::create(&log).unwrap();
        // Kept between runs, since what is tested here is not how fast axum compiles.
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dev-project");
        let child = home
            .command(&[
                "dev",
                "--backend",
                "local",
                "--project",
                "hello",
                "--listen",
                &address.to_string(),
            ])
            // The toolchain is found through the real home.
            .env("CARGO_HOME", cargo_home())
            .env("RUSTUP_HOME", rustup_home())
            .env("CARGO_TARGET_DIR", target)
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        Self {
            child,
            log,
            source,
            address,
            _home: home,
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    #[track_caller]
    fn wait(&self, what: &str, deadline: Duration, mut probe: impl FnMut() -> bool) {
        let start = Instant::now();
        while !probe() {
            assert!(
                start.elapsed() < deadline,
                "not within {deadline:?}: {what}\n{}",
                self.log()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Replaces a part of the source, which must be there.
    fn edit(&self, old: &str, new: &str) {
        let source = fs::read_to_string(&self.source).unwrap();
        assert!(source.contains(old));
        fs::write(&self.source, source.replace(old, new)).unwrap();
    }

    fn pid_that_answers(&self) -> u32 {
        let body = get(self.address).unwrap();
        let after = body.split("process ").nth(1).unwrap();
        after
            .chars()
            .take_while(char::is_ascii_digit)
            .collect::<String>()
            .parse()
            .unwrap()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        #[expect(
            clippy::disallowed_methods,
            reason = "not reaped yet, so the number still names it"
        )]
        let _ = kill_process(Pid::from_child(&self.child), Signal::INT);
        let _ = self.child.wait();
    }
}

/// One request on a connection of its own, without any retry.
fn get(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: hello\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("</html>\n") {
        true => Ok(answer),
        false => Err(std::io::Error::other(format!(
            "a broken answer: {answer:?}"
        ))),
    }
}

fn cargo_home() -> PathBuf {
    std::env::var_os("CARGO_HOME").map_or_else(|| real_home().join(".cargo"), PathBuf::from)
}

fn rustup_home() -> PathBuf {
    std::env::var_os("RUSTUP_HOME").map_or_else(|| real_home().join(".rustup"), PathBuf::from)
}

fn real_home() -> PathBuf {
    PathBuf::from(std::env::var_os("HOME").expect("HOME is set"))
}

#[test]
fn edits_take_over_breaks_do_not_and_nothing_is_refused() {
    let session = Session::start();
    let address = session.address;
    session.wait(
        "the port is open while the first version is built",
        Duration::from_secs(20),
        || TcpStream::connect(address).is_ok(),
    );
    session.wait("Hello answers", FIRST_BUILD, || {
        get(address).is_ok_and(|body| body.contains("<h1>Hello</h1>"))
    });
    // Where the first build took a while, a page was generation 1, which may answer until it has ended.
    session.wait("only Hello answers", BUILD, || {
        let ends = ["serves", "finished and ended", "drained"];
        let log = session.log();
        ends.iter()
            .any(|end| log.contains(&format!("generation 1 {end}")))
    });

    let (over, asked) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let client = thread::spawn({
        let (over, asked) = (over.clone(), asked.clone());
        move || {
            let mut failures = Vec::new();
            while !over.load(Ordering::Relaxed) {
                failures.extend(get(address).err().map(|error| error.to_string()));
                asked.fetch_add(1, Ordering::Relaxed);
                thread::sleep(Duration::from_millis(2));
            }
            failures
        }
    });

    session.edit("<h1>Hello</h1>", "<h1>Edited</h1>");
    session.wait("the edit answers", BUILD, || {
        get(address).is_ok_and(|body| body.contains("<h1>Edited</h1>"))
    });

    session.edit("<h1>Edited</h1>", "<h1>{missing}</h1>");
    session.wait("cargo's error is shown", BUILD, || {
        session.log().contains("the build failed")
    });
    assert!(
        session.log().contains("cannot find value `missing`"),
        "{}",
        session.log()
    );
    assert!(get(address).unwrap().contains("<h1>Edited</h1>"));

    session.edit("<h1>{missing}</h1>", "<h1>Mended</h1>");
    session.wait("the mended version answers", BUILD, || {
        get(address).is_ok_and(|body| body.contains("<h1>Mended</h1>"))
    });

    over.store(true, Ordering::Relaxed);
    assert_eq!(client.join().unwrap(), Vec::<String>::new());
    let asked = asked.load(Ordering::Relaxed);
    assert!(asked > 100, "only {asked} requests: the client hung");

    // Ctrl-C ends everything it started, and gives the port back.
    let pid = session.pid_that_answers();
    let mut session = session;
    #[expect(
        clippy::disallowed_methods,
        reason = "not reaped yet, so the number still names it"
    )]
    kill_process(Pid::from_child(&session.child), Signal::INT).unwrap();
    let status = session.child.wait().unwrap();
    assert!(
        status.success(),
        "it ended with {status}\n{}",
        session.log()
    );
    assert!(
        !Path::new("/proc").join(pid.to_string()).exists(),
        "generation {pid} still runs"
    );
    TcpListener::bind(address).expect("the port is free again");
}
