//! Changes of a plan, and reasons against it.

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::units::survey::Survey;

/// A machine with a user's manager whose directories are in a temporary one.
struct Machine {
    root: TempDir,
    active: BTreeSet<String>,
}

impl Machine {
    fn new() -> Self {
        Self {
            root: tempfile::tempdir().unwrap(),
            active: BTreeSet::new(),
        }
    }

    fn units(&self) -> PathBuf {
        self.root.path().join("config/systemd/user")
    }

    fn directory(&self) -> UnitDirectory {
        UnitDirectory::lasting(Which::User, &[self.units()]).unwrap()
    }

    fn plan(&self, asked: &[Asked], options: &Options) -> Result<Plan, Vec<Refusal>> {
        let unit_path = [self.units(), self.root.path().join("packages")];
        let active = self.active.clone();
        let survey = Survey::of(Which::User, self.directory(), &unit_path, active).unwrap();
        plan(&survey.facts(Path::new("/helper")), asked, options)
    }

    /// What is placed and opened, and runs.
    fn install(&mut self, asked: &Asked) {
        let plan = self.plan(std::slice::from_ref(asked), &Options::default());
        for change in plan.unwrap().changes() {
            fs::create_dir_all(change.path.parent().unwrap()).unwrap();
            match &change.after {
                Some(Entry::File { text, mode }) => {
                    crate::store::atomic_write(&change.path, text.as_bytes(), *mode).unwrap();
                }
                Some(Entry::Link(target)) => {
                    crate::store::atomic_symlink(target, &change.path).unwrap();
                }
                None => fs::remove_file(&change.path).unwrap(),
            }
        }
        let name = &asked.spec.name;
        self.active.extend(unit_names::sockets(&asked.spec));
        self.active.insert(unit_names::target(name));
        self.active.insert(unit_names::handle(name));
    }

    fn refused(&self, asked: &[Asked], options: &Options) -> Vec<String> {
        let refusals = self.plan(asked, options).unwrap_err();
        let lines = refusals.iter();
        lines
            .map(|one| format!("{}: {}", one.source.display(), one.why))
            .collect()
    }
}

fn asked(name: &str, listen: &str) -> Asked {
    let listen = listen.split(' ').enumerate();
    let listen: Vec<_> = listen
        .map(|(index, one)| {
            let default = format!("http{index}");
            let (name, stream) = one.split_once('=').unwrap_or((&default, one));
            format!(r#"{{"name":"{name}","stream":"{stream}"}}"#)
        })
        .collect();
    let text = format!(
        r#"{{"name":"{name}","exec":["/bin/a"],"listen":[{}]}}"#,
        listen.join(",")
    );
    Asked {
        source: format!("{name}.json").into(),
        spec: Spec::from_json(&text).unwrap(),
    }
}

fn open() -> Options {
    Options {
        open: true,
        ..Options::default()
    }
}

fn names(changes: &[Change]) -> Vec<String> {
    let name = |change: &Change| {
        change
            .path
            .file_name()
            .unwrap()
            .to_string_lossy()
            .into_owned()
    };
    changes.iter().map(name).collect()
}

#[test]
fn a_new_app_is_placed_and_opened() {
    let machine = Machine::new();
    let plan = machine
        .plan(&[asked("a", "127.0.0.1:80")], &open())
        .unwrap();
    let [app] = plan.apps.as_slice() else {
        panic!("one app");
    };
    assert!(app.is_new && app.last.is_empty());
    assert_eq!(app.first.len(), app.changes.len());
    assert_eq!(app.opens, ["a.socket", "a-move.socket"]);
    assert_eq!(app.handover, None);
    // Two sockets are enabled, and there is the spec.
    assert_eq!(app.changes.len(), app.units + 3);
}

#[test]
fn the_same_again_changes_nothing_but_hands_over() {
    let mut machine = Machine::new();
    let one = asked("a", "127.0.0.1:80");
    machine.install(&one);
    let plan = machine.plan(&[one], &Options::default()).unwrap();
    assert_eq!(plan.changes().count(), 0);
    assert_eq!(plan.apps[0].handover, Some(Handover::Reload));
    assert!(plan.apps[0].opens.is_empty() && !plan.apps[0].is_new);
}

#[test]
fn links_of_others_stay_and_those_of_another_version_go() {
    let mut machine = Machine::new();
    let one = asked("a", "127.0.0.1:80");
    machine.install(&one);
    let link = |target: &str| {
        let directory = machine.units().join(format!("{target}.wants"));
        fs::create_dir_all(&directory).unwrap();
        std::os::unix::fs::symlink(machine.units().join("a.socket"), directory.join("a.socket"))
            .unwrap();
    };
    link("mine.target");
    link("multi-user.target");
    let plan = machine.plan(&[one], &Options::default()).unwrap();
    let changed: Vec<_> = plan.changes().map(|change| change.path.clone()).collect();
    assert_eq!(
        changed,
        [machine.units().join("multi-user.target.wants/a.socket")]
    );
}

#[test]
fn another_socket_means_a_restart_and_one_less_is_closed_last() {
    let mut machine = Machine::new();
    machine.install(&asked("a", "127.0.0.1:80"));
    let two = asked("a", "127.0.0.1:80 more=127.0.0.1:81");
    let plan = machine
        .plan(std::slice::from_ref(&two), &Options::default())
        .unwrap();
    assert_eq!(plan.apps[0].handover, Some(Handover::Restart));
    assert_eq!(plan.apps[0].opens, ["a-more.socket"]);
    machine.install(&two);
    let plan = machine
        .plan(&[asked("a", "127.0.0.1:80")], &Options::default())
        .unwrap();
    let app = &plan.apps[0];
    assert_eq!(app.handover, Some(Handover::Reload));
    assert_eq!(app.closes, ["a-more.socket"]);
    assert!(!names(&app.first).contains(&"a-more.socket".to_owned()));
    // Its unit, and the link to it.
    assert_eq!(names(&app.last), ["a-more.socket", "a-more.socket"]);
}

#[test]
fn an_open_socket_stays_where_it_is() {
    let mut machine = Machine::new();
    machine.install(&asked("a", "127.0.0.1:80"));
    let other = [asked("a", "127.0.0.1:81")];
    let refused = machine.refused(&other, &open());
    assert_eq!(refused.len(), 1);
    for part in [
        "a.json: a.socket is open at 127.0.0.1:80",
        "127.0.0.1:81",
        "systemctl --user stop a.target 'a@*.service'",
    ] {
        assert!(refused[0].contains(part), "{part}: {refused:?}");
    }
    machine.active.clear();
    assert!(
        machine.plan(&other, &open()).is_ok(),
        "closed, it can be changed"
    );
}

#[test]
fn everything_that_speaks_against_it_is_told_each_with_its_file() {
    let mut machine = Machine::new();
    machine.install(&asked("taken", "127.0.0.1:80"));
    fs::create_dir_all(machine.root.path().join("packages")).unwrap();
    for (file, text) in [
        ("packages/packaged.socket", ""),
        ("config/systemd/user/mine.service", "[Service]\n"),
        ("config/systemd/user/busy@7.service", "[Service]\n"),
    ] {
        fs::write(machine.root.path().join(file), text).unwrap();
    }
    let mut twice = asked("good", "127.0.0.1:90");
    twice.source = "again.json".into();
    let refused = machine.refused(
        &[
            asked("good", "127.0.0.1:89"),
            twice,
            asked("packaged", "127.0.0.1:91"),
            asked("mine", "127.0.0.1:92"),
            asked("busy", "127.0.0.1:93"),
            asked("port", "127.0.0.1:94 0.0.0.0:80"),
            asked("taken-move", "127.0.0.1:95"),
            asked("one", "two=127.0.0.1:96 three=127.0.0.1:97"),
            asked("one-three", "127.0.0.1:98"),
            asked("every", "[::]:89"),
        ],
        &open(),
    );
    let expected = [
        ("again.json", "good.json is of the app good as well"),
        (
            "packaged.json",
            "packages/packaged.socket has a name that the units of packaged need",
        ),
        ("mine.json", "mine.service has a name"),
        ("busy.json", "busy@7.service has a name"),
        ("port.json", "0.0.0.0:80 is the port of the app taken"),
        (
            "taken-move.json",
            "taken-move.socket belongs to the app taken",
        ),
        ("one-three.json", "one-three.socket belongs to the app one"),
        ("every.json", "[::]:89 is the port of the app good"),
    ];
    assert_eq!(refused.len(), expected.len(), "{refused:#?}");
    for (line, (file, why)) in refused.iter().zip(expected) {
        assert!(
            line.starts_with(file) && line.contains(why),
            "{why}: {line}"
        );
    }
}

fn replaces(old: &str) -> Options {
    Options {
        replaces: Some(old.parse().unwrap()),
        ..Options::default()
    }
}

#[test]
fn who_takes_the_place_of_another_has_its_open_sockets() {
    let mut machine = Machine::new();
    machine.install(&asked("old", "127.0.0.1:80 more=127.0.0.1:81"));
    let new = [asked("new", "front=127.0.0.1:81 http=127.0.0.1:80")];
    let plan = machine.plan(&new, &replaces("old")).unwrap();
    let app = &plan.apps[0];
    let renamed = [
        ("old-more.socket", "new.socket"),
        ("old.socket", "new-http.socket"),
    ];
    assert_eq!(
        app.renamed,
        renamed.map(|(old, new)| (old.to_owned(), new.to_owned()))
    );
    assert_eq!(app.handover, Some(Handover::TakeOver));
    let after = |changes: &[Change], unit: &str| {
        let mut changes = changes.iter();
        let found = changes.find(|change| change.path == machine.units().join(unit));
        found.map(|change| change.after.clone())
    };
    // One unit with two names, until the old app has ended.
    for (old, new) in renamed {
        assert_eq!(after(&app.first, old), Some(Some(Entry::Link(new.into()))));
        assert_eq!(after(&app.last, old), Some(None));
    }
    for unit in [
        "old.service",
        "old.target",
        "old@.service",
        "old-move.socket",
    ] {
        assert_eq!(
            after(&app.first, unit),
            None,
            "{unit}: what serves needs it"
        );
        assert_eq!(after(&app.last, unit), Some(None), "{unit}");
    }
    // What fails meanwhile is not started in place of what serves.
    let starts = |changes: &[Change], handle: &str| match after(changes, "new.socket") {
        Some(Some(entry)) => entry.text().contains(&format!("\nService={handle}\n")),
        _ => false,
    };
    assert!(starts(&app.first, "old.service") && starts(&app.second, "new.service"));
    assert!(starts(&app.changes, "new.service"));
    // Nothing opens them under the old name again.
    let link = "default.target.wants/old.socket";
    assert_eq!(after(&app.first, link), Some(None));
}

#[test]
fn who_takes_the_place_of_another_listens_wherever_it_does() {
    let mut machine = Machine::new();
    machine.install(&asked("old", "127.0.0.1:80"));
    machine.install(&asked("there", "127.0.0.1:90"));
    let cases = [
        (
            asked("new", "127.0.0.1:81"),
            "old",
            "old listens at 127.0.0.1:80 (old.socket)",
        ),
        (
            asked("new", "127.0.0.1:80"),
            "nobody",
            "there is no app nobody",
        ),
        (
            asked("there", "127.0.0.1:80"),
            "old",
            "there is installed already",
        ),
        (
            asked("old", "127.0.0.1:80"),
            "old",
            "old is installed already",
        ),
        (
            asked("new", "127.0.0.1:80 127.0.0.1:90"),
            "old",
            "127.0.0.1:90 is the port of the app there",
        ),
    ];
    for (asked, old, expected) in cases {
        let refused = machine.refused(&[asked], &replaces(old));
        assert!(
            refused.iter().any(|line| line.contains(expected)),
            "{expected}: {refused:?}"
        );
    }
    // Without, it is told how.
    let refused = machine.refused(&[asked("new", "127.0.0.1:80")], &open());
    assert!(refused[0].contains("--replaces old"), "{refused:?}");
}

#[test]
fn a_health_socket_is_a_port_that_no_other_app_may_have() {
    let mut machine = Machine::new();
    let with_health = |name: &str, listen: &str, health: &str| {
        let text = format!(
            r#"{{"name":"{name}","exec":["/bin/a"],"listen":[{{"stream":"{listen}"}}],"health":"{health}"}}"#
        );
        Asked {
            source: format!("{name}.json").into(),
            spec: Spec::from_json(&text).unwrap(),
        }
    };
    machine.install(&with_health("a", "127.0.0.1:80", "127.0.0.1:81"));
    for (taken, other) in [
        (
            "127.0.0.1:81",
            with_health("b", "127.0.0.1:90", "127.0.0.1:81"),
        ),
        (
            "127.0.0.1:80",
            with_health("b", "127.0.0.1:90", "127.0.0.1:80"),
        ),
        ("0.0.0.0:81", with_health("b", "0.0.0.0:81", "127.0.0.1:91")),
    ] {
        let refused = machine.refused(&[other], &open());
        let [refused] = refused.as_slice() else {
            panic!("one refusal: {refused:?}");
        };
        assert!(
            refused.contains(taken) && refused.contains('a'),
            "{refused}"
        );
    }
    let beside = with_health("b", "127.0.0.1:90", "127.0.0.1:91");
    assert!(machine.plan(&[beside], &open()).is_ok());
}
