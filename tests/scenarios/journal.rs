//! The journal as an interface: each decision has an entry with an id and fields, and `journalctl -x` says what it means.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::time::Duration;

use portkeep_tests::command::run;
use portkeep_tests::{App, Behaviour, Manager, Mode, wait_until};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(30);

const HANDED_OVER: &str = "9e6be66cdf40457c823267303923134b";
const UNCHANGED: &str = "538a0c1c70914f89834b374817e9589e";
const FELL_BACK: &str = "c04e897207b7452d82edd78b16b701dc";
const HOLDING_PAGE: &str = "c1efc117e54842ca90f6205ff05aa406";
const FAILED: &str = "75f8309d684d4da6ac06cac13acca0c9";
const STARTED_AGAIN: &str = "30e5c6cb34de4e25beccf0e626352b11";
const GIVEN_UP: &str = "8a7b315a8747464d82c9c7c9a51619d8";
const DRAINED: &str = "27e663c66fbd44ecaa7bce735a8285cf";

/// What `journalctl` has for these words.
fn journal(app: &App, words: &[&str]) -> String {
    of_manager(app.manager(), words)
}

fn of_manager(manager: Manager, words: &[&str]) -> String {
    let mut all = vec!["--no-pager", "--quiet"];
    if manager == Manager::User {
        all.push("--user");
    }
    all.extend(words);
    run("journalctl", all).expect_success().stdout
}

/// The last entry of that kind, once it is there.
#[track_caller]
fn entry(app: &App, id: &str) -> Value {
    let of_app = format!("PORTKEEP_APP={}", app.unit(""));
    let id = format!("MESSAGE_ID={id}");
    let words = ["--output=json", &of_app, &id];
    wait_until(&format!("the journal has {id}"), SOON, || {
        let found = journal(app, &words);
        serde_json::from_str(found.lines().last()?).ok()
    })
}

/// All entries of that kind, of all boots.
pub(crate) fn entries(manager: Manager, name: &str, id: &str) -> Vec<Value> {
    let of_app = format!("PORTKEEP_APP={name}");
    let id = format!("MESSAGE_ID={id}");
    let found = of_manager(manager, &["--output=json", &of_app, &id]);
    let entries = found.lines().map(serde_json::from_str);
    entries.collect::<Result<_, _>>().unwrap()
}

#[track_caller]
pub(crate) fn expect(entry: &Value, fields: &[(&str, &str)]) {
    for (field, value) in fields {
        assert_eq!(entry[*field], *value, "{field} in {entry:#}");
    }
    for field in [
        "PORTKEEP_APP",
        "PORTKEEP_GENERATION",
        "PORTKEEP_RELEASE",
        "PORTKEEP_HANDOVER",
        "PORTKEEP_REASON",
    ] {
        assert!(entry[field].is_string(), "{field} is missing in {entry:#}");
    }
}

const TAKEN_OUT: &str = "82f15950c6a34e3298fbc1cca15865ae";
const PUT_BACK: &str = "8fa508cc13454a6d8d2e95831344bcb0";

#[test]
fn an_app_that_is_taken_out_and_put_back_has_entries() {
    let app = App::named("goes-and-comes").serve(&Behaviour::version("v1"));
    let _ = app.portkeep("drain", &["--grace", "7s"]).expect_success();
    let out = entry(&app, TAKEN_OUT);
    expect(
        &out,
        &[
            ("PORTKEEP_GENERATION", "1"),
            ("PORTKEEP_DECISION", "taken-out"),
            ("PORTKEEP_REASON", "somebody asked for that"),
        ],
    );
    let message = out["MESSAGE"].as_str().unwrap();
    assert!(message.contains("after 7s"), "{out:#}");
    // A second one changes nothing, so nothing is decided.
    let _ = app.portkeep("drain", &[]).expect_success();
    for _ in 0..2 {
        let _ = app.portkeep("undrain", &[]).expect_success();
    }
    expect(&entry(&app, PUT_BACK), &[("PORTKEEP_DECISION", "put-back")]);
    let of_app = "PORTKEEP_APP=goes-and-comes";
    for id in [TAKEN_OUT, PUT_BACK] {
        let words = ["--output=cat", of_app, &format!("MESSAGE_ID={id}")];
        assert_eq!(journal(&app, &words).lines().count(), 1, "{id}");
    }
}

#[test]
fn each_decision_has_an_entry() {
    let restart = json!({ "delay": "20ms", "rollbackAfter": 2 });
    let app = App::named("tells")
        .with("restart", restart)
        .with("label", json!("one"))
        .serve(&Behaviour::version("v1"));
    let began = entry(&app, HANDED_OVER);
    expect(
        &began,
        &[
            ("PORTKEEP_APP", "tells"),
            ("PORTKEEP_GENERATION", "1"),
            ("PORTKEEP_LABEL", "one"),
            ("PORTKEEP_DECISION", "handed-over"),
            ("SYSLOG_IDENTIFIER", "portkeep"),
        ],
    );
    let history = app.history();
    assert_eq!(began["PORTKEEP_HANDOVER"], history[0]["id"]);
    assert_eq!(began["PORTKEEP_RELEASE"], history[0]["digest"]);

    app.reload();
    expect(&entry(&app, UNCHANGED), &[("PORTKEEP_GENERATION", "1")]);

    app.publish(&Behaviour::version("bad").mode(Mode::Exit));
    let _ = app.systemctl("reload").expect_failure();
    let failed = entry(&app, FAILED);
    let reason = failed["PORTKEEP_REASON"].as_str().unwrap();
    assert!(reason.contains("status 3"), "{failed:#}");
    assert!(!reason.contains('\n'), "{failed:#}");

    // It serves for a moment, crashes too often, and is given up.
    app.publish(&Behaviour::version("v2").mode(Mode::SegvAfterReady {
        after: Duration::from_millis(200),
    }));
    app.reload();
    expect(&entry(&app, DRAINED), &[("PORTKEEP_GENERATION", "1")]);
    let crash = entry(&app, STARTED_AGAIN);
    expect(&crash, &[("PORTKEEP_CRASHES", "1")]);
    let given_up = entry(&app, GIVEN_UP);
    assert_eq!(
        given_up["PORTKEEP_GENERATION"],
        crash["PORTKEEP_GENERATION"]
    );
    assert_ne!(given_up["PORTKEEP_HANDOVER"], "-");
    expect(&entry(&app, FELL_BACK), &[("PORTKEEP_LABEL", "one")]);

    // `journalctl -u` finds them, whoever wrote them and however short he lived.
    let unit = match app.manager() {
        Manager::System => "--unit=tells.service",
        Manager::User => "--user-unit=tells.service",
    };
    let of_unit = run(
        "journalctl",
        ["--no-pager", "--quiet", "--output=json", unit],
    );
    for id in [HANDED_OVER, GIVEN_UP, FELL_BACK] {
        assert!(of_unit.stdout.contains(id), "{id} is missing in {of_unit}");
    }
}

/// The words of `doctor`, and of `journalctl -x`, however they are broken into lines.
fn words(text: &str) -> String {
    let text = text.replace('░', " ");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn journalctl_explains_it_in_the_words_of_doctor() {
    let app = App::named("explained").serve(&Behaviour::version("v1"));
    if app.manager() == Manager::User {
        // There is one database, and it is root's: the command says how it is placed.
        let path = app.directory().join("portkeep.json");
        let path = path.to_string_lossy();
        let told = run("portkeep", ["install", "--user", "--spec", &path]).expect_success();
        told.expect_mention(&["journalctl --update-catalog"]);
        return;
    }
    app.publish(&Behaviour::version("bad").mode(Mode::Exit));
    let _ = app.systemctl("reload").expect_failure();
    let _ = entry(&app, FAILED);
    let told = app.portkeep("doctor", &["--json"]);
    let told: Value = serde_json::from_str(&told.stdout).unwrap();
    let findings = told["findings"].as_array().unwrap();
    let finding = findings
        .iter()
        .find(|one| one["code"] == "last-handover-failed");
    let finding = finding.unwrap_or_else(|| panic!("{told:#}"));
    let id = format!("MESSAGE_ID={FAILED}");
    let explained = words(&journal(
        &app,
        &["--catalog", &id, "PORTKEEP_APP=explained"],
    ));
    let commands = finding["commands"].as_array().unwrap();
    for text in [&finding["what"], &finding["first"]]
        .into_iter()
        .chain(commands)
    {
        let text = words(text.as_str().unwrap());
        assert!(
            explained.contains(&text),
            "`{text}` is missing in: {explained}"
        );
    }

    let placed = std::path::Path::new("/usr/local/lib/systemd/catalog/portkeep.catalog");
    assert!(placed.exists());
    drop(app);
    assert!(!placed.exists(), "it is left after the last app is gone");
}

#[test]
fn nothing_to_serve_is_told() {
    let app = App::named("tells-page").install(&Behaviour::version("bad").mode(Mode::Exit));
    app.wait_for_status(503, SOON);
    let entry = entry(&app, HOLDING_PAGE);
    assert_eq!(entry["PRIORITY"], "3", "{entry:#}");
    let reason = entry["PORTKEEP_REASON"].as_str().unwrap();
    assert!(reason.contains("status 3"), "{entry:#}");
}
