//! Handovers under maintenance.

use super::*;

fn wanted(survey: Survey) -> Survey {
    Survey {
        in_maintenance: true,
        has_holding_page: true,
        ..survey
    }
}

fn page(generation: u64) -> Action {
    starts(generation, Source::Maintenance, "holding-page")
}

/// A machine that is told what is so, and what it does then.
fn begun(purpose: Purpose, survey: Survey) -> (Handover, Action) {
    let mut machine = Handover::new(purpose, Unchanged::IsDone, TIMEOUT);
    let _ = step(&mut machine, Event::Begun);
    let action = step(&mut machine, Event::Surveyed(survey));
    (machine, action)
}

/// The page serves, and generation 3 drains.
fn shown() -> Survey {
    wanted(Survey {
        current: Some((Generation(4), Some(Digest::holding_page()))),
        running: vec![alive(3, Phase::Draining), alive(4, Phase::Serving)],
        ..nothing()
    })
}

#[test]
fn the_page_takes_the_place_of_the_app_which_drains() {
    for purpose in [Purpose::Maintenance, Purpose::Activate, Purpose::Connect] {
        let (mut machine, action) = begun(purpose, wanted(serving()));
        assert_eq!(action, page(5), "{purpose:?}");
        assert_eq!(
            step(&mut machine, Event::Ready),
            Action::Switch(Generation(5))
        );
        let drain = Action::Drain(vec![Generation(4)]);
        assert_eq!(step(&mut machine, SERVES), drain);
        let ending = Ending::HandedOver {
            generation: Generation(5),
            source: Source::Maintenance,
            instead: None,
        };
        let finish = step(&mut machine, Event::DrainAsked);
        assert_eq!(finish, Action::Finish(ending));
    }
}

#[test]
fn what_is_shown_stays_unless_the_handle_is_restarted() {
    let (mut machine, action) = begun(Purpose::Maintenance, shown());
    assert_eq!(action, Action::Drain(vec![Generation(3)]));
    let unchanged = Action::Finish(Ending::Unchanged(Generation(4)));
    assert_eq!(step(&mut machine, Event::DrainAsked), unchanged);
    assert_eq!(begun(Purpose::Activate, shown()).1, page(5));
}

#[test]
fn nobody_else_ends_it() {
    for purpose in [
        Purpose::Reload,
        Purpose::Deploy,
        Purpose::Rollback,
        Purpose::Retry,
    ] {
        for survey in [serving(), nothing(), shown()] {
            let (mut machine, mut action) = begun(purpose, wanted(survey));
            if matches!(action, Action::Drain(_)) {
                action = step(&mut machine, Event::DrainAsked);
            }
            assert_eq!(action, Action::Finish(Ending::InMaintenance), "{purpose:?}");
        }
    }
}

/// Somebody took the last HTTP socket out of the spec.
#[test]
fn without_a_page_the_app_is_started() {
    let survey = Survey {
        has_holding_page: false,
        ..wanted(nothing())
    };
    assert_eq!(begun(Purpose::Activate, survey).1, Action::Capture);
}

#[test]
fn a_page_that_does_not_start_leaves_what_serves() {
    let (mut machine, _) = begun(Purpose::Maintenance, wanted(serving()));
    let _ = step(&mut machine, failed("it exited"));
    let finish = step(&mut machine, Event::Abandoned);
    assert_eq!(finish, finish_failed(5, "it exited"));
}

#[test]
fn at_its_end_a_release_takes_the_place_of_the_page() {
    let survey = Survey {
        in_maintenance: false,
        ..shown()
    };
    let (mut machine, action) = begun(Purpose::Maintenance, survey);
    assert_eq!(action, Action::Capture);
    assert_eq!(step(&mut machine, good("old")), start(5, "old"));
}
