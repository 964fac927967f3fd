//! Files that a release brings along: they come, go and come back with its executable.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::fs::{FileExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use portkeep_tests::{
    App, AppBuilder, Behaviour, Manager, OtherUser, Outcome, request, wait_until,
};
use serde_json::json;

const SOON: Duration = Duration::from_secs(10);
/// Each handover is met by so many pages with their assets.
const PAIRS: usize = 100;
const CLIENTS: usize = 4;

/// The name of the asset that the page of a version names.
fn asset(version: &str) -> String {
    let number: u32 = version.trim_start_matches('v').parse().unwrap();
    format!("app-{number:08x}.js")
}

/// Makes the files of a version: a page, and the asset that it names.
fn write_files(directory: &Path, version: &str) {
    let assets = directory.join("web/assets");
    let _ = fs::remove_dir_all(&assets);
    fs::create_dir_all(&assets).unwrap();
    let asset = asset(version);
    fs::write(assets.join(&asset), format!("asset of {version}\n")).unwrap();
    let page = format!("version {version}\nasset /assets/{asset}\n");
    fs::write(directory.join("web/page.html"), page).unwrap();
}

fn directory_of(name: &str) -> PathBuf {
    Manager::of_this_process().apps_directory().join(name)
}

/// An app that brings its page and its assets.
fn bringing(name: &str) -> AppBuilder {
    write_files(&directory_of(name), "v1");
    App::named(name)
        .with("files", json!(["page.html", "assets"]))
        .with("filesFrom", json!("web"))
}

fn publish(app: &App, version: &str) {
    app.publish(&Behaviour::version(version));
    write_files(app.directory(), version);
}

fn reload(app: &App, version: &str) {
    publish(app, version);
    app.reload();
    app.wait_for_version(version, SOON);
}

/// Its page is of the version that answers.
#[track_caller]
fn expect_page(app: &App, version: &str) {
    // One that was just told to drain may accept once more.
    app.wait_for_only_one();
    let answer = app.get("/page");
    assert_eq!(answer.version, version);
    assert!(
        answer.body.starts_with(&format!("version {version}\n")),
        "{answer:?}"
    );
}

/// A page, and then what it names. What is wrong with them, if anything is.
fn pair(address: SocketAddr) -> Result<(), String> {
    let page = match request(address, "/page", SOON) {
        Outcome::Answer(answer) => answer,
        other => return Err(format!("no page but {other:?}")),
    };
    let line = |word: &str| {
        let found = page.body.lines().find_map(|line| line.strip_prefix(word));
        found.map(str::to_owned).ok_or(format!("a page: {page:?}"))
    };
    let (version, asset) = (line("version ")?, line("asset ")?);
    if version != page.version {
        return Err(format!("{} shows a page of {version}", page.version));
    }
    match request(address, &asset, SOON) {
        Outcome::Answer(answer) if answer.body == format!("asset of {version}\n") => Ok(()),
        other => Err(format!("{asset} of {version} is {other:?}")),
    }
}

/// Ends the clients, also where the test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_page_and_its_assets_are_of_one_version_while_versions_change() {
    let app = bringing("paired")
        .with("keepGenerations", json!(3))
        .serve(&Behaviour::version("v1"));
    let (over, pairs) = (AtomicBool::new(false), AtomicUsize::new(0));
    let address = app.address();
    let wrong = thread::scope(|scope| {
        let ending = Over(&over);
        let client = || {
            let mut wrong = Vec::new();
            while !over.load(Ordering::Relaxed) {
                wrong.extend(pair(address).err());
                pairs.fetch_add(1, Ordering::Relaxed);
            }
            wrong
        };
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        let met = |before: usize| {
            wait_until(
                "enough pairs were asked for",
                Duration::from_secs(60),
                || (pairs.load(Ordering::Relaxed) >= before + PAIRS).then_some(()),
            );
        };
        for round in 2..12_u32 {
            let version = format!("v{round}");
            let before = pairs.load(Ordering::Relaxed);
            reload(&app, &version);
            met(before);
            let before = pairs.load(Ordering::Relaxed);
            let _ = app.portkeep("rollback", &[]).expect_success();
            app.wait_for_version("v1", SOON);
            met(before);
            // What was rolled back is not what `rollback` goes back to.
            expect_page(&app, "v1");
        }
        drop(ending);
        let wrong = clients
            .into_iter()
            .flat_map(|client| client.join().unwrap());
        wrong.collect::<Vec<_>>()
    });
    let pairs = pairs.load(Ordering::Relaxed);
    assert!(
        wrong.is_empty(),
        "{} of {pairs} pairs: {wrong:?}",
        wrong.len()
    );
    assert!(pairs >= 20 * PAIRS, "{pairs} pairs");
}

#[test]
fn files_come_back_with_their_executable() {
    let app = bringing("files-back").serve(&Behaviour::version("v1"));
    expect_page(&app, "v1");
    reload(&app, "v2");
    expect_page(&app, "v2");
    let _ = app.portkeep("rollback", &[]).expect_success();
    app.wait_for_version("v1", SOON);
    expect_page(&app, "v1");
    // An open page of the other one gets what it names.
    let asset = app.get(&format!("/assets/{}", asset("v2")));
    assert_eq!(
        (asset.version.as_str(), asset.body.as_str()),
        ("v1", "asset of v2\n")
    );
    // A file alone makes a new release; and nothing, none.
    write_files(app.directory(), "v3");
    app.reload();
    app.wait_for_only(&app.unit("@4.service"), SOON);
    assert!(app.get("/page").body.starts_with("version v3\n"));
    app.reload();
    app.wait_for_only(&app.unit("@4.service"), SOON);
    // What is rewritten where it is, without a reload, is not seen by what runs.
    fs::write(app.directory().join("web/page.html"), "another").unwrap();
    assert!(app.get("/page").body.starts_with("version v3\n"));
    // Nor after a crash.
    app.kill_and_wait("@4.service", "KILL");
    assert!(app.get("/page").body.starts_with("version v3\n"));
}

#[test]
fn where_a_generation_finds_its_files() {
    let app = bringing("files-where")
        .with("workingDirectory", json!("/"))
        .serve(&Behaviour::version("v1"));
    assert_eq!(app.request("/page"), Outcome::Status(404), "it runs in /");
    let told = app.get("/env/PORTKEEP_RELEASE_DIR").body;
    let directory: PathBuf = serde_json::from_str(&told).unwrap();
    assert!(
        directory.starts_with(app.state_directory().join("releases")),
        "{told}"
    );
    let page = fs::read_to_string(directory.join("page.html")).unwrap();
    assert!(page.starts_with("version v1\n"));
    let tried = app.get(&format!("/try/write?path={}", directory.display()));
    assert_ne!(tried.body, "ok", "an app does not change its release");
    // An app that brings nothing is told of no directory.
    app.install_again(&[("files", json!([])), ("filesFrom", json!(null))]);
    wait_until("it is served without files", SOON, || {
        (app.get("/env/PORTKEEP_RELEASE_DIR").body == "null").then_some(())
    });
}

#[test]
fn files_of_a_release_that_is_gone_stay_as_long_as_the_spec_says() {
    let app = bringing("files-kept")
        .with("keepGenerations", json!(1))
        .with("keepFiles", json!("1h"))
        .serve(&Behaviour::version("v1"));
    let old = format!("/assets/{}", asset("v1"));
    for version in ["v2", "v3", "v4"] {
        reload(&app, version);
        app.wait_for_only_one();
    }
    assert_eq!(app.get(&old).body, "asset of v1\n");
    app.portkeep("rollback", &["1"])
        .expect_failure()
        .expect_mention(&["is gone"]);
    let releases = || {
        fs::read_dir(app.state_directory().join("releases"))
            .unwrap()
            .count()
    };
    assert_eq!(releases(), 4);
    // The next handover after that time takes them.
    app.install_again(&[("keepFiles", json!("1ms"))]);
    reload(&app, "v5");
    app.wait_for_only_one();
    reload(&app, "v6");
    app.wait_for_only_one();
    assert_eq!(app.request(&old), Outcome::Status(404));
}

#[test]
fn what_cannot_be_brought_changes_nothing_and_is_named() {
    let app = bringing("files-bad").serve(&Behaviour::version("v1"));
    let bad = app.directory().join("web/assets/bad");
    let releases = || {
        let entries = fs::read_dir(app.state_directory().join("releases")).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = releases();
    let refused = |words: &[&str]| {
        let told = app.portkeep("reload", &[]).expect_failure();
        assert_eq!(told.code, Some(1), "{told}");
        for word in words.iter().chain([&bad.to_str().unwrap()]) {
            told.expect_mention(&[word]);
        }
        assert_eq!(releases(), before, "{told}");
        expect_page(&app, "v1");
    };
    let listener = UnixListener::bind(&bad).unwrap();
    refused(&["a socket"]);
    drop(listener);
    fs::remove_file(&bad).unwrap();
    let kind = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, &bad, kind, 0o644.into(), 0).unwrap();
    refused(&["a FIFO"]);
    fs::remove_file(&bad).unwrap();
    for (target, word) in [
        ("/etc/passwd", "leads out of"),
        ("../../../..", "leads out of"),
        ("bad", "a loop"),
        (".", "a loop"),
        ("/dev/zero", "leads out of"),
        ("nowhere", "not one of the `files`"),
    ] {
        symlink(target, &bad).unwrap();
        refused(&[word]);
        fs::remove_file(&bad).unwrap();
    }
    File::create(&bad).unwrap().set_len(10 << 30).unwrap();
    refused(&["more than 1G together", "filesMaxSize"]);
    fs::remove_file(&bad).unwrap();
    fs::create_dir(&bad).unwrap();
    for number in 0..100_000_u32 {
        rustix::fs::mknodat(
            rustix::fs::CWD,
            bad.join(number.to_string()),
            rustix::fs::FileType::RegularFile,
            0o644.into(),
            0,
        )
        .unwrap();
    }
    refused(&["more than 10000", "filesMaxCount"]);
    fs::remove_dir_all(&bad).unwrap();
    reload(&app, "v2");
    expect_page(&app, "v2");
}

#[test]
fn one_that_is_written_all_the_while_is_named() {
    let app = bringing("files-written").serve(&Behaviour::version("v1"));
    let path = app.directory().join("web/assets/log");
    // It takes longer to copy than to write into.
    fs::write(&path, vec![b'x'; 16 << 20]).unwrap();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let _over = Over(&over);
        scope.spawn(|| {
            let file = File::options().write(true).open(&path).unwrap();
            for at in 0.. {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                file.write_at(b"y", at % (16 << 20)).unwrap();
            }
        });
        // Whoever writes may be held up for as long as a copy takes.
        let told = wait_until("a reload is refused", Duration::from_secs(120), || {
            let told = app.portkeep("reload", &[]);
            (told.code != Some(0)).then_some(told)
        });
        told.expect_mention(&["is still being written"]);
        told.expect_mention(&[path.to_str().unwrap()]);
        expect_page(&app, "v1");
    });
    app.reload();
}

#[test]
fn root_brings_nothing_that_its_owner_may_not_read() {
    if Manager::of_this_process() != Manager::System {
        return;
    }
    let deploy = OtherUser::named("deploy");
    let app = bringing("files-owned").serve(&Behaviour::version("v1"));
    deploy.owns(app.directory());
    reload(&app, "v2");
    let secret = app.directory().join("web/assets/secret");
    fs::write(&secret, "PASSWORD=of-root").unwrap();
    let set =
        |mode| fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(mode));
    set(0o600).unwrap();
    let told = app.portkeep("reload", &[]).expect_failure();
    told.expect_mention(&[secret.to_str().unwrap()]);
    told.expect_mention(&["deploy", "may not read"]);
    expect_page(&app, "v2");
    // What he may read and the app may not, is told before it is started.
    deploy.owns(&secret);
    let told = app.portkeep("reload", &[]).expect_failure();
    told.expect_mention(&[secret.to_str().unwrap()]);
    told.expect_mention(&["pk-files-owned", "may not read"]);
    expect_page(&app, "v2");
    set(0o644).unwrap();
    app.reload();
    app.wait_for_only(&app.unit("@3.service"), SOON);
}
