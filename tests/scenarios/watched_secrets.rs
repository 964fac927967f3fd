//! Secrets that change hand over by themselves: as agenix and sops-nix replace them, as people edit them, and never for nothing.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use portkeep_tests::command::run;
use portkeep_tests::{App, AppBuilder, Behaviour, Manager, Outcome, wait_until};
use serde_json::json;

const SOON: Duration = Duration::from_secs(10);

/// A directory of secrets, outside of any home.
struct Secrets(PathBuf);

impl Secrets {
    fn of(name: &str) -> Self {
        let root = Manager::of_this_process().apps_directory();
        let directory = root.join(format!("{name}-secrets"));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).expect("it can be made");
        fs::set_permissions(&directory, Permissions::from_mode(0o755)).expect("it can be opened");
        Self(directory)
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }

    /// A generation of secrets, as agenix and sops-nix make them: a new directory, and the link swapped.
    fn swap(&self, number: u32, token: &str) {
        let directory = self.at(&format!("run.d/{number}"));
        fs::create_dir_all(&directory).expect("it can be made");
        write(&directory.join("app.env"), token);
        let link = self.at("run.new");
        symlink(&directory, &link).expect("it can be linked");
        fs::rename(link, self.at("run")).expect("it can be swapped");
    }

    fn app(&self, name: &str, file: &Path) -> AppBuilder {
        App::named(name)
            .with("environmentFiles", json!([file]))
            .with("watchSecrets", json!(true))
    }
}

impl Drop for Secrets {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn write(file: &Path, token: &str) {
    fs::write(file, format!("TOKEN={token}\n")).expect("it can be written");
}

fn replace(file: &Path, token: &str) {
    let next = file.with_extension("next");
    write(&next, token);
    fs::rename(next, file).expect("it can be renamed");
}

#[track_caller]
fn wait_for_token(app: &App, token: &str) {
    let expected = format!("{token:?}");
    wait_until(&format!("{token} is used"), SOON, || {
        let Outcome::Answer(answer) = app.request("/env/TOKEN") else {
            return None;
        };
        (answer.body.trim() == expected).then_some(())
    });
    app.wait_for_only_one();
}

/// The numbers of handovers that a secret asked for.
fn handovers(app: &App) -> usize {
    let by_secrets = |event: &&serde_json::Value| event["purpose"] == "secrets";
    app.history().iter().filter(by_secrets).count()
}

/// Waits until nobody looks at the secrets any more.
fn settled(app: &App) {
    wait_until("nobody looks", SOON, || {
        let busy = ["-secrets.service", "-secrets-recheck.service"].map(|suffix| {
            let state = app.manager().property(&app.unit(suffix), "ActiveState");
            state == "activating"
        });
        (busy == [false, false]).then_some(())
    });
}

#[test]
fn a_swapped_link_on_the_way_is_seen() {
    let secrets = Secrets::of("swapped");
    secrets.swap(1, "one");
    // As sops-nix does where a path is given: the file is a link, and what it leads through is swapped.
    fs::create_dir(secrets.at("etc")).expect("it can be made");
    symlink(secrets.at("run/app.env"), secrets.at("etc/app.env")).expect("it can be linked");
    let app = secrets
        .app("swapped", &secrets.at("etc/app.env"))
        .serve(&Behaviour::version("v1"));
    wait_for_token(&app, "one");
    let watcher = app.watch();
    for (number, token) in [(2, "two"), (3, "three"), (4, "four")] {
        secrets.swap(number, token);
        wait_for_token(&app, token);
    }
    // The same contents in other files. What came before has to be in the history.
    settled(&app);
    let before = handovers(&app);
    secrets.swap(5, "four");
    thread::sleep(Duration::from_millis(600));
    settled(&app);
    assert_eq!(handovers(&app), before, "{:#?}", app.history());
    secrets.swap(6, "six");
    wait_for_token(&app, "six");
    watcher.finish().expect_lossless();
}

#[test]
fn a_file_that_is_replaced_written_or_comes_back_is_seen() {
    let secrets = Secrets::of("replaced");
    let file = secrets.at("app.env");
    write(&file, "one");
    let app = secrets
        .app("replaced", &file)
        .serve(&Behaviour::version("v1"));
    let watcher = app.watch();
    replace(&file, "two");
    wait_for_token(&app, "two");
    write(&file, "three");
    wait_for_token(&app, "three");
    fs::remove_file(&file).expect("it is there");
    thread::sleep(Duration::from_millis(600));
    settled(&app);
    write(&file, "four");
    wait_for_token(&app, "four");
    // A handover for another reason does not end the watch.
    let _ = app.portkeep("reload", &["--force"]).expect_success();
    replace(&file, "five");
    wait_for_token(&app, "five");
    watcher.finish().expect_lossless();
    let journal = app.manager().journal(&app.unit("*"));
    for token in ["two", "three", "four", "five"] {
        let told = format!("TOKEN={token}");
        assert!(!journal.stdout.contains(&told), "{token} is in the journal");
    }
}

#[test]
fn many_changes_at_once_are_few_handovers() {
    let secrets = Secrets::of("many");
    let file = secrets.at("app.env");
    write(&file, "0");
    let app = secrets.app("many", &file).serve(&Behaviour::version("v1"));
    let watcher = app.watch();
    let before = handovers(&app);
    for number in 1..=50 {
        replace(&file, &number.to_string());
    }
    wait_for_token(&app, "50");
    settled(&app);
    let made = handovers(&app) - before;
    assert!((1..=4).contains(&made), "{made} handovers");
    watcher.finish().expect_lossless();
}

/// What was built meanwhile, and nobody asked for, is not taken; and it is taken by the next reload.
#[test]
fn a_new_secret_brings_no_new_build() {
    let secrets = Secrets::of("nobuild");
    let file = secrets.at("app.env");
    write(&file, "one");
    let app = secrets
        .app("nobuild", &file)
        .serve(&Behaviour::version("v1"));
    app.publish(&Behaviour::version("v2"));
    replace(&file, "two");
    wait_for_token(&app, "two");
    assert_eq!(app.get("/").version, "v1");
    // One more: what runs now is what was kept.
    replace(&file, "three");
    wait_for_token(&app, "three");
    assert_eq!(app.get("/").version, "v1");
    app.reload();
    app.wait_for_version("v2", SOON);
}

#[test]
fn a_secret_that_the_app_does_not_start_with_changes_nothing_and_is_tried_once() {
    let secrets = Secrets::of("badsecret");
    let file = secrets.at("app.env");
    write(&file, "one");
    let app = secrets
        .app("badsecret", &file)
        .with("startTimeout", json!("3s"))
        .serve(&Behaviour::version("v1"));
    let watcher = app.watch();
    // Its runtime does not start with that.
    fs::write(&file, "TOKEN=two\nTOKIO_WORKER_THREADS=0\n").expect("it can be written");
    wait_until("it is tried", SOON, || (handovers(&app) > 0).then_some(()));
    thread::sleep(Duration::from_millis(600));
    settled(&app);
    assert_eq!(handovers(&app), 1, "{:#?}", app.history());
    replace(&file, "three");
    wait_for_token(&app, "three");
    watcher.finish().expect_lossless();
}

/// Neither a stopped app nor one in maintenance is started by it, and a watch that is turned off has ended.
#[test]
fn it_starts_nothing_and_can_be_turned_off() {
    let secrets = Secrets::of("unwatched");
    let file = secrets.at("app.env");
    write(&file, "one");
    let app = secrets
        .app("unwatched", &file)
        .serve(&Behaviour::version("v1"));
    let _ = app.systemctl("stop").expect_success();
    replace(&file, "two");
    thread::sleep(Duration::from_millis(600));
    settled(&app);
    assert!(app.generations().is_empty());
    wait_for_token(&app, "two");
    app.settled();
    app.install_again(&[("watchSecrets", json!(false))]);
    let units = [
        "list-units",
        "--plain",
        "--no-legend",
        &app.unit("-secrets@*.path"),
    ];
    let listed = app.manager().systemctl(&units).expect_success();
    assert_eq!(listed.stdout.trim(), "");
    replace(&file, "three");
    thread::sleep(Duration::from_millis(600));
    assert_eq!(app.get("/env/TOKEN").body.trim(), "\"two\"");
}

/// Nothing of a secret is kept that others could read.
#[test]
fn what_is_kept_of_secrets_is_nobody_elses() {
    let secrets = Secrets::of("kept");
    let file = secrets.at("app.env");
    write(&file, "weak");
    let app = secrets.app("kept", &file).serve(&Behaviour::version("v1"));
    replace(&file, "stronger");
    wait_for_token(&app, "stronger");
    for directory in [app.run_directory(), app.state_directory()] {
        let directory = directory.to_string_lossy().into_owned();
        let found = run("grep", ["-rl", "stronger", &directory]);
        assert_eq!(found.code, Some(1), "{found}");
        let readable = ["-type", "f", "-perm", "/077", "-not", "-perm", "/111"];
        let words = [&[directory.as_str()], &readable[..]].concat();
        let readable = run("find", words).expect_success();
        assert_eq!(readable.stdout.trim(), "", "{readable}");
    }
}

/// A file that was missing, and a page meanwhile.
#[test]
fn a_missing_file_that_appears_is_served_with() {
    let secrets = Secrets::of("missing");
    let file = secrets.at("app.env");
    let app = secrets
        .app("missing", &file)
        .install(&Behaviour::version("v1"));
    app.wait_for_status(503, SOON);
    let begun = Instant::now();
    replace(&file, "one");
    wait_for_token(&app, "one");
    assert!(begun.elapsed() < SOON);
    app.settled();
    replace(&file, "two");
    wait_for_token(&app, "two");
}
