//! Output of the terminal and the pages, for scripted sequences of events.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use portkeep_engine::handover::{HandoverId, Purpose};
use portkeep_engine::store::{HandoverRecord, HandoverResult, Steps};
use portkeep_engine::{EngineError, Generation, Outcome};
use regex::Regex;

use super::change::{Change, Found};
use super::diagnostics::{Level, Part};
use super::effect::Effect;
use super::event::{Built, Checked, Event, HandoverEnd, Key, Now, Opened, SessionEvent, Work};
use super::status::{Settings, Status};
use super::{pages, terminal};

/// Writes down what is shown.
struct Script {
    status: Status,
    now: Now,
    page: serde_json::Value,
    shown: String,
    task: Task,
}

/// What docs/vscode/tasks.json looks for.
struct Task {
    begins: Regex,
    ends: Regex,
    pattern: Vec<Regex>,
}

impl Task {
    fn documented() -> Self {
        let text = include_str!("../../../docs/how-to/vscode/tasks.json");
        let json: serde_json::Value = serde_json::from_str(text).unwrap();
        let matcher = &json["tasks"][0]["problemMatcher"];
        let regex = |value: &serde_json::Value| Regex::new(value.as_str().unwrap()).unwrap();
        let pattern = matcher["pattern"].as_array().unwrap().iter();
        Self {
            begins: regex(&matcher["background"]["beginsPattern"]),
            ends: regex(&matcher["background"]["endsPattern"]),
            pattern: pattern.map(|one| regex(&one["regexp"])).collect(),
        }
    }

    /// Whether an editor sees that a round begins, and that one ends.
    fn expect_told(&self, lines: &[String], begins: bool, ends: bool) {
        let any = |regex: &Regex| lines.iter().any(|line| regex.is_match(line));
        assert_eq!(any(&self.begins), begins, "begins: {lines:?}");
        assert!(any(&self.ends) || !ends, "ends: {lines:?}");
    }
}

impl Script {
    fn new(settings: Settings) -> Self {
        let status = Status::new(
            Settings {
                directory: "/p".into(),
                here: "/p".into(),
                ..settings
            },
            1000,
        );
        let now = Now {
            at: Instant::now(),
            milliseconds: 1000,
            serves: None,
        };
        let mut script = Self {
            page: serde_json::Value::Null,
            status,
            now,
            shown: String::new(),
            task: Task::documented(),
        };
        script.page = script.told();
        script
    }

    fn told(&self) -> serde_json::Value {
        // As if each change were told at once.
        let page = self.status.page();
        let text = pages::told(page, 9, page.files_changed.unwrap_or(self.now.at)).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// An event, a second after the last; `serves` is what serves then.
    fn then(&mut self, what: &str, event: Event, serves: Option<u64>) {
        self.now.at += Duration::from_secs(1);
        self.now.milliseconds += 1000;
        self.now.serves = serves.map(Generation);
        self.shown.push_str(&format!("## {what}\n"));
        let name = "hello".parse().unwrap();
        let (mut told, mut begins, mut ends) = (Vec::new(), false, false);
        for effect in self.status.apply(event, &self.now) {
            match effect {
                Effect::Tell(notice) => {
                    let lines = terminal::lines(&name, &notice).into_iter();
                    told.extend(lines.map(|line| line.to_string()));
                }
                Effect::Build(_) => begins = true,
                Effect::EndRound(_) => ends = true,
                _ => {}
            }
        }
        self.task.expect_told(&told, begins, ends);
        self.shown
            .extend(told.iter().map(|line| format!("{line}\n")));
        let page = self.told();
        for (field, value) in page.as_object().unwrap() {
            if self.page[field] != *value {
                self.shown.push_str(&format!("  page {field}: {value}\n"));
            }
        }
        self.page = page;
    }
}

fn opened() -> Event {
    Event::Opened(Opened {
        notices: vec!["0.0.0.0:80 is kept to 127.0.0.1:80".to_owned()],
        addresses: vec!["http://127.0.0.1:8080".to_owned()],
        holder: "held by this process".to_owned(),
        has_keys: true,
        begins_with_dev: true,
    })
}

fn changed(paths: &[&str]) -> Event {
    let change = |path: &&str| Change {
        path: path.into(),
        found: Found::File,
    };
    Event::Changed(paths.iter().map(change).collect())
}

fn built(work: Work) -> Event {
    Event::BuildEnded(Built::Good {
        executable: Some("/t/hello".into()),
        took: Duration::from_millis(1234),
        work,
        inputs: vec!["/p/src/main.rs".into(), "/p/src/app.css".into()],
    })
}

fn not_built() -> Event {
    let part = |level, text: &str| Part {
        level,
        text: text.to_owned(),
    };
    Event::BuildEnded(Built::Bad {
        took: Duration::from_millis(250),
        parts: vec![
            part(Level::Warning, "unused"),
            part(Level::Error, "cannot find value `x`"),
        ],
    })
}

/// The end of a handover that went well.
pub(crate) fn record(generation: u64, id: HandoverId) -> HandoverRecord {
    HandoverRecord {
        at: Timestamp::UNIX_EPOCH,
        id,
        purpose: Purpose::Reload,
        result: HandoverResult::HandedOver,
        generation: Some(Generation(generation)),
        previous: None,
        digest: None,
        label: None,
        source: None,
        drained: Vec::new(),
        steps: Steps {
            start_milliseconds: 12.4,
            total_milliseconds: 15.6,
            ..Steps::default()
        },
        reason: None,
    }
}

pub(crate) fn ended(result: anyhow::Result<Outcome>) -> Event {
    Event::HandoverEnded(HandoverEnd {
        result,
        requests_wait: false,
    })
}

fn serves(generation: u64) -> Event {
    let record = record(generation, HandoverId::default());
    ended(Ok(Outcome::HandedOver(record)))
}

fn session(event: SessionEvent) -> Event {
    Event::Session(event)
}

#[test]
fn a_day_without_trouble() {
    let mut script = Script::new(Settings::default());
    script.then("the port is open", opened(), None);
    script.then("it is built", built(Work::Something), None);
    script.then("it serves", serves(1), Some(1));
    let line = SessionEvent::Line(Generation(1), "INFO listening".to_owned());
    script.then("it writes", session(line), Some(1));
    script.then(
        "dev's profile is built behind",
        Event::BuiltBehind { is_good: true },
        Some(1),
    );
    script.then("a source is saved", changed(&["/p/src/main.rs"]), Some(1));
    script.then("it is built", built(Work::Something), Some(1));
    script.then("it serves", serves(2), Some(2));
    let said = "drained: 3 requests answered".to_owned();
    let drained = SessionEvent::Drained(Generation(1), said);
    script.then("the old one ends", session(drained), Some(2));
    script.then("a style is saved", changed(&["/p/src/app.css"]), Some(2));
    script.then("it is built", built(Work::Something), Some(2));
    script.then("it serves", serves(3), Some(3));
    script.then("r", Event::Key(Key::Reload), Some(3));
    script.then("it serves again", serves(4), Some(4));
    script.then("a note is saved", changed(&["/p/notes.txt"]), Some(4));
    script.then("nothing to build", built(Work::Nothing), Some(4));
    let unchanged = ended(Ok(Outcome::Unchanged(Generation(4))));
    script.then("the same serves", unchanged, Some(4));
    script.then(
        "a note and a page are saved",
        changed(&["/p/notes.txt", "/p/static/index.html"]),
        Some(4),
    );
    script.then("Ctrl-C", Event::Stop, Some(4));
    insta::assert_snapshot!(script.shown);
}

#[test]
fn sources_that_cannot_be_built_fail_a_check_or_do_not_start() {
    let mut script = Script::new(Settings {
        checks: vec!["cargo test".to_owned()],
        ..Settings::default()
    });
    let page = HandoverRecord {
        result: HandoverResult::Holding,
        reason: Some("nothing is built".to_owned()),
        ..record(1, HandoverId::default())
    };
    script.then("the port is open", opened(), None);
    let connected = SessionEvent::Ended(Ok(Outcome::Holding(page)));
    script.then("somebody connects", session(connected), None);
    script.then("it cannot be built", not_built(), None);
    script.then("a source is saved", changed(&["/p/src/main.rs"]), None);
    script.then("it is built", built(Work::Something), None);
    let failed = Checked::Failed(Duration::from_secs(2), "test a ... FAILED".to_owned());
    script.then("a check fails", Event::CheckEnded(failed), None);
    script.then("b", Event::Key(Key::Rebuild), None);
    script.then("it is built", built(Work::Nothing), None);
    let passed = Checked::Passed(Duration::from_secs(2));
    script.then("the check passes", Event::CheckEnded(passed), None);
    for line in ["panicked at src/main.rs:1:2", "no database"] {
        let line = SessionEvent::Line(Generation(2), line.to_owned());
        script.then("it writes", session(line), None);
    }
    let error = EngineError::StartFailed {
        generation: Some(Generation(2)),
        reason: "it exited with 101; its last lines:\n  | no database".to_owned(),
    };
    script.then("it does not start", ended(Err(error.into())), None);
    script.then("r", Event::Key(Key::Reload), None);
    script.then("it starts", serves(3), Some(3));
    let gone = SessionEvent::Gone(Generation(3), "it crashed 5 times".to_owned());
    script.then("it is gone", session(gone), None);
    script.then(
        "a check has no program",
        Event::CouldNot(anyhow::anyhow!("no such file").context("the check cannot be run")),
        None,
    );
    insta::assert_snapshot!(script.shown);
}

#[test]
fn versions_that_overtake_fall_back_or_come_from_others() {
    let mut script = Script::new(Settings::default());
    script.then("the port is open", opened(), None);
    script.then("it is built", built(Work::Something), None);
    script.then("it serves", serves(1), Some(1));
    script.then("a source is saved", changed(&["/p/src/main.rs"]), Some(1));
    script.then("it is built", built(Work::Something), Some(1));
    script.then("another is saved", changed(&["/p/src/lib.rs"]), Some(1));
    script.then("it is built", built(Work::Something), Some(1));
    script.then("the first is given up", Event::GivenUp, Some(1));
    let fell_back = HandoverRecord {
        result: HandoverResult::FellBack,
        reason: Some("it exited".to_owned()),
        ..record(3, HandoverId::default())
    };
    script.then(
        "the last good one serves",
        ended(Ok(Outcome::HandedOver(fell_back))),
        Some(3),
    );
    let others = SessionEvent::Recorded(record(4, HandoverId::default()));
    script.then("somebody rolls back", session(others), Some(4));
    let cut = SessionEvent::Cut(Generation(3), "2 requests left".to_owned());
    script.then("what was replaced is ended", session(cut), Some(4));
    let restarted = SessionEvent::Restarted(Generation(4), "it was killed".to_owned());
    script.then("it is restarted", session(restarted), Some(4));
    script.then(
        "it is idle and ends",
        session(SessionEvent::Rested(Generation(4))),
        None,
    );
    script.then("help", Event::Key(Key::Help), None);
    script.then("l", Event::Key(Key::Level), None);
    insta::assert_snapshot!(script.shown);
}

#[test]
fn a_file_that_each_round_writes() {
    let mut script = Script::new(Settings::default());
    script.then("the port is open", opened(), None);
    script.then("it is built", built(Work::Something), None);
    script.then("it serves", serves(1), Some(1));
    for _ in 0..6 {
        script.then("it is written", changed(&["/p/src/gen.rs"]), Some(1));
    }
    script.then("it is built", built(Work::Something), Some(1));
    script.then("it serves", serves(2), Some(2));
    insta::assert_snapshot!(script.shown);
}

#[test]
fn an_editor_finds_what_the_compiler_says() {
    let task = Task::documented();
    let said = [
        "error[E0425]: cannot find value `x` in this scope",
        "  --> src/main.rs:12:5",
    ];
    let found: Vec<Vec<_>> = task
        .pattern
        .iter()
        .zip(said)
        .map(|(regex, line)| {
            let found = regex.captures(line).unwrap();
            found
                .iter()
                .skip(1)
                .flatten()
                .map(|one| one.as_str().to_owned())
                .collect()
        })
        .collect();
    assert_eq!(
        found[0],
        ["error", "E0425", "cannot find value `x` in this scope"]
    );
    assert_eq!(found[1], ["src/main.rs", "12", "5"]);
    assert!(task.pattern[0].is_match("warning: unused variable: `a`"));
    assert!(!task.pattern[0].is_match("portkeep hello: the build failed after 0.25 s"));
}

/// Each way in which a round can end, as an editor sees it.
#[test]
fn an_editor_sees_each_end_of_a_round() {
    let fell_back = HandoverRecord {
        result: HandoverResult::FellBack,
        reason: Some("it exited".to_owned()),
        ..record(2, HandoverId::default())
    };
    let holding = HandoverRecord {
        result: HandoverResult::Holding,
        reason: Some("it exited".to_owned()),
        ..record(2, HandoverId::default())
    };
    let results: Vec<anyhow::Result<Outcome>> = vec![
        Ok(Outcome::HandedOver(record(2, HandoverId::default()))),
        Ok(Outcome::HandedOver(fell_back)),
        Ok(Outcome::Unchanged(Generation(1))),
        Ok(Outcome::KnownBad(serde_json::from_str("\"aabb\"").unwrap())),
        Ok(Outcome::Holding(holding.clone())),
        Ok(Outcome::InMaintenance(holding)),
        Err(anyhow::anyhow!("it exited with 1")),
    ];
    for result in results {
        for serves in [None, Some(1)] {
            let mut script = Script::new(Settings::default());
            script.then("the port is open", opened(), serves);
            script.then("it is built", built(Work::Something), serves);
            let result = match &result {
                Ok(outcome) => Ok(outcome.clone()),
                Err(error) => Err(anyhow::anyhow!("{error}")),
            };
            script.then("it ends", ended(result), serves);
        }
    }
    for serves in [None, Some(1)] {
        let mut script = Script::new(Settings {
            checks: vec!["cargo test".to_owned()],
            ..Settings::default()
        });
        script.then("the port is open", opened(), serves);
        script.then("it cannot be built", not_built(), serves);
        script.then("b", Event::Key(Key::Rebuild), serves);
        let broken = anyhow::anyhow!("no such file").context("the project cannot be built");
        script.then("cargo is missing", Event::CouldNot(broken), serves);
        script.then("b", Event::Key(Key::Rebuild), serves);
        script.then("it is built", built(Work::Something), serves);
        let failed = Checked::Failed(Duration::from_secs(2), String::new());
        script.then("a check fails", Event::CheckEnded(failed), serves);
    }
}
