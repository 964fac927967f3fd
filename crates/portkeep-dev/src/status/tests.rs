//! Effects of each event in each state, as a table.

use std::time::{Duration, Instant};

use portkeep_engine::handover::HandoverId;
use portkeep_engine::store::{HandoverRecord, HandoverResult};
use portkeep_engine::{EngineError, Outcome};

use super::*;
use crate::change::Found;
use crate::event::{Built, Checked, WaitId};
use crate::tests::{ended, record};

fn change(path: &str) -> Change {
    Change {
        path: path.into(),
        found: Found::File,
    }
}

fn changed(path: &str) -> Event {
    Event::Changed(vec![change(path)])
}

fn built(work: Work) -> Event {
    Event::BuildEnded(Built::Good {
        executable: Some("/t/app".into()),
        took: Duration::from_secs(1),
        work,
        inputs: vec!["/p/src/main.rs".into()],
    })
}

fn serves(generation: u64) -> Event {
    ended(Ok(Outcome::HandedOver(record(
        generation,
        HandoverId::unique(),
    ))))
}

fn unchanged(generation: u64) -> Event {
    ended(Ok(Outcome::Unchanged(Generation(generation))))
}

/// A status that events are fed to, and its clock.
struct StatusUnderTest {
    status: Status,
    now: Now,
}

impl StatusUnderTest {
    fn new(settings: Settings) -> Self {
        Self {
            status: Status::new(settings, 1),
            now: Now {
                at: Instant::now(),
                milliseconds: 2,
                serves: None,
            },
        }
    }

    /// One that serves, and has come to rest.
    fn serving() -> Self {
        let mut fed = Self::new(Settings {
            directory: "/p".into(),
            here: "/p".into(),
            ..Settings::default()
        });
        fed.feed(Event::Opened(Opened::default()));
        fed.feed(built(Work::Something));
        fed.feed(serves(1));
        fed.rest();
        fed
    }

    /// What is heard from now on is not of the last round.
    fn rest(&mut self) {
        self.now.at += Duration::from_secs(1);
    }

    /// Names the effects, and tells of what is told the name only.
    fn feed(&mut self, event: Event) -> String {
        let effects = self.status.apply(event, &self.now);
        let names: Vec<_> = effects.iter().map(name).collect();
        names.join(" ")
    }
}

fn name(effect: &Effect) -> String {
    let text = match effect {
        Effect::Tell(notice) => format!("{notice:?}"),
        Effect::End(ending) => return format!("End({ending:?})"),
        effect => format!("{effect:?}"),
    };
    let end = text.find([' ', '(']).unwrap_or(text.len());
    match effect {
        Effect::Tell(_) => format!("`{}`", &text[..end]),
        _ => text[..end].to_owned(),
    }
}

/// Each state of a loop that has served before.
fn states() -> Vec<(&'static str, StatusUnderTest)> {
    let at = |events: Vec<Event>, checks: bool| {
        let mut fed = StatusUnderTest::serving();
        if checks {
            fed.status.settings.checks = vec!["cargo test".to_owned()];
        }
        for event in events {
            fed.feed(event);
        }
        fed
    };
    let main = || changed("/p/src/main.rs");
    vec![
        ("idle", at(vec![], false)),
        ("building", at(vec![main()], false)),
        ("checking", at(vec![main(), built(Work::Something)], true)),
        ("starting", at(vec![main(), built(Work::Something)], false)),
        ("restarting", at(vec![Event::Key(Key::Reload)], false)),
    ]
}

#[test]
fn what_each_event_does_in_each_state() {
    type Made = fn() -> Event;
    let events: [(&str, Made); 10] = [
        ("a source changes", || changed("/p/src/lib.rs")),
        ("r", || Event::Key(Key::Reload)),
        ("b", || Event::Key(Key::Rebuild)),
        ("q", || Event::Key(Key::Quit)),
        ("a signal", || Event::Stop),
        ("a build is good", || built(Work::Something)),
        ("a build is bad", || {
            Event::BuildEnded(Built::Bad {
                took: Duration::ZERO,
                parts: Vec::new(),
            })
        }),
        ("a check fails", || {
            Event::CheckEnded(Checked::Failed(Duration::ZERO, "no".to_owned()))
        }),
        ("a handover ends", || serves(2)),
        ("it cannot be done", || {
            Event::CouldNot(anyhow::anyhow!("no"))
        }),
    ];
    let mut table = String::new();
    for (event, make) in events {
        for (state, mut fed) in states() {
            table.push_str(&format!("{event:<18} {state:<11} {}\n", fed.feed(make())));
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn a_start_that_is_overtaken_does_not_end_the_next_round() {
    let mut fed = StatusUnderTest::serving();
    fed.feed(changed("/p/src/main.rs"));
    fed.feed(built(Work::Something));
    assert_eq!(
        fed.feed(changed("/p/src/main.rs")),
        "`Superseded` Supersede `Building` Build"
    );
    let other = Event::SupersededEnded(Ok(Outcome::HandedOver(record(2, HandoverId::unique()))));
    assert_eq!(fed.feed(other), "`Serves`");
    assert!(fed.status.page().is_busy());
    assert_eq!(fed.feed(built(Work::Something)), "`Built` Watch HandOver");
    assert_eq!(fed.feed(serves(3)), "`Serves` EndRound BuildBehind");
    assert_eq!(fed.status.page().generation, Some(3));
}

#[test]
fn a_build_that_was_asked_for_while_a_version_starts_comes_afterwards() {
    let mut fed = StatusUnderTest::serving();
    fed.feed(changed("/p/src/main.rs"));
    fed.feed(built(Work::Something));
    assert_eq!(fed.feed(Event::Key(Key::Rebuild)), "");
    assert_eq!(fed.feed(serves(2)), "`Serves` `Building` Build");
}

#[test]
fn the_handover_that_is_waited_for_is_told_when_it_ends_and_others_at_once() {
    let mut fed = StatusUnderTest::serving();
    fed.feed(changed("/p/src/app.css"));
    fed.feed(built(Work::Something));
    let ours = HandoverId::unique();
    fed.feed(Event::HandoverBegun(ours.clone()));
    let recorded = |generation, id| Event::Session(SessionEvent::Recorded(record(generation, id)));
    assert_eq!(fed.feed(recorded(2, HandoverId::unique())), "`Serves`");
    assert_eq!(fed.feed(recorded(3, ours.clone())), "");
    let end = ended(Ok(Outcome::HandedOver(record(3, ours.clone()))));
    assert_eq!(fed.feed(end), "`Serves` EndRound BuildBehind");
    // The history may be slower, too.
    assert_eq!(fed.feed(recorded(3, ours)), "");
}

#[test]
fn a_failed_start_is_told_once() {
    let mut fed = StatusUnderTest::serving();
    fed.feed(changed("/p/src/main.rs"));
    fed.feed(built(Work::Something));
    let failed = || {
        anyhow::Error::from(EngineError::StartFailed {
            generation: Some(Generation(2)),
            reason: "it exited".to_owned(),
        })
    };
    assert_eq!(
        fed.feed(ended(Err(failed()))),
        "`DidNotTakeOver` TakeAllAsNew EndRound"
    );
    let recorded = HandoverRecord {
        result: HandoverResult::Failed,
        reason: Some("it exited".to_owned()),
        ..record(2, HandoverId::unique())
    };
    let recorded = Event::Session(SessionEvent::Recorded(recorded));
    assert_eq!(fed.feed(recorded), "");
    let title = |fed: &StatusUnderTest| fed.status.page().failure().map(|one| one.title.clone());
    assert_eq!(
        title(&fed).as_deref(),
        Some("the new version did not start")
    );
    // Whatever is saved now may mend it, and what was given up is not told as a failure.
    assert_eq!(fed.feed(changed("/p/notes.txt")), "`Building` Build");
    assert_eq!(fed.feed(Event::GivenUp), "`GivenUp`");
    fed.feed(built(Work::Nothing));
    fed.feed(unchanged(1));
    assert_eq!(title(&fed), None);
}

#[test]
fn what_no_build_reads_is_learned_and_asks_for_no_other() {
    let mut fed = StatusUnderTest::serving();
    assert_eq!(fed.feed(changed("/p/app.db")), "`Building` Build");
    fed.feed(built(Work::Nothing));
    fed.feed(unchanged(1));
    fed.rest();
    assert_eq!(fed.feed(changed("/p/app.db")), "`Files`");
    // One that was cancelled teaches nothing.
    assert_eq!(fed.feed(changed("/p/up/a.png")), "`Building` Build");
    assert_eq!(
        fed.feed(changed("/p/src/main.rs")),
        "Cancel `Building` Build"
    );
    fed.feed(built(Work::Nothing));
    fed.feed(unchanged(1));
    fed.rest();
    assert_eq!(fed.feed(changed("/p/up/a.png")), "`Building` Build");
}

#[test]
fn a_file_that_each_build_writes_ends_none_from_some_time_on() {
    let mut fed = StatusUnderTest::serving();
    let mut rounds = 0;
    while fed.feed(changed("/p/src/gen.rs")).contains("Build") {
        rounds += 1;
        assert!(rounds < 20);
    }
    assert_eq!(rounds, super::rewritten_files::MOST);
    fed.feed(built(Work::Something));
    // It was an input all the same.
    assert_eq!(fed.feed(serves(2)), "`Serves` BuildBehind `Building` Build");
}

#[test]
fn what_is_to_go_on_by_itself_ends_the_loop() {
    let detached = Settings {
        detaches: true,
        ..Settings::default()
    };
    let mut fed = StatusUnderTest::new(detached.clone());
    let opened = Opened {
        begins_with_dev: true,
        ..Opened::default()
    };
    assert_eq!(fed.feed(Event::Opened(opened)), "`Building` Build");
    fed.feed(built(Work::Something));
    assert_eq!(fed.feed(serves(1)), "`Serves` EndRound End(Detached)");
    let mut fed = StatusUnderTest::new(detached);
    fed.feed(Event::Opened(Opened::default()));
    let bad = Event::BuildEnded(Built::Bad {
        took: Duration::ZERO,
        parts: Vec::new(),
    });
    assert_eq!(
        fed.feed(bad),
        "`BuildFailed` TakeAllAsNew EndRound End(Failed)"
    );
}

#[test]
fn what_serves_is_started_again_without_a_round() {
    let mut fed = StatusUnderTest::serving();
    assert_eq!(fed.feed(Event::Key(Key::Reload)), "StartAgain");
    assert!(!fed.status.page().is_busy());
    assert_eq!(fed.feed(serves(2)), "`Serves`");
    assert_eq!(fed.status.page().page_since, 2);
}

#[test]
fn once_is_said_that_requests_do_not_wait_and_that_pages_are_compressed() {
    let mut fed = StatusUnderTest::new(Settings {
        requests_wait: true,
        opens: true,
        ..Settings::default()
    });
    fed.feed(Event::Opened(Opened::default()));
    fed.feed(built(Work::Something));
    assert_eq!(
        fed.feed(serves(1)),
        "`Serves` `RequestsDoNotWait` OpenPage EndRound BuildBehind"
    );
    fed.feed(Event::Key(Key::Reload));
    assert_eq!(fed.feed(serves(2)), "`Serves`");
    let compressed = || Event::Compressed("/".to_owned());
    assert_eq!(fed.feed(compressed()), "`Compressed`");
    assert_eq!(fed.feed(compressed()), "");
}

#[test]
fn lines_below_the_level_are_kept_and_not_shown() {
    let mut fed = StatusUnderTest::serving();
    let line = |text: &str| Event::Session(SessionEvent::Line(Generation(1), text.to_owned()));
    for (pressed, shown) in [(false, "`Line`"), (true, ""), (true, ""), (true, "`Line`")] {
        if pressed {
            assert_eq!(fed.feed(Event::Key(Key::Level)), "`Level`");
        }
        assert_eq!(fed.feed(line("INFO a")), shown);
    }
    fed.feed(Event::Key(Key::Level));
    assert_eq!(fed.feed(line("WARN b")), "`Line`");
    assert_eq!(fed.feed(line("panicked at src/main.rs")), "`Line`");
}

#[test]
fn what_cargo_writes_itself_is_no_change() {
    let lock = || changed("/p/Cargo.lock");
    let mut fed = StatusUnderTest::serving();
    fed.status.settings.lock_file = Some("/p/Cargo.lock".into());
    assert_eq!(fed.feed(changed("/p/Cargo.toml")), "`Building` Build");
    assert_eq!(fed.feed(lock()), "");
    fed.feed(built(Work::Something));
    fed.feed(serves(2));
    fed.rest();
    // `cargo update` in another terminal.
    assert_eq!(fed.feed(lock()), "`Building` Build");
}

#[test]
fn where_nothing_is_built_a_file_that_is_no_part_of_what_runs_is_told() {
    let mut fed = StatusUnderTest::new(Settings {
        builds_nothing: true,
        ..Settings::default()
    });
    assert_eq!(fed.feed(Event::Opened(Opened::default())), "Build");
    let built = || {
        Event::BuildEnded(Built::Good {
            executable: None,
            took: Duration::ZERO,
            work: Work::Something,
            inputs: Vec::new(),
        })
    };
    assert_eq!(fed.feed(built()), "HandOver");
    assert_eq!(fed.feed(serves(1)), "`Serves` EndRound BuildBehind");
    fed.rest();
    assert_eq!(fed.feed(changed("/p/app.py")), "Build");
    assert_eq!(fed.feed(built()), "HandOver");
    assert_eq!(
        fed.feed(unchanged(1)),
        "`NotOfRelease` EndRound BuildBehind"
    );
}

/// The verdicts that come of an event: `serves N`, or why not.
fn verdicts(fed: &mut StatusUnderTest, event: Event) -> Vec<String> {
    let effects = fed.status.apply(event, &fed.now);
    let answers = effects.into_iter().filter_map(|effect| match effect {
        Effect::Answer(ids, verdict) => Some((ids, verdict)),
        _ => None,
    });
    answers
        .flat_map(|(ids, verdict)| {
            let generation = verdict.generation.unwrap_or_default();
            let said = match verdict.reason {
                None => format!("serves {generation}"),
                Some(reason) => reason,
            };
            ids.into_iter().map(move |id| format!("{}: {said}", id.0))
        })
        .collect()
}

#[test]
fn whoever_waits_is_answered_when_all_was_heard_of_and_nothing_is_under_way() {
    let id = WaitId;
    let mut fed = StatusUnderTest::serving();
    assert_eq!(fed.feed(Event::Waits(id(1))), "Mark");
    assert_eq!(verdicts(&mut fed, changed("/p/src/main.rs")), [""; 0]);
    assert_eq!(verdicts(&mut fed, Event::Marked(id(1))), [""; 0]);
    assert_eq!(verdicts(&mut fed, Event::Waits(id(2))), [""; 0]);
    assert_eq!(verdicts(&mut fed, built(Work::Something)), [""; 0]);
    // What the second waits for may not have been heard of.
    assert_eq!(verdicts(&mut fed, serves(2)), ["1: serves 2"]);
    assert_eq!(verdicts(&mut fed, Event::Marked(id(2))), ["2: serves 2"]);
    assert_eq!(verdicts(&mut fed, Event::Marked(id(2))), [""; 0]);

    // Newer sources overtake: that they asked before does not help them.
    fed.rest();
    fed.feed(Event::Waits(id(3)));
    fed.feed(changed("/p/src/main.rs"));
    fed.feed(Event::Marked(id(3)));
    fed.feed(built(Work::Something));
    assert_eq!(verdicts(&mut fed, changed("/p/src/lib.rs")), [""; 0]);
    assert_eq!(verdicts(&mut fed, built(Work::Something)), [""; 0]);
    assert_eq!(verdicts(&mut fed, serves(3)), ["3: serves 3"]);
}

#[test]
fn whoever_waits_is_told_why_the_newest_does_not_serve() {
    let ask = |fed: &mut StatusUnderTest| {
        fed.feed(Event::Waits(WaitId(1)));
        verdicts(fed, Event::Marked(WaitId(1)))
    };
    let bad = || {
        Event::BuildEnded(Built::Bad {
            took: Duration::ZERO,
            parts: Vec::new(),
        })
    };
    let mut fed = StatusUnderTest::serving();
    fed.feed(changed("/p/src/main.rs"));
    fed.feed(bad());
    assert_eq!(ask(&mut fed), ["1: the build failed"]);
    // What was built last serves again: that is not the newest.
    fed.feed(Event::Key(Key::Reload));
    fed.feed(serves(2));
    assert_eq!(ask(&mut fed), ["1: the build failed"]);

    let mut fed = StatusUnderTest::serving();
    let rolled_back = HandoverRecord {
        purpose: portkeep_engine::handover::Purpose::Rollback,
        ..record(2, HandoverId::unique())
    };
    fed.feed(Event::Session(SessionEvent::Recorded(rolled_back)));
    let said = ask(&mut fed);
    assert!(said[0].contains("another command chose"), "{said:?}");
    let activated = record(3, HandoverId::unique());
    fed.feed(Event::Session(SessionEvent::Recorded(activated)));
    assert_eq!(ask(&mut fed), ["1: serves 3"]);

    let gone = SessionEvent::Gone(Generation(3), "it crashed".to_owned());
    fed.feed(Event::Session(gone));
    assert_eq!(ask(&mut fed), ["1: generation 3 is gone"]);
}

#[test]
fn with_a_key_for_builds_changes_wait_for_it() {
    let mut fed = StatusUnderTest::serving();
    fed.status.settings.builds_on_key = true;
    assert_eq!(fed.feed(changed("/p/src/main.rs")), "`WaitsForKey`");
    assert_eq!(fed.feed(changed("/p/src/lib.rs")), "`WaitsForKey`");
    fed.feed(Event::Waits(WaitId(1)));
    let said = verdicts(&mut fed, Event::Marked(WaitId(1)));
    assert!(said[0].contains("waits for the key b"), "{said:?}");
    let effects = fed.status.apply(Event::Key(Key::Rebuild), &fed.now);
    let built_of = effects.iter().find_map(|effect| match effect {
        Effect::Build(changed) => changed.clone(),
        _ => None,
    });
    assert_eq!(built_of.unwrap().len(), 2);
    // While that is built, too.
    assert_eq!(fed.feed(changed("/p/src/main.rs")), "`WaitsForKey`");
    fed.feed(built(Work::Something));
    fed.feed(serves(2));
    let said = verdicts(&mut fed, Event::Waits(WaitId(2)));
    assert_eq!(said, [""; 0]);
    let said = verdicts(&mut fed, Event::Marked(WaitId(2)));
    assert!(said[0].contains("waits for the key b"), "{said:?}");
    assert!(fed.feed(Event::Key(Key::Rebuild)).contains("Build"));
    fed.feed(built(Work::Something));
    fed.feed(serves(3));
    fed.feed(Event::Waits(WaitId(3)));
    assert_eq!(
        verdicts(&mut fed, Event::Marked(WaitId(3))),
        ["3: serves 3"]
    );
    assert!(fed.feed(Event::Key(Key::Rebuild)).contains("Build"));
}

#[test]
fn a_library_of_another_version_and_pages_without_a_script_are_told_once() {
    use portkeep_contract::development::{Refusal, Understanding};
    let mut fed = StatusUnderTest::serving();
    let old = || Event::NotUnderstood(Understanding::with(1));
    assert_eq!(fed.feed(old()), "`NotUnderstood`");
    assert_eq!(fed.feed(old()), "");
    let refused = |host: &str| Event::Refused(Refusal::Host, host.to_owned());
    assert_eq!(fed.feed(refused("a.test")), "`Refused`");
    assert_eq!(fed.feed(refused("a.test")), "");
    let told = (0..100).filter(|number| !fed.feed(refused(&format!("{number}.test"))).is_empty());
    assert!(told.count() < 10);
}

#[test]
fn a_part_of_what_runs_that_is_edited_often_is_handed_over_in_the_end() {
    let mut fed = StatusUnderTest::new(Settings {
        parts: vec!["/p/app.py".into()],
        builds_nothing: true,
        ..Settings::default()
    });
    let built = || {
        Event::BuildEnded(Built::Good {
            executable: None,
            took: Duration::ZERO,
            work: Work::Something,
            inputs: Vec::new(),
        })
    };
    fed.feed(Event::Opened(Opened::default()));
    fed.feed(built());
    while fed.feed(changed("/p/app.py")).contains("Build") {
        fed.feed(built());
    }
    assert!(fed.feed(serves(2)).ends_with("Build"));
}
