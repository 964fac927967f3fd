//! Processes end with all they started, whoever ends them.

use std::process::Stdio;

use rustix::process::test_kill_process;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use super::members::Stat;
use super::*;

const DEADLINE: Duration = Duration::from_secs(30);

/// A shell that runs `script`, with a pipe for its output.
fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", script])
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}

fn start(script: &str, rest: Descendants) -> Started {
    let children = Children::default();
    children.start(shell(script), "a test", rest).unwrap()
}

/// The first word of its output.
async fn first_word(started: &mut Started) -> String {
    let mut lines = Lines::of(started.stdout.take().unwrap());
    let line = timeout(DEADLINE, lines.next()).await.unwrap().unwrap();
    started.stdout = None;
    line.unwrap()
}

/// Waits until nobody has the other end of a pipe, which is when the last of a group is gone.
async fn closed(mut stdout: ChildStdout) {
    let mut rest = Vec::new();
    let read = timeout(DEADLINE, stdout.read_to_end(&mut rest)).await;
    read.expect("somebody still has the pipe").unwrap();
}

fn is_there(pid: &str) -> bool {
    let pid = Pid::from_raw(pid.parse().unwrap()).unwrap();
    test_kill_process(pid).is_ok() && Stat::of(pid).is_some_and(|stat| !stat.is_zombie())
}

#[tokio::test]
async fn what_nobody_has_any_more_is_ended_with_all_it_started() {
    let mut started = start("sleep 60 & sleep 60", Descendants::LeftRunning);
    let stdout = started.stdout.take().unwrap();
    let mut end = started.process.end();
    assert!(started.process.is_alive());
    drop(started);
    let status = timeout(DEADLINE, end.come()).await.unwrap();
    assert!(!status.unwrap().success());
    closed(stdout).await;
}

#[tokio::test]
async fn what_is_left_of_a_process_that_ends_by_itself_ends_or_goes_on() {
    for (rest, goes_on) in [
        (Descendants::Killed, false),
        (Descendants::LeftRunning, true),
    ] {
        let mut started = start("sleep 60 >/dev/null & echo $!", rest);
        let pid = first_word(&mut started).await;
        timeout(DEADLINE, started.process.end().come())
            .await
            .unwrap();
        // It is killed before the end is told; the kernel may take a moment.
        let until = Instant::now() + DEADLINE;
        while !goes_on && is_there(&pid) {
            assert!(Instant::now() < until, "{rest:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert_eq!(is_there(&pid), goes_on, "{rest:?}");
        let pid = Pid::from_raw(pid.parse().unwrap()).unwrap();
        let _ = kill_process(pid, Signal::KILL);
    }
}

#[tokio::test]
async fn what_does_not_want_to_end_is_killed_also_when_its_leader_has_ended() {
    let stubborn = "(trap '' TERM; echo begun; while :; do sleep 0.05; done) & wait";
    let mut started = start(stubborn, Descendants::LeftRunning);
    let mut stdout = started.stdout.take().unwrap();
    let mut word = [0; 5];
    timeout(DEADLINE, stdout.read_exact(&mut word))
        .await
        .unwrap()
        .unwrap();
    timeout(DEADLINE, started.process.stop(DEADLINE))
        .await
        .unwrap();
    closed(stdout).await;
}

#[tokio::test]
async fn a_signal_reaches_the_process_alone() {
    let mut started = start(
        "trap 'echo heard; exit 3' TERM; echo begun; while :; do sleep 0.05; done",
        Descendants::Killed,
    );
    let mut lines = Lines::of(started.stdout.take().unwrap());
    for expected in ["begun", "heard"] {
        let line = timeout(DEADLINE, lines.next()).await.unwrap().unwrap();
        assert_eq!(line.as_deref(), Some(expected));
        started.process.signal(Signal::TERM);
    }
    let status = timeout(DEADLINE, started.process.end().come())
        .await
        .unwrap();
    assert_eq!(status.unwrap().code(), Some(3));
}

/// The leftovers of a killed portkeep: a process, and its pid file.
fn leave(script: &str, directory: &std::path::Path) -> std::process::Child {
    use std::os::unix::process::CommandExt;

    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", script])
        .process_group(0)
        .stdout(Stdio::piped());
    let child = command.spawn().unwrap();
    let note = PidFile::write(directory, Pid::from_child(&child), "generation 3").unwrap();
    std::mem::forget(note);
    child
}

#[tokio::test]
async fn what_a_killed_portkeep_left_running_is_ended_with_all_it_started() {
    let directory = tempfile::tempdir().unwrap();
    let children = Children::noted_in(directory.path().join("children"));
    let notes = directory.path().join("children");
    let mut stubborn = leave("trap '' TERM; sleep 60 & wait; sleep 60", &notes);
    // It has ended by itself, and left a descendant that has the port.
    let mut gone = leave("sleep 60 & exit 0", &notes);
    gone.wait().unwrap();
    let pipes = [stubborn.stdout.take().unwrap(), gone.stdout.take().unwrap()];
    let left = timeout(DEADLINE, children.end_left()).await.unwrap();
    let mut pids: Vec<_> = left.iter().map(|left| left.pid).collect();
    pids.sort_unstable();
    let mut expected = [stubborn.id(), gone.id()];
    expected.sort_unstable();
    assert_eq!(pids, expected);
    assert_eq!(left[0].what, "generation 3");
    for pipe in pipes {
        closed(ChildStdout::from_std(pipe).unwrap()).await;
    }
    stubborn.wait().unwrap();
    assert_eq!(children.end_left().await, []);
}

#[tokio::test]
async fn a_number_that_is_another_process_by_now_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let children = Children::noted_in(directory.path().to_owned());
    let mut other = leave("exec sleep 60", directory.path());
    let note = directory.path().join(other.id().to_string());
    for (nth, word) in [(1, "1"), (3, "another-boot")] {
        let text = std::fs::read_to_string(&note).unwrap_or_else(|_| {
            std::mem::forget(
                PidFile::write(directory.path(), Pid::from_child(&other), "x").unwrap(),
            );
            std::fs::read_to_string(&note).unwrap()
        });
        let (numbers, what) = text.split_once('\n').unwrap();
        let mut words: Vec<_> = numbers.split(' ').collect();
        words[nth] = word;
        std::fs::write(&note, format!("{}\n{what}", words.join(" "))).unwrap();
        assert_eq!(children.end_left().await, []);
        assert!(other.try_wait().unwrap().is_none());
    }
    other.kill().unwrap();
    other.wait().unwrap();
}

#[tokio::test]
async fn who_writes_more_than_is_taken_waits_and_loses_nothing() {
    let mut started = start("seq 1 200000; printf 'a\\377b'", Descendants::Killed);
    let mut output = Output::of(started.stdout.take(), None);
    let (mut count, mut last) = (0, String::new());
    while let Some(line) = timeout(DEADLINE, output.next()).await.unwrap() {
        (count, last) = (count + 1, line);
    }
    assert_eq!((count, last.as_str()), (200_001, "a\u{fffd}b"));
}
