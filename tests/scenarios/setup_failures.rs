//! What an app needs besides its executable is missing: the page is shown, the reason names it, nothing is blamed on the
//! release, and it serves as soon as it can.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use portkeep_tests::command::run;
use portkeep_tests::{App, Behaviour, Manager, wait_until};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(15);
/// A second is promised from what happened to the page, and from what was missing to the app; the machine may be busy.
const PROMPT: Duration = Duration::from_secs(3);

/// Something of the app's that can be taken away and given back.
struct Thing {
    fields: Vec<(&'static str, Value)>,
    take: Box<dyn Fn()>,
    give: Box<dyn Fn()>,
    /// What the reason says.
    named: String,
}

fn place(name: &str) -> PathBuf {
    let directory = Manager::of_this_process().apps_directory().join("things");
    fs::create_dir_all(&directory).expect("it can be made");
    fs::set_permissions(&directory, Permissions::from_mode(0o755)).expect("it can be opened");
    directory.join(name)
}

fn file(name: &str, field: &'static str, value: impl Fn(&str) -> Value) -> Thing {
    let path = place(name);
    let named = path.display().to_string();
    let (taken, given) = (path.clone(), path);
    Thing {
        fields: vec![(field, value(&named))],
        take: Box::new(move || {
            let _ = fs::remove_file(&taken);
        }),
        give: Box::new(move || fs::write(&given, "GREETING=hi\n").expect("it can be written")),
        named,
    }
}

fn working_directory() -> Thing {
    let path = place("work");
    let named = path.display().to_string();
    let (taken, given) = (path.clone(), path);
    Thing {
        fields: vec![("workingDirectory", json!(named))],
        take: Box::new(move || {
            let _ = fs::remove_dir(&taken);
        }),
        give: Box::new(move || fs::create_dir_all(&given).expect("it can be made")),
        named,
    }
}

fn writable_path() -> Thing {
    let path = place("data");
    let named = path.display().to_string();
    let (taken, given) = (path.clone(), path);
    Thing {
        fields: vec![("allow", json!({ "writablePaths": [named] }))],
        take: Box::new(move || {
            let _ = fs::remove_dir(&taken);
        }),
        give: Box::new(move || fs::create_dir_all(&given).expect("it can be made")),
        named,
    }
}

/// Only the system manager runs an app as somebody else.
fn user() -> Option<Thing> {
    (Manager::of_this_process() == Manager::System).then(|| Thing {
        fields: vec![("allow", json!({ "user": "appuser" }))],
        take: Box::new(|| drop(run("userdel", ["--force", "appuser"]))),
        give: Box::new(|| {
            drop(run("useradd", ["--system", "--no-create-home", "appuser"]).expect_success());
        }),
        named: "its user does not exist".to_owned(),
    })
}

fn things() -> Vec<Thing> {
    let environment = file("app.env", "environmentFiles", |path| json!([path]));
    let mut things = vec![environment, working_directory(), writable_path()];
    // A user's manager of systemd 252 passes no credentials into a sandbox.
    if Manager::of_this_process() == Manager::System {
        let token = file("token", "credentials", |path| json!({ "token": path }));
        things.push(token);
    }
    things.extend(user());
    things
}

fn app(name: &str, thing: &Thing) -> portkeep_tests::AppBuilder {
    let app = App::named(name).with("restart", json!({ "delay": "50ms" }));
    let fields = thing.fields.iter().cloned();
    fields.fold(app, |app, (field, value)| app.with(field, value))
}

#[track_caller]
fn expect_page_with_reason(app: &App, thing: &Thing, begun: Instant) {
    app.wait_for_status(503, SOON);
    let took = begun.elapsed();
    assert!(
        took < PROMPT,
        "{}: the page came after {took:?}",
        thing.named
    );
    wait_until("the history has the reason", SOON, || {
        let told = app.portkeep("history", &["--json"]).stdout;
        told.contains(&thing.named).then_some(())
    });
    // One that loops would fill it.
    assert!(app.history().len() < 12, "{:#?}", app.history());
}

#[track_caller]
fn expect_served_when_given(app: &App, thing: &Thing) {
    (thing.give)();
    let begun = Instant::now();
    app.wait_for_version("v1", SOON);
    let took = begun.elapsed();
    assert!(took < PROMPT, "{}: it served after {took:?}", thing.named);
    app.settled();
    let releases = app.state_directory().join("releases");
    for release in fs::read_dir(releases).expect("they are there").flatten() {
        let bad = release.path().join("bad");
        assert!(!bad.exists(), "{}: the release was blamed", thing.named);
    }
}

/// The page with the reason after `disturb`, the app once the thing is given, and never a refused connection.
#[track_caller]
fn expect_page_until_given(app: App, thing: &Thing, disturb: impl FnOnce(&App)) {
    let watcher = app.watch();
    disturb(&app);
    expect_page_with_reason(&app, thing, Instant::now());
    expect_served_when_given(&app, thing);
    watcher.finish().expect_never_refused();
    drop(app);
    (thing.take)();
}

#[test]
fn from_the_beginning() {
    for (number, thing) in things().iter().enumerate() {
        (thing.take)();
        let app = app(&format!("lacks-{number}"), thing).install(&Behaviour::version("v1"));
        expect_page_until_given(app, thing, |_| {});
    }
}

#[test]
fn when_the_app_crashes() {
    for (number, thing) in things().iter().enumerate() {
        (thing.give)();
        let app = app(&format!("loses-{number}"), thing).serve(&Behaviour::version("v1"));
        // The working directory is not removed under a process that is in it, but a new process does not find it.
        (thing.take)();
        expect_page_until_given(app, thing, |app| app.signal("@1.service", "KILL"));
    }
}

/// Another version cannot be started either: what serves serves on, and the reload says what is missing.
#[test]
fn at_a_reload() {
    for (number, thing) in things().iter().enumerate() {
        if thing.named == "its user does not exist" {
            // It cannot be removed while it runs something.
            continue;
        }
        (thing.give)();
        let app = app(&format!("reloads-{number}"), thing).serve(&Behaviour::version("v1"));
        (thing.take)();
        let watcher = app.watch();
        app.publish(&Behaviour::version("v2"));
        let told = app.portkeep("reload", &[]);
        assert_eq!(told.code, Some(1), "{told}");
        told.expect_failure().expect_mention(&[&thing.named]);
        let seen = watcher.finish();
        seen.expect_lossless();
        assert_eq!(seen.versions(), ["v1"]);
        (thing.give)();
        app.reload();
        app.wait_for_version("v2", SOON);
        drop(app);
        (thing.take)();
    }
}

/// What an operator's own drop-in names is in no spec: systemd knows, and is quoted.
#[test]
fn a_path_that_only_systemd_knows_of() {
    let app = App::named("quoted").serve(&Behaviour::version("v1"));
    let units = match app.manager() {
        Manager::System => PathBuf::from("/etc/systemd/system"),
        Manager::User => {
            PathBuf::from(std::env::var_os("HOME").expect("it is set")).join(".config/systemd/user")
        }
    };
    let drop_in = units.join("quoted@.service.d/60-mine.conf");
    let text = "[Service]\nBindReadOnlyPaths=/no/such/place\n";
    fs::write(&drop_in, text).expect("it can be written");
    let reload = || app.manager().systemctl(&["daemon-reload"]).expect_success();
    let _ = reload();
    let told = app.portkeep("reload", &[]);
    fs::remove_file(&drop_in).expect("it can be removed");
    let _ = reload();
    let told = told.expect_failure();
    told.expect_mention(&["(226/NAMESPACE)"]);
    told.expect_mention(&["/no/such/place"]);
    assert_eq!(app.get("/").version, "v1");
}
