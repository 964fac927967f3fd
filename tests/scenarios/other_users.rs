//! What other users of the machine can do to an app of root's, and to root's commands: nothing.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use portkeep_tests::command::run_command;
use portkeep_tests::{App, Behaviour, OtherUser, Outcome, request, wait_until};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::json;

const SOON: Duration = Duration::from_secs(10);

/// Ends what it started, whatever becomes of the test.
struct Background(Child);

impl Background {
    fn start(words: &[&str]) -> Self {
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // With all that it has started.
        let _ = kill_process_group(Pid::from_child(&self.0), Signal::KILL);
        let _ = self.0.wait();
    }
}

#[test]
fn nobody_else_can_lock_an_app() {
    let mallory = OtherUser::named("mallory");
    let app = App::named("locked-out").serve(&Behaviour::version("v1"));
    let lock = app.run_directory().join("lock");
    let lock = lock.to_str().unwrap();
    let taken = mallory.run(&["flock", "--nonblock", lock, "true"]);
    let _ = taken.expect_failure();
    let _kept = Background::start(&[
        "runuser", "-u", "mallory", "--", "flock", lock, "sleep", "60",
    ]);
    app.publish(&Behaviour::version("v2"));
    let begun = Instant::now();
    app.reload();
    assert!(begun.elapsed() < SOON);
    app.wait_for_version("v2", SOON);
}

#[test]
fn nobody_else_can_look_into_an_app() {
    let mallory = OtherUser::named("mallory");
    let app = App::named("private")
        .args(&["--password", "of-the-app"])
        .serve(&Behaviour::version("v1"));
    let digest = app.history()[0]["digest"].as_str().unwrap().to_owned();
    let release = app.state_directory().join("releases").join(digest);
    let state = app.state_directory();
    let run = app.run_directory();
    for path in [
        state.clone(),
        state.join("releases"),
        run.clone(),
        run.join("generations"),
        run.join("generations/1"),
    ] {
        let listed = mallory.run(&["ls", path.to_str().unwrap()]);
        let _ = listed.expect_failure();
    }
    for path in [
        release.join("release.json"),
        release.join("environment.json"),
        state.join("history.jsonl"),
        state.join("good.json"),
        state.join("digest.key"),
        run.join("generations/1/environment"),
        run.join("generations/1/release"),
        run.join("seen.json"),
    ] {
        assert!(path.exists(), "{}", path.display());
        let read = mallory.run(&["cat", path.to_str().unwrap()]);
        let _ = read.expect_failure();
    }
}

/// Answers as a `portkeep dev` would, for somebody who believes it.
fn answer(listener: &UnixListener) {
    for stream in listener.incoming().flatten() {
        let mut line = String::new();
        let _ = BufReader::new(&stream).read_line(&mut line);
        let _ = (&stream).write_all(b"{\"done\":{\"line\":\"generation 99 serves\",\"code\":0}}\n");
    }
}

#[test]
fn no_command_of_root_believes_another_users_socket() {
    let mallory = OtherUser::named("mallory");
    let app = App::named("believed").serve(&Behaviour::version("v1"));
    let (temporary, given) = (Path::new("/tmp/portkeep-0"), Path::new("/tmp/given"));
    for (version, directory, environment) in [
        ("v2", temporary, None),
        ("v3", given, Some(("XDG_RUNTIME_DIR", given))),
    ] {
        let socket = directory.join("portkeep-local/believed/control");
        fs::create_dir_all(socket.parent().unwrap()).unwrap();
        let listener = UnixListener::bind(&socket).unwrap();
        mallory.owns(directory);
        thread::spawn(move || answer(&listener));
        app.publish(&Behaviour::version(version));
        let mut reload = Command::new("portkeep");
        reload
            .args(["reload", "believed"])
            .env_remove("XDG_RUNTIME_DIR");
        reload.envs(environment);
        let told = run_command(reload).expect_success();
        assert!(!told.stdout.contains("generation 99"), "{told}");
        app.wait_for_version(version, SOON);
        fs::remove_dir_all(directory).unwrap();
    }
}

#[test]
fn who_has_no_home_to_write_to_is_told_before_a_port_opens() {
    let mallory = OtherUser::named("mallory");
    let project = Path::new("/srv/homeless");
    fs::create_dir_all(project).unwrap();
    let spec = json!({
        "name": "homeless", "exec": ["/bin/sleep", "60"], "listen": [{ "stream": "127.0.0.1:8080" }],
    });
    fs::write(project.join("portkeep.json"), spec.to_string()).unwrap();
    mallory.owns(project);
    let line = "cd /srv/homeless && HOME=/ portkeep dev --backend local";
    let refused = mallory.run(&["sh", "-c", line]);
    assert_eq!(refused.code, Some(1), "{refused}");
    refused.expect_mention(&["/.local"]);
    refused.expect_mention(&["HOME"]);
    let address = "127.0.0.1:8080".parse().unwrap();
    assert_eq!(request(address, "/", SOON), Outcome::Refused);
    fs::remove_dir_all(project).unwrap();
}

#[test]
fn whoever_keeps_the_lock_is_named() {
    let app = App::named("kept")
        .with("startTimeout", json!("1s"))
        .serve(&Behaviour::version("v1"));
    let lock = app.run_directory().join("lock");
    let holder = Background::start(&["flock", "--close", lock.to_str().unwrap(), "sleep", "4711"]);
    wait_until("the lock is kept", SOON, || {
        let locks = fs::read_to_string("/proc/locks").unwrap();
        locks
            .contains(&format!(" {} ", holder.0.id()))
            .then_some(())
    });
    app.publish(&Behaviour::version("v2"));
    let refused = app.portkeep("reload", &[]).expect_failure();
    let holder_id = holder.0.id().to_string();
    refused.expect_mention(&[&holder_id]);
    refused.expect_mention(&["sleep 4711"]);
    assert_eq!(app.get("/").version, "v1");
    drop(holder);
    let _ = app.portkeep("reload", &[]);
    app.wait_for_version("v2", SOON);
}
