//! Handovers of a release with a release command.

use super::*;

/// One whose release command has not succeeded yet.
fn unreleased(name: &str, fallback: Option<&str>, is_bad: bool) -> Event {
    let Event::Captured(candidate) = candidate(name, is_bad, fallback) else {
        unreachable!()
    };
    Event::Captured(Candidate {
        has_release_command: true,
        ..candidate
    })
}

#[test]
fn a_release_command_runs_before_the_start_and_not_for_what_served_before() {
    let mut machine = surveyed(Purpose::Reload, serving());
    let release = Action::Release(Generation(5));
    assert_eq!(step(&mut machine, unreleased("new", None, false)), release);
    assert_eq!(step(&mut machine, Event::Released), start(5, "new"));
    // What is current has been released, and what is known to be bad is for a person to try.
    let mut machine = surveyed(Purpose::Reload, serving());
    let unchanged = Action::Finish(Ending::Unchanged(Generation(4)));
    assert_eq!(
        step(&mut machine, unreleased("old", None, false)),
        unchanged
    );
    let mut machine = surveyed(Purpose::Deploy, serving());
    assert_eq!(
        step(&mut machine, unreleased("new", None, true)),
        Action::Finish(Ending::KnownBad(digest("new")))
    );
    let mut machine = surveyed(Purpose::Reload, serving());
    let release = Action::Release(Generation(5));
    assert_eq!(step(&mut machine, unreleased("new", None, true)), release);
}

#[test]
fn a_release_command_that_fails_changes_nothing() {
    let mut machine = surveyed(Purpose::Reload, serving());
    let _ = step(&mut machine, unreleased("new", None, false));
    assert!(matches!(
        step(&mut machine, failed("it exited")),
        Action::Abandon {
            blame: Blame::Release,
            ..
        }
    ));
    assert_eq!(
        step(&mut machine, Event::Abandoned),
        finish_failed(5, "it exited")
    );
}

#[test]
fn where_nothing_serves_the_last_good_release_takes_the_place_of_one_whose_command_fails() {
    let mut machine = surveyed(Purpose::Activate, nothing());
    let _ = step(&mut machine, unreleased("new", Some("old"), false));
    let _ = step(&mut machine, failed("it exited"));
    // It was released before: its command is not run again.
    assert_eq!(
        step(&mut machine, Event::Abandoned),
        starts(6, Source::LastGood, "old")
    );
}
