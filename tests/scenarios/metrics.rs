//! Metrics: what happens is counted, no counter ever falls, and a timer writes a file for node_exporter.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use portkeep_tests::command::{Finished, run};
use portkeep_tests::{App, Behaviour, Manager, Mode, wait_until};

const SOON: Duration = Duration::from_secs(30);

/// All counters of an app, by their names and labels.
pub(crate) type Counters = BTreeMap<String, f64>;

/// What `portkeep metrics` prints of an app.
pub(crate) fn text(manager: Manager, name: &str) -> String {
    let told = run("portkeep", ["metrics", manager.flag(), name]);
    told.expect_success().stdout
}

pub(crate) fn counters(text: &str) -> Counters {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let counters = samples.filter(|line| {
        line.split('{')
            .next()
            .unwrap_or_default()
            .ends_with("_total")
    });
    counters
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

/// Fails where a counter has fallen, or is gone.
#[track_caller]
pub(crate) fn expect_none_fell(before: &Counters, after: &Counters) {
    for (name, value) in before {
        let now = after.get(name);
        assert!(now >= Some(value), "{name} was {value} and is {now:?}");
    }
}

fn of(app: &App) -> Counters {
    counters(&text(app.manager(), &app.unit("")))
}

/// The sum of the counters of that name, with those labels.
fn sum(counters: &Counters, name: &str, labels: &[&str]) -> f64 {
    let found = counters.iter().filter(|(sample, _)| {
        sample.starts_with(&format!("{name}{{"))
            && labels.iter().all(|label| sample.contains(label))
    });
    found.map(|(_, value)| value).sum()
}

#[test]
fn what_happens_is_counted_and_no_counter_falls() {
    let app = App::named("counted").serve(&Behaviour::version("v1"));
    let answered = |counters: &Counters| sum(counters, "portkeep_requests_answered_total", &[]);
    for _ in 0..20 {
        let _ = app.get("/");
    }
    let mut before = of(&app);
    let mut check = |now: &Counters| {
        expect_none_fell(&before, now);
        before.clone_from(now);
    };
    wait_until("its requests are counted", SOON, || {
        (answered(&of(&app)) >= 20.0).then_some(())
    });
    for version in ["v2", "v3"] {
        app.publish(&Behaviour::version(version));
        app.reload();
        // In the moment in which the old generation ends, too.
        for _ in 0..5 {
            check(&of(&app));
        }
        app.wait_for_only_one();
        check(&of(&app));
    }
    app.publish(&Behaviour::version("bad").mode(Mode::Exit));
    let _ = app.systemctl("reload").expect_failure();
    app.kill_and_wait("@3.service", "KILL");
    let _ = app.portkeep("rollback", &[]).expect_success();
    let now = wait_until("all of it is counted", SOON, || {
        let now = of(&app);
        check(&now);
        let drained = sum(&now, "portkeep_drains_total", &["finished"]);
        (drained >= 3.0).then_some(now)
    });
    for (name, labels, value) in [
        ("portkeep_handovers_total", &["handed-over"][..], 4.0),
        ("portkeep_handovers_total", &["failed"], 1.0),
        ("portkeep_crashes_total", &["restart"], 1.0),
        ("portkeep_rollbacks_total", &["asked"], 1.0),
        ("portkeep_rollbacks_total", &["fell-back"], 0.0),
        ("portkeep_holding_seconds_total", &[], 0.0),
    ] {
        let found = sum(&now, name, labels);
        assert!(
            (found - value).abs() < 1e-9,
            "{name} {labels:?} is {found}: {now:#?}"
        );
    }
    assert!(answered(&now) >= 20.0, "{now:#?}");
    assert!(sum(&now, "portkeep_handover_step_seconds_total", &["start"]) > 0.0);
    let text = text(app.manager(), "counted");
    assert!(text.ends_with("# EOF\n"), "{text}");
    assert!(text.contains("portkeep_serving{app=\"counted\""), "{text}");
    let prometheus = app
        .portkeep("metrics", &["--format", "prometheus"])
        .expect_success();
    assert!(
        prometheus
            .stdout
            .contains("# TYPE portkeep_handovers_total counter"),
        "{prometheus}"
    );
}

/// A directory that only whoever runs the test may write.
fn textfiles(manager: Manager) -> PathBuf {
    let directory = manager.apps_directory().join("textfiles");
    fs::create_dir_all(&directory).unwrap();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

fn install(app: &App, textfiles: &Path) -> Finished {
    let spec = app.directory().join("portkeep.json");
    let (spec, textfiles) = (spec.to_string_lossy(), textfiles.to_string_lossy());
    let flag = app.manager().flag();
    run(
        "portkeep",
        [
            "install",
            flag,
            "--spec",
            &spec,
            "--metrics",
            "--textfile",
            &textfiles,
        ],
    )
}

#[test]
fn a_timer_writes_a_file_and_a_directory_that_is_not_there_changes_nothing() {
    let app = App::named("timed").serve(&Behaviour::version("v1"));
    let manager = app.manager();
    let timer = || manager.property("portkeep-metrics.timer", "ActiveState");
    let missing = manager.apps_directory().join("no-such-directory");
    let refused = install(&app, &missing);
    assert_eq!(refused.code, Some(2), "{refused}");
    refused.expect_mention(&["no-such-directory is not there"]);
    let path = missing.to_string_lossy().into_owned();
    let refused = app.portkeep("metrics", &["--textfile", &path]);
    assert_eq!(refused.code, Some(2), "{refused}");
    assert!(!missing.exists());
    assert_eq!(
        manager.property("portkeep-metrics.timer", "LoadState"),
        "not-found"
    );

    let directory = textfiles(manager);
    let _ = install(&app, &directory).expect_success();
    assert_eq!(timer(), "active");
    let is_metrics = |path: &PathBuf| path.extension().is_some_and(|end| end == "prom");
    let written = || {
        let entries = fs::read_dir(&directory).unwrap().flatten();
        entries.map(|entry| entry.path()).find(is_metrics)
    };
    let file = wait_until("the file is written", SOON, written);
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("portkeep_generation{app=\"timed\""), "{text}");
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o7777,
        0o644
    );
    let inode = fs::metadata(&file).unwrap().ino();
    wait_until("it is replaced, and not written into", SOON, || {
        (fs::metadata(&file).ok()?.ino() != inode).then_some(())
    });
    // A second install leaves it as it is.
    app.install_again(&[]);
    assert_eq!(timer(), "active");
    drop(app);
    assert_eq!(
        manager.property("portkeep-metrics.timer", "LoadState"),
        "not-found"
    );
    assert_eq!(
        fs::read_to_string(&file).unwrap(),
        "",
        "what was so last is told for ever"
    );
    fs::remove_dir_all(directory).unwrap();
}

/// Debian's directory for such files belongs to the user of the collector.
#[test]
fn a_directory_of_another_user_is_written_by_that_user() {
    let app = App::named("handed").serve(&Behaviour::version("v1"));
    if app.manager() == Manager::User {
        let told = app
            .portkeep("metrics", &["--textfile", "/etc"])
            .expect_failure();
        told.expect_mention(&["/etc"]);
        return;
    }
    let directory = textfiles(app.manager());
    let path = directory.to_string_lossy().into_owned();
    chown(&directory, Some(1000), Some(1000)).unwrap();
    // He would have root write over what is root's.
    let victim = Path::new("/etc/motd-of-a-test");
    fs::write(victim, "root's").unwrap();
    std::os::unix::fs::symlink(victim, directory.join("portkeep.prom")).unwrap();
    let _ = app
        .portkeep("metrics", &["--textfile", &path])
        .expect_success();
    let file = fs::symlink_metadata(directory.join("portkeep.prom")).unwrap();
    assert!(file.is_file());
    assert_eq!(file.uid(), 1000);
    assert_eq!(fs::read_to_string(victim).unwrap(), "root's");
    fs::remove_file(victim).unwrap();
    // Where he may not write himself, nobody writes for him.
    chown(&directory, Some(0), Some(0)).unwrap();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).unwrap();
    let told = app
        .portkeep("metrics", &["--textfile", &path])
        .expect_failure();
    told.expect_mention(&["everybody"]);
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_trace_has_the_steps_of_a_handover() {
    let app = App::named("traced").serve(&Behaviour::version("v1"));
    let told = app.portkeep("history", &["1", "--trace"]).expect_success();
    let trace: serde_json::Value = serde_json::from_str(&told.stdout).unwrap();
    let spans = trace["resourceSpans"][0]["scopeSpans"][0]["spans"]
        .as_array()
        .unwrap();
    assert!(
        spans.iter().any(|span| span["name"] == "start"),
        "{trace:#}"
    );
    let unknown = run("portkeep", ["metrics", app.manager().flag(), "nobody"]);
    assert_eq!(unknown.code, Some(2), "{unknown}");
    unknown.expect_mention(&["nobody is not installed"]);
    let missing = app.portkeep("history", &["99", "--trace"]);
    assert_eq!(missing.code, Some(2), "{missing}");
    missing.expect_mention(&["no handover to generation 99"]);
}
