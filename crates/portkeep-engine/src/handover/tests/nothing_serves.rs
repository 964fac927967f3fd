//! Handovers when no release can serve, and after a helper was killed.

use super::*;

/// Nothing runs, and a holding page can be shown.
fn nothing_but_a_page() -> Survey {
    Survey {
        has_holding_page: true,
        ..nothing()
    }
}

fn page(generation: u64) -> Action {
    starts(generation, Source::HoldingPage, "holding-page")
}

#[test]
fn where_nothing_can_serve_a_page_says_so_and_keeps_the_reason() {
    for purpose in [Purpose::Activate, Purpose::Reload, Purpose::Deploy] {
        let mut machine = surveyed(purpose, nothing_but_a_page());
        let _ = step(&mut machine, good("new"));
        let _ = step(&mut machine, failed("it exited"));
        assert_eq!(step(&mut machine, Event::Abandoned), page(6));
        let _ = step(&mut machine, Event::Ready);
        let ending = Ending::HandedOver {
            generation: Generation(6),
            source: Source::HoldingPage,
            instead: Some("it exited".to_owned()),
        };
        assert_eq!(step(&mut machine, SERVES), Action::Finish(ending));
    }
    let mut machine = surveyed(Purpose::Activate, nothing_but_a_page());
    assert_eq!(step(&mut machine, refused(None)), page(5));
    let mut machine = surveyed(Purpose::Activate, nothing_but_a_page());
    assert_eq!(step(&mut machine, bad("new")), page(5));
}

#[test]
fn the_last_good_release_goes_before_a_page() {
    let mut machine = surveyed(Purpose::Activate, nothing_but_a_page());
    let _ = step(&mut machine, candidate("new", false, Some("old")));
    let _ = step(&mut machine, failed("it exited"));
    assert_eq!(
        step(&mut machine, Event::Abandoned),
        starts(6, Source::LastGood, "old")
    );
    let _ = step(&mut machine, failed("it hangs"));
    assert_eq!(step(&mut machine, Event::Abandoned), page(7));
    let _ = step(&mut machine, failed("no memory"));
    let all = "it exited; the last good release does not start either: it hangs; \
               the holding page does not start either: no memory";
    assert_eq!(step(&mut machine, Event::Abandoned), finish_failed(7, all));
}

#[test]
fn a_start_that_somebody_stopped_is_not_answered_by_a_page() {
    let mut machine = surveyed(Purpose::Activate, nothing_but_a_page());
    let _ = step(&mut machine, good("new"));
    let stopped = Event::Failed {
        reason: "stopped".to_owned(),
        blame: Blame::Circumstances,
    };
    let _ = step(&mut machine, stopped);
    assert_eq!(
        step(&mut machine, Event::Abandoned),
        finish_failed(5, "stopped")
    );
}

/// Every release lacks what the unit names: the last good one is not tried, and the holding page answers at once.
#[test]
fn what_is_missing_beside_the_release_is_answered_by_a_page() {
    let mut machine = surveyed(Purpose::Activate, nothing_but_a_page());
    let _ = step(&mut machine, candidate("new", false, Some("old")));
    let missing = Event::Failed {
        reason: "its credentials could not be loaded".to_owned(),
        blame: Blame::Prerequisites,
    };
    let _ = step(&mut machine, missing);
    assert_eq!(step(&mut machine, Event::Abandoned), page(6));
}

/// The holding page runs as generation 4.
fn holding() -> Survey {
    Survey {
        current: Some((Generation(4), Some(Digest::holding_page()))),
        has_holding_page: true,
        ..serving()
    }
}

#[test]
fn a_page_serves_on_until_a_release_can() {
    for purpose in [Purpose::Reload, Purpose::Deploy, Purpose::Retry] {
        let mut machine = surveyed(purpose, holding());
        let _ = step(&mut machine, good("new"));
        let _ = step(&mut machine, failed("it exited"));
        assert_eq!(
            step(&mut machine, Event::Abandoned),
            finish_failed(5, "it exited")
        );
        let mut machine = surveyed(purpose, holding());
        let _ = step(&mut machine, good("new"));
        let _ = step(&mut machine, Event::Ready);
        assert_eq!(
            step(&mut machine, SERVES),
            Action::Drain(vec![Generation(4)])
        );
    }
    // A good release replaces the holding page at once.
    let mut machine = surveyed(Purpose::Reload, holding());
    assert_eq!(
        step(&mut machine, refused(Some("old"))),
        starts(5, Source::LastGood, "old")
    );
}

#[test]
fn a_retry_tries_a_bad_release_and_leaves_one_that_serves() {
    let mut machine = surveyed(Purpose::Retry, holding());
    assert_eq!(step(&mut machine, bad("new")), start(5, "new"));
    let mut machine = surveyed(Purpose::Retry, serving());
    assert_eq!(
        step(&mut machine, bad("old")),
        Action::Finish(Ending::Unchanged(Generation(4)))
    );
}

#[test]
fn what_a_killed_helper_left_is_drained_also_where_nothing_is_handed_over() {
    let strays = || {
        let mut survey = serving();
        survey.running.push(alive(3, Phase::Serving));
        survey
    };
    let drained = Action::Drain(vec![Generation(3)]);
    let mut machine = surveyed(Purpose::Reload, strays());
    assert_eq!(step(&mut machine, refused(None)), drained);
    let mut machine = surveyed(Purpose::Deploy, strays());
    assert_eq!(step(&mut machine, bad("new")), drained);
    let mut machine = surveyed(Purpose::Reload, strays());
    let _ = step(&mut machine, good("new"));
    let _ = step(&mut machine, failed("it exited"));
    assert_eq!(step(&mut machine, Event::Abandoned), drained);
    assert_eq!(
        step(&mut machine, Event::DrainAsked),
        finish_failed(5, "it exited")
    );
}

#[test]
fn one_that_cannot_be_made_current_is_abandoned() {
    let mut machine = surveyed(Purpose::Reload, serving());
    let _ = step(&mut machine, good("new"));
    let _ = step(&mut machine, Event::Ready);
    let full = Event::Failed {
        reason: "disk full".to_owned(),
        blame: Blame::Circumstances,
    };
    assert!(matches!(step(&mut machine, full), Action::Abandon { .. }));
    assert_eq!(
        step(&mut machine, Event::Abandoned),
        Action::SwitchBack(Generation(4))
    );
}
