//! The release command as a child process.

use std::fs;
use std::time::{Duration, Instant};

use portkeep_engine::backend::local::Local;
use portkeep_engine::{Cancel, Generation};
use portkeep_tests::Behaviour;

use crate::world::World;

/// Longer than anything here takes, and shorter than what a command that hangs would.
const SOON: Duration = Duration::from_secs(20);

/// A world whose release command is a shell script. It writes to the file `log` beside the app.
async fn world(script: &str) -> (World<Local>, tempfile::TempDir) {
    let (mut world, kept) = crate::world("release").await;
    let script = format!("cd {}; {script}", world.directory.display());
    world.spec.release = ["/bin/sh", "-c", &script].map(str::to_owned).into();
    world.spec.release_timeout = Duration::from_secs(2).into();
    world
        .spec
        .environment
        .insert("GREETING".to_owned(), "hi".to_owned());
    world.publish(&Behaviour::version("v2"));
    (world, kept)
}

fn log(world: &World<Local>) -> Vec<String> {
    let text = fs::read_to_string(world.directory.join("log")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Whether a process that was started with these words runs.
fn runs(words: &str) -> bool {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
        .any(|line| {
            String::from_utf8_lossy(&line)
                .replace('\0', " ")
                .contains(words)
        })
}

#[tokio::test(flavor = "multi_thread")]
async fn it_runs_once_as_the_app_does() {
    let script = "echo $PORTKEEP_GENERATION $GREETING ${LISTEN_FDS:-none} >> log";
    let (world, _kept) = world(script).await;
    world.hand_over().await.expect("v2 starts");
    world.until_only(Generation(2)).await;
    world.hand_over_by_force().await.expect("v2 starts again");
    world.until_only(Generation(3)).await;
    assert_eq!(log(&world), ["2 hi none"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_it_fails_what_serves_serves_on() {
    for (script, reason) in [
        (
            "echo no table >&2; exit 3",
            "status 3; its last lines:\n  | no table",
        ),
        ("kill -KILL $$", "KILL"),
        ("kill -TERM $$", "TERM"),
    ] {
        let (world, _kept) = world(script).await;
        let told = world.hand_over().await.unwrap_err().to_string();
        assert!(told.contains("its release command failed: "), "{told}");
        assert!(told.contains(reason), "{told}");
        assert_eq!(world.ask("/").await.version(), Some("v1"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_hangs_is_ended_with_what_it_has_started() {
    let (world, _kept) = world("trap '' TERM; sleep 98763 & sleep 98763").await;
    let begun = Instant::now();
    let told = world.hand_over().await.unwrap_err().to_string();
    assert!(told.contains("did not end within 2s"), "{told}");
    assert!(begun.elapsed() < SOON, "{begun:?}");
    assert!(!runs("sleep 98763"));
    assert_eq!(world.ask("/").await.version(), Some("v1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_leaves_behind_ends_with_it() {
    let (world, _kept) = world("trap '' TERM; sleep 98764 & echo done >> log").await;
    world.hand_over().await.expect("v2 starts");
    assert_eq!(log(&world), ["done"]);
    assert!(!runs("sleep 98764"));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_writes_a_hundred_megabytes_is_told_in_part() {
    let script = "head -c 100000000 /dev/zero | tr '\\0' x | fold -w 1000; echo done >> log";
    let (mut world, _kept) = world(script).await;
    world.spec.release_timeout = Duration::from_secs(60).into();
    world.hand_over().await.expect("v2 starts");
    assert_eq!(log(&world), ["done"]);
}

/// A newer version is there: nobody waits for the old one's, and it does not run on.
#[tokio::test(flavor = "multi_thread")]
async fn it_is_ended_where_its_start_is_given_up() {
    let (world, _kept) = world("echo begun >> log; exec sleep 98765").await;
    let cancel = Cancel::default();
    let starting = world.hand_over_unless(&cancel);
    let ask = async {
        world
            .until("it runs", async || (!log(&world).is_empty()).then_some(()))
            .await;
        cancel.ask();
    };
    let (result, ()) = tokio::join!(starting, ask);
    let told = result.unwrap_err().to_string();
    assert!(told.contains("given up"), "{told}");
    assert!(!runs("sleep 98765"));
    assert_eq!(world.ask("/").await.version(), Some("v1"));
}
