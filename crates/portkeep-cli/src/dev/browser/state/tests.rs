use super::*;

#[test]
fn pages_reload_for_a_new_generation_but_not_for_styles() {
    let mut state = State::new();
    state.serves(1, Changed::Pages);
    assert_eq!((state.page_since, state.styles), (1, 0));
    state.serves(2, Changed::Styles);
    assert_eq!((state.page_since, state.styles), (1, 1));
    state.serves(3, Changed::Pages);
    assert_eq!((state.page_since, state.styles), (3, 1));
    // Somebody asked for a new start: nothing changed, but the process did.
    state.serves(4, Changed::Nothing);
    assert_eq!(state.page_since, 4);
}

#[test]
fn the_first_generation_replaces_the_holding_page_whatever_changed() {
    let mut state = State::new();
    state.serves(2, Changed::Styles);
    assert_eq!((state.page_since, state.styles), (2, 0));
}

fn failure(title: &str) -> Failure {
    Failure::of_output(title, "x")
}

fn shown(state: &State) -> Option<&str> {
    state.failure().map(|failure| &*failure.title)
}

#[test]
fn a_failure_stays_until_something_good_comes() {
    let mut state = State::new();
    state.building("src/main.rs");
    state.failed(failure("the build failed"));
    state.building("src/main.rs");
    assert!(shown(&state).is_some() && state.is_busy());
    state.unchanged(1, Changed::Nothing, "");
    assert!(shown(&state).is_none() && !state.is_busy());
    assert_eq!((state.styles, state.assets), (0, 0));
}

#[test]
fn to_start_the_old_version_again_does_not_mend_the_sources() {
    let mut state = State::new();
    state.serves(1, Changed::Pages);
    state.failed(failure("the build failed"));
    state.restarted(2);
    assert_eq!(shown(&state), Some("the build failed"));
    assert_eq!((state.generation, state.page_since), (Some(2), 2));
    state.not_restarted(failure("did not start"));
    assert_eq!(shown(&state), Some("did not start"));
    state.restarted(3);
    assert_eq!(shown(&state), Some("the build failed"));
    state.serves(4, Changed::Pages);
    assert_eq!(shown(&state), None);
}

#[test]
fn what_did_not_start_may_start_when_it_is_asked_again() {
    let mut state = State::new();
    state.not_started(failure("did not start"));
    state.not_restarted(failure("did not start again"));
    assert_eq!(shown(&state), Some("did not start again"));
    // Somebody rolled back: the newest is still what it was.
    state.is_served_by(2);
    assert_eq!(shown(&state), Some("did not start again"));
    state.restarted(3);
    assert_eq!(shown(&state), None);
}

#[test]
fn a_generation_that_is_gone_does_not_end_the_build_and_is_forgotten_when_the_next_serves() {
    let mut state = State::new();
    state.serves(1, Changed::Pages);
    state.failed(failure("the build failed"));
    state.building("src/main.rs");
    state.is_gone(1, failure("generation 1 is gone"));
    assert!(state.is_busy());
    assert_eq!(state.generation(), None);
    assert_eq!(shown(&state), Some("generation 1 is gone"));
    state.is_held_by(2);
    state.is_served_by(3);
    assert_eq!(shown(&state), Some("the build failed"));
    assert!(state.is_busy());
    // A replaced one may end as it likes.
    state.is_gone(1, failure("generation 1 is gone"));
    assert_eq!(state.generation(), Some(3));
    assert_eq!(shown(&state), Some("the build failed"));
}

#[test]
fn what_others_handed_over_to_is_loaded_anew_and_so_is_what_comes_next() {
    let mut state = State::new();
    state.serves(1, Changed::Pages);
    state.is_served_by(2);
    assert_eq!(state.page_since, 2);
    // Only styles differ from the newest sources, but those do not serve.
    state.serves(3, Changed::Styles);
    assert_eq!((state.page_since, state.styles), (3, 0));
    state.serves(4, Changed::Styles);
    assert_eq!((state.page_since, state.styles), (3, 1));
    // The history tells of ours too.
    state.is_served_by(4);
    state.serves(5, Changed::Styles);
    assert_eq!((state.page_since, state.styles), (3, 2));
    state.is_held_by(6);
    assert_eq!(state.generation(), None);
}

#[test]
fn a_page_is_told_what_is_wrong_and_by_whom() {
    let mut state = State::new();
    state.serves(1, Changed::Pages);
    state.files(Changed::Pages, "a.html");
    let told = state.told(7).unwrap();
    assert_eq!(told["via"], 7);
    assert_eq!(told["failure"], Value::Null);
    assert_eq!(
        (&told["assets"], &told["files"]),
        (&1.into(), &"a.html".into())
    );
    state.failed(failure("the build failed"));
    assert_eq!(
        state.told(7).unwrap()["failure"]["title"],
        "the build failed"
    );
    assert_eq!(state.made_of(), format!("{} 0 1", state.session));
}
