//! `portkeep install` is all or nothing, and `uninstall` leaves nothing of ours.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use portkeep_tests::command::{Finished, run};
use portkeep_tests::{App, Behaviour, Manager, Mode, Outcome, request};
use serde_json::{Value, json};

/// Where `install` places units, and specs.
fn places(manager: Manager) -> [PathBuf; 2] {
    match manager {
        Manager::System => ["/etc/systemd/system", "/etc/portkeep"].map(PathBuf::from),
        Manager::User => {
            let home = PathBuf::from(std::env::var_os("HOME").unwrap());
            [
                home.join(".config/systemd/user"),
                home.join(".config/portkeep"),
            ]
        }
    }
}

/// Everything that an install writes: each path with its contents, its inode and its times.
fn placed(manager: Manager) -> Vec<String> {
    let state = manager.state_directory();
    let [units, specs] = places(manager);
    let mut found = [units, specs]
        .iter()
        .flat_map(|directory| below(directory))
        .collect::<Vec<_>>();
    // Releases and histories come and go; which apps and helpers there are does not.
    for directory in [
        state.clone(),
        state.join(".helper"),
        manager.run_directory(),
    ] {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        let paths = entries
            .map(|entry| entry.path())
            .filter(|path| !path.ends_with(".lock"));
        found.extend(paths.map(|path| path.display().to_string()));
    }
    found.sort();
    found
}

fn below(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let (path, metadata) = (entry.path(), entry.metadata().unwrap());
        if metadata.is_dir() {
            found.extend(below(&path));
            continue;
        }
        let text = fs::read_to_string(&path).unwrap_or_default();
        let (inode, time) = (metadata.ino(), metadata.mtime_nsec());
        found.push(format!("{} {inode} {time} {text:?}", path.display()));
    }
    found
}

fn spec_file(directory: &Path, name: &str, fields: &Value) -> String {
    let mut spec = json!({ "name": name, "exec": ["/bin/true"] });
    spec.as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    let path = directory.join(format!("{name}.json"));
    fs::write(&path, spec.to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

fn listens(port: u16) -> Value {
    json!({ "listen": [{ "stream": format!("127.0.0.1:{port}") }] })
}

fn install(manager: Manager, words: &[&str]) -> Finished {
    run("portkeep", [&["install", manager.flag()], words].concat())
}

#[test]
fn a_port_that_is_held_is_named_and_nothing_changes() {
    let manager = Manager::of_this_process();
    let directory = tempfile::tempdir().unwrap();
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port();
    let free = spec_file(directory.path(), "free-port", &listens(8180));
    let busy = spec_file(directory.path(), "busy-port", &listens(port));
    let before = placed(manager);
    let refused = install(manager, &["--now", &free, &busy]);
    assert_eq!(refused.code, Some(1), "{refused}");
    refused.expect_mention(&[&format!("process {}", std::process::id())]);
    assert_eq!(placed(manager), before);
    let units = manager.systemctl(&[
        "list-units",
        "--all",
        "--no-legend",
        "free-port*",
        "busy-port*",
    ]);
    assert_eq!(units.stdout, "");
    let refused = request(([127, 0, 0, 1], 8180).into(), "/", Duration::from_secs(1));
    assert_eq!(refused, Outcome::Refused);
}

#[test]
fn an_app_that_does_not_take_its_new_version_takes_everything_back() {
    let manager = Manager::of_this_process();
    let app = App::named("steadfast").serve(&Behaviour::version("v1"));
    let directory = tempfile::tempdir().unwrap();
    let newcomer = spec_file(directory.path(), "newcomer", &listens(8180));
    let spec = app.directory().join("portkeep.json");
    let mut changed: Value = serde_json::from_slice(&fs::read(&spec).unwrap()).unwrap();
    changed["drainTimeout"] = json!("7s");
    let changed = spec_file(directory.path(), "steadfast", &changed);
    app.publish(&Behaviour::version("v2").mode(Mode::Exit));
    let before = placed(manager);
    let watcher = app.watch();
    // The relative path of its executable is that of its own directory.
    let text = fs::read_to_string(&changed).unwrap();
    let executable = app.executable();
    let text = text.replace("\"./app\"", &format!("{executable:?}"));
    fs::write(&changed, text).unwrap();
    let failed = install(manager, &["--now", &newcomer, &changed]);
    assert_eq!(failed.code, Some(1), "{failed}");
    failed.expect_mention(&["steadfast does not serve it"]);
    assert_eq!(placed(manager), before);
    watcher.finish().expect_lossless();
    assert_eq!(app.get("/").version, "v1");
    let drain = manager.property(&app.unit("@1.service"), "TimeoutStopUSec");
    assert_eq!(drain, "30s", "the units of before are loaded");
    let units = manager.systemctl(&["list-units", "--all", "--no-legend", "newcomer*"]);
    assert_eq!(units.stdout, "");
    // And it is as good as before.
    app.publish(&Behaviour::version("v3"));
    app.reload();
    app.wait_for_version("v3", Duration::from_secs(10));
}

#[test]
fn one_wrong_spec_of_many_changes_nothing_and_all_errors_are_told() {
    let manager = Manager::of_this_process();
    let directory = tempfile::tempdir().unwrap();
    let specs: Vec<String> = (0..500)
        .map(|number| {
            let mut fields = listens(10_000 + number);
            match number {
                77 => fields["startTimeout"] = json!(30),
                333 => fields["listen"] = json!([{ "stream": "127.0.0.1:99999" }]),
                _ => {}
            }
            spec_file(directory.path(), &format!("crowd-{number}"), &fields)
        })
        .collect();
    let before = placed(manager);
    let words: Vec<&str> = ["--now"]
        .into_iter()
        .chain(specs.iter().map(String::as_str))
        .collect();
    let refused = install(manager, &words);
    assert_eq!(refused.code, Some(2), "{refused}");
    for (file, why) in [
        ("crowd-77.json", "startTimeout"),
        ("crowd-333.json", "99999"),
    ] {
        let mut lines = refused.stderr.lines();
        assert!(
            lines.any(|line| line.contains(file) && line.contains(why)),
            "{refused}"
        );
    }
    assert_eq!(refused.stderr.matches(".json").count(), 2, "{refused}");
    assert_eq!(placed(manager), before);
}

#[test]
fn what_would_change_is_shown_and_does_not_change() {
    let manager = Manager::of_this_process();
    let app = App::named("shown").serve(&Behaviour::version("v1"));
    let spec = app.directory().join("portkeep.json");
    let mut changed: Value = serde_json::from_slice(&fs::read(&spec).unwrap()).unwrap();
    changed["drainTimeout"] = json!("7s");
    fs::write(&spec, changed.to_string()).unwrap();
    let before = placed(manager);
    let shown = install(manager, &["--dry-run", spec.to_str().unwrap()]).expect_success();
    for line in [
        "-TimeoutStopSec=30s",
        "+TimeoutStopSec=7s",
        "shown: would hand over",
    ] {
        assert!(
            shown.stdout.lines().any(|one| one == line),
            "{line}: {shown}"
        );
    }
    assert_eq!(placed(manager), before);
    assert_eq!(app.generations(), [app.unit("@1.service")]);
    // Carried out, it is what was shown, and the app runs by it.
    let _ = install(manager, &[spec.to_str().unwrap()]).expect_success();
    let again = install(manager, &["--dry-run", spec.to_str().unwrap()]).expect_success();
    again.expect_mention(&["its units are as they should be"]);
}

#[test]
fn another_listener_is_opened_beside_those_that_are_open() {
    let manager = Manager::of_this_process();
    let http = json!({ "name": "http", "stream": "127.0.0.1:8080" });
    let app = App::named("growing")
        .with("listen", json!([http]))
        .serve(&Behaviour::version("v1"));
    let watcher = app.watch();
    let more = json!({ "name": "more", "stream": "127.0.0.1:8081" });
    app.install_again(&[("listen", json!([http, more]))]);
    let second = || request(([127, 0, 0, 1], 8081).into(), "/", Duration::from_secs(10));
    assert_eq!(second().version(), Some("v1"));
    // It is called otherwise, and stays open.
    let other = json!({ "name": "other", "stream": "127.0.0.1:8081" });
    app.install_again(&[("listen", json!([http, other]))]);
    assert_eq!(second().version(), Some("v1"));
    assert_eq!(
        manager.property(&app.unit("-other.socket"), "ActiveState"),
        "active"
    );
    assert_eq!(
        manager.property(&app.unit("-more.socket"), "LoadState"),
        "not-found"
    );
    watcher.finish().expect_lossless();
    // Elsewhere it cannot listen while it is open.
    let spec = app.directory().join("portkeep.json");
    let mut moved: Value = serde_json::from_slice(&fs::read(&spec).unwrap()).unwrap();
    moved["listen"] = json!([http, { "name": "other", "stream": "127.0.0.1:8082" }]);
    fs::write(&spec, moved.to_string()).unwrap();
    let before = placed(manager);
    let refused = install(manager, &["--now", spec.to_str().unwrap()]);
    assert_eq!(refused.code, Some(1), "{refused}");
    refused.expect_mention(&["is open at 127.0.0.1:8081"]);
    assert_eq!(placed(manager), before);
    assert_eq!(second().version(), Some("v1"));
}

#[test]
fn a_plain_unit_of_the_administrators_is_not_overwritten() {
    let manager = Manager::of_this_process();
    let [units, _] = places(manager);
    fs::create_dir_all(&units).unwrap();
    let plain = units.join("plainly.service");
    fs::write(&plain, "[Service]\nExecStart=/bin/true\n").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let spec = spec_file(directory.path(), "plainly", &listens(8180));
    let before = placed(manager);
    let refused = install(manager, &[&spec]);
    let after = placed(manager);
    fs::remove_file(&plain).unwrap();
    assert_eq!(refused.code, Some(2), "{refused}");
    refused.expect_mention(&["plainly.service has a name"]);
    assert_eq!(after, before);
}

#[test]
fn uninstall_tells_what_of_the_operators_it_leaves() {
    let manager = Manager::of_this_process();
    let [units, _] = places(manager);
    let environment = manager.apps_directory().join("leaving.env");
    fs::create_dir_all(environment.parent().unwrap()).unwrap();
    fs::write(&environment, "A=b\n").unwrap();
    let app = App::named("leaving")
        .with("environmentFiles", json!([environment]))
        .serve(&Behaviour::version("v1"));
    let drop_in = units.join("leaving@.service.d/60-mine.conf");
    fs::create_dir_all(drop_in.parent().unwrap()).unwrap();
    fs::write(&drop_in, "[Service]\nNice=1\n").unwrap();
    let unknown = run(
        "portkeep",
        ["uninstall", manager.flag(), "leaving", "unknown"],
    );
    assert_eq!(unknown.code, Some(2), "{unknown}");
    assert_eq!(app.get("/").version, "v1", "nothing was changed");
    let removed = app.portkeep("uninstall", &[]).expect_success();
    for path in [&environment, &drop_in] {
        assert!(path.exists());
        assert!(removed.stdout.contains(path.to_str().unwrap()), "{removed}");
    }
    fs::remove_file(&environment).unwrap();
    fs::remove_dir_all(drop_in.parent().unwrap()).unwrap();
    // Dropped, it is uninstalled once more.
    let spec = app.directory().join("portkeep.json");
    fs::write(&environment, "A=b\n").unwrap();
    let _ = install(manager, &[spec.to_str().unwrap()]).expect_success();
    drop(app);
    fs::remove_file(&environment).unwrap();
}

#[test]
fn two_installs_at_once_are_one_after_the_other() {
    let manager = Manager::of_this_process();
    let directory = tempfile::tempdir().unwrap();
    let specs: Vec<_> = (0..4)
        .map(|number| {
            spec_file(
                directory.path(),
                &format!("rival-{number}"),
                &listens(8180 + number),
            )
        })
        .collect();
    std::thread::scope(|scope| {
        let calls: Vec<_> = specs
            .iter()
            .map(|spec| scope.spawn(move || install(manager, &["--now", spec])))
            .collect();
        for call in calls {
            let _ = call.join().unwrap().expect_success();
        }
    });
    let names: Vec<_> = (0..4).map(|number| format!("rival-{number}")).collect();
    for name in &names {
        assert_eq!(
            manager.property(&format!("{name}.socket"), "ActiveState"),
            "active"
        );
    }
    let words = ["uninstall", manager.flag()].into_iter();
    let _ = run("portkeep", words.chain(names.iter().map(String::as_str))).expect_success();
}
