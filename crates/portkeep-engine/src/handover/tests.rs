//! The machine, step by step, without a clock or files.

mod maintenance;
mod nothing_serves;
mod release_command;

use std::time::{Duration, Instant};

use super::*;
use crate::generation::Running;

const TIMEOUT: Duration = Duration::from_secs(30);

fn digest(name: &str) -> Digest {
    Digest(name.to_owned())
}

fn candidate(name: &str, bad: bool, fallback: Option<&str>) -> Event {
    Event::Captured(Candidate {
        digest: digest(name),
        bad: bad.then(|| "it exited".to_owned()),
        failed_while_waiting: None,
        fallback: fallback.map(digest),
        has_release_command: false,
    })
}

fn good(name: &str) -> Event {
    candidate(name, false, None)
}

fn bad(name: &str) -> Event {
    candidate(name, true, None)
}

fn failed(reason: &str) -> Event {
    Event::Failed {
        reason: reason.to_owned(),
        blame: Blame::Release,
    }
}

fn refused(fallback: Option<&str>) -> Event {
    Event::Refused {
        reason: "missing".to_owned(),
        fallback: fallback.map(digest),
    }
}

const SERVES: Event = Event::Switched { serves: true };

fn alive(generation: u64, phase: Phase) -> Running {
    Running {
        generation: Generation(generation),
        phase,
    }
}

/// Generation 4 serves release `old`; 5 is the next number.
fn serving() -> Survey {
    Survey {
        current: Some((Generation(4), Some(digest("old")))),
        running: vec![alive(4, Phase::Serving)],
        has_holding_page: false,
        in_maintenance: false,
        next: Generation(5),
    }
}

/// Nothing runs.
fn nothing() -> Survey {
    Survey {
        current: None,
        running: Vec::new(),
        has_holding_page: false,
        in_maintenance: false,
        next: Generation(5),
    }
}

/// A machine that has surveyed and asks for the release.
fn surveyed(purpose: Purpose, survey: Survey) -> Handover {
    let mut machine = Handover::new(purpose, Unchanged::IsDone, TIMEOUT);
    assert_eq!(step(&mut machine, Event::Begun), Action::Survey);
    assert_eq!(step(&mut machine, Event::Surveyed(survey)), Action::Capture);
    machine
}

fn step(machine: &mut Handover, event: Event) -> Action {
    machine.on_event(event, now()).expect("the event fits")
}

fn now() -> Instant {
    use std::sync::OnceLock;
    static NOW: OnceLock<Instant> = OnceLock::new();
    *NOW.get_or_init(Instant::now)
}

/// The start of the release that was taken, which is called `new` here.
fn start(generation: u64, name: &str) -> Action {
    starts(generation, Source::Captured, name)
}

fn starts(generation: u64, source: Source, name: &str) -> Action {
    let (generation, digest) = (Generation(generation), digest(name));
    Action::Start {
        generation,
        source,
        digest,
        deadline: now() + TIMEOUT,
    }
}

fn finish_failed(generation: u64, reason: &str) -> Action {
    Action::Finish(Ending::Failed {
        generation: Some(Generation(generation)),
        reason: reason.to_owned(),
    })
}

#[test]
fn a_new_release_takes_over_only_when_ready() {
    let mut machine = surveyed(Purpose::Reload, serving());
    assert_eq!(step(&mut machine, good("new")), start(5, "new"));
    assert_eq!(
        step(&mut machine, Event::Ready),
        Action::Switch(Generation(5))
    );
    assert_eq!(
        step(&mut machine, SERVES),
        Action::Drain(vec![Generation(4)])
    );
    let ending = Ending::HandedOver {
        generation: Generation(5),
        source: Source::Captured,
        instead: None,
    };
    assert_eq!(
        step(&mut machine, Event::DrainAsked),
        Action::Finish(ending)
    );
}

#[test]
fn one_that_fails_is_abandoned_and_the_current_one_is_not_touched() {
    for blame in [Blame::Release, Blame::Circumstances] {
        let mut machine = surveyed(Purpose::Reload, serving());
        let _ = step(&mut machine, good("new"));
        let abandon = Action::Abandon {
            generation: Generation(5),
            digest: digest("new"),
            reason: "why".to_owned(),
            blame,
        };
        assert_eq!(
            step(
                &mut machine,
                Event::Failed {
                    reason: "why".to_owned(),
                    blame
                }
            ),
            abandon
        );
        assert_eq!(
            step(&mut machine, Event::Abandoned),
            finish_failed(5, "why")
        );
    }
}

#[test]
fn one_that_ends_as_soon_as_it_is_ready_gives_back_what_it_took() {
    let mut machine = surveyed(Purpose::Reload, serving());
    let _ = step(&mut machine, good("new"));
    let _ = step(&mut machine, Event::Ready);
    let Action::Abandon { blame, .. } = step(&mut machine, Event::Switched { serves: false })
    else {
        panic!("it is not abandoned");
    };
    assert_eq!(
        blame,
        Blame::Circumstances,
        "an app that has nothing to do may end at once"
    );
    assert_eq!(
        step(&mut machine, Event::Abandoned),
        Action::SwitchBack(Generation(4))
    );
    let failed = finish_failed(5, "it ended as soon as it was READY");
    assert_eq!(step(&mut machine, Event::SwitchedBack), failed);
}

#[test]
fn an_unchanged_release_is_done_but_strays_are_drained() {
    let mut survey = serving();
    survey.running.push(alive(3, Phase::Serving));
    let mut machine = surveyed(Purpose::Reload, survey);
    assert_eq!(
        step(&mut machine, good("old")),
        Action::Drain(vec![Generation(3)])
    );
    assert_eq!(
        step(&mut machine, Event::DrainAsked),
        Action::Finish(Ending::Unchanged(Generation(4)))
    );
}

#[test]
fn force_starts_an_unchanged_release() {
    let mut machine = Handover::new(Purpose::Reload, Unchanged::IsStarted, TIMEOUT);
    let _ = step(&mut machine, Event::Begun);
    let _ = step(&mut machine, Event::Surveyed(serving()));
    assert_eq!(step(&mut machine, good("old")), start(5, "old"));
}

#[test]
fn all_others_are_drained_also_those_that_a_killed_helper_left_and_those_between_crash_and_restart()
{
    let mut survey = serving();
    survey
        .running
        .extend([alive(3, Phase::Starting), alive(2, Phase::Draining)]);
    let mut machine = surveyed(Purpose::Reload, survey);
    let _ = step(&mut machine, good("new"));
    let _ = step(&mut machine, Event::Ready);
    assert_eq!(
        step(&mut machine, SERVES),
        Action::Drain([4, 3, 2].map(Generation).to_vec())
    );
}

#[test]
fn a_waiting_caller_shares_the_failure_it_waited_for() {
    let mut machine = surveyed(Purpose::Reload, serving());
    let candidate = Candidate {
        has_release_command: false,
        digest: digest("new"),
        bad: Some("it exited".to_owned()),
        failed_while_waiting: Some("it exited".to_owned()),
        fallback: None,
    };
    let ending = Ending::Failed {
        generation: None,
        reason: "it exited".to_owned(),
    };
    assert_eq!(
        step(&mut machine, Event::Captured(candidate)),
        Action::Finish(ending)
    );
}

#[test]
fn a_bad_release_is_tried_again_by_a_person_but_not_by_the_path_unit() {
    let mut machine = surveyed(Purpose::Reload, serving());
    assert_eq!(step(&mut machine, bad("new")), start(5, "new"));
    let mut machine = surveyed(Purpose::Deploy, serving());
    assert_eq!(
        step(&mut machine, bad("new")),
        Action::Finish(Ending::KnownBad(digest("new")))
    );
}

#[test]
fn activation_avoids_a_bad_release_where_there_is_a_good_one() {
    // Whether or not the old generation has been stopped by then depends on the version of systemd.
    for survey in [nothing(), serving()] {
        let mut machine = surveyed(Purpose::Activate, survey);
        assert_eq!(
            step(&mut machine, candidate("new", true, Some("old"))),
            starts(5, Source::LastGood, "old")
        );
    }
    let mut machine = surveyed(Purpose::Activate, nothing());
    assert_eq!(step(&mut machine, bad("new")), start(5, "new"));
}

/// It waited for the lock while another handover started one.
#[test]
fn a_connection_that_is_served_by_now_starts_nothing() {
    let mut machine = surveyed(Purpose::Connect, serving());
    let action = step(&mut machine, candidate("new", false, Some("old")));
    assert!(!matches!(action, Action::Start { .. }), "{action:?}");
    let mut machine = surveyed(Purpose::Connect, nothing());
    assert_eq!(step(&mut machine, bad("new")), start(5, "new"));
}

#[test]
fn where_nothing_serves_a_failed_start_falls_back_once() {
    for purpose in [
        Purpose::Activate,
        Purpose::Connect,
        Purpose::Reload,
        Purpose::Deploy,
    ] {
        let mut machine = surveyed(purpose, nothing());
        let _ = step(&mut machine, candidate("new", false, Some("old")));
        let _ = step(&mut machine, failed("it exited"));
        assert_eq!(
            step(&mut machine, Event::Abandoned),
            starts(6, Source::LastGood, "old")
        );
        let _ = step(&mut machine, failed("it exited too"));
        assert_eq!(
            step(&mut machine, Event::Abandoned),
            finish_failed(
                6,
                "it exited; the last good release does not start either: it exited too"
            )
        );
    }
}

#[test]
fn where_nothing_serves_a_missing_executable_falls_back() {
    let mut machine = surveyed(Purpose::Activate, nothing());
    assert_eq!(
        step(&mut machine, refused(Some("old"))),
        starts(5, Source::LastGood, "old")
    );
    let _ = step(&mut machine, Event::Ready);
    let instead = Some("missing".to_owned());
    let ending = Ending::HandedOver {
        generation: Generation(5),
        source: Source::LastGood,
        instead,
    };
    assert_eq!(step(&mut machine, SERVES), Action::Finish(ending));
}

#[test]
fn while_one_serves_a_missing_executable_changes_nothing() {
    for purpose in [Purpose::Activate, Purpose::Reload, Purpose::Deploy] {
        let mut machine = surveyed(purpose, serving());
        let ending = Ending::Refused("missing".to_owned());
        assert_eq!(
            step(&mut machine, refused(Some("old"))),
            Action::Finish(ending)
        );
    }
}

#[test]
fn a_current_one_that_is_dead_does_not_count_as_serving() {
    let mut survey = serving();
    survey.running.clear();
    let mut machine = surveyed(Purpose::Reload, survey);
    // The same release, yet not "unchanged": nobody serves it.
    assert_eq!(step(&mut machine, good("old")), start(5, "old"));
}

#[test]
fn an_event_out_of_turn_is_an_error_and_no_action() {
    let mut machine = surveyed(Purpose::Reload, serving());
    assert!(machine.on_event(Event::Ready, now()).is_err());
    assert!(
        machine.on_event(good("new"), now()).is_err(),
        "a machine that erred stays over"
    );
}
