use super::*;

#[test]
fn pages_reload_for_a_new_generation_but_not_for_styles() {
    let mut page = Page::new(7);
    page.serves(1, Changed::Pages);
    assert_eq!((page.page_since, page.styles), (1, 0));
    page.serves(2, Changed::Styles);
    assert_eq!((page.page_since, page.styles), (1, 1));
    page.serves(3, Changed::Pages);
    assert_eq!((page.page_since, page.styles), (3, 1));
    // Somebody asked for a new start: nothing changed, but the process did.
    page.serves(4, Changed::Nothing);
    assert_eq!(page.page_since, 4);
}

#[test]
fn the_first_generation_replaces_the_holding_page_whatever_changed() {
    let mut page = Page::new(7);
    page.serves(2, Changed::Styles);
    assert_eq!((page.page_since, page.styles), (2, 0));
}

fn failure(title: &str) -> Failure {
    Failure::of_output(title, "x")
}

fn shown(page: &Page) -> Option<&str> {
    page.failure().map(|failure| &*failure.title)
}

#[test]
fn a_failure_stays_until_something_good_comes() {
    let mut page = Page::new(7);
    page.building("src/main.rs", 8);
    page.failed(failure("the build failed"));
    page.building("src/main.rs", 8);
    assert!(shown(&page).is_some() && page.is_busy());
    page.unchanged(1, Changed::Nothing, "", None);
    assert!(shown(&page).is_none() && !page.is_busy());
    assert_eq!((page.styles, page.assets), (0, 0));
}

#[test]
fn to_start_the_old_version_again_does_not_mend_the_sources() {
    let mut page = Page::new(7);
    page.serves(1, Changed::Pages);
    page.failed(failure("the build failed"));
    page.restarted(2);
    assert_eq!(shown(&page), Some("the build failed"));
    assert_eq!((page.generation, page.page_since), (Some(2), 2));
    page.not_restarted(failure("did not start"));
    assert_eq!(shown(&page), Some("did not start"));
    page.restarted(3);
    assert_eq!(shown(&page), Some("the build failed"));
    page.serves(4, Changed::Pages);
    assert_eq!(shown(&page), None);
}

#[test]
fn what_did_not_start_may_start_when_it_is_asked_again() {
    let mut page = Page::new(7);
    page.not_started(failure("did not start"));
    page.not_restarted(failure("did not start again"));
    assert_eq!(shown(&page), Some("did not start again"));
    // Somebody rolled back: the newest is still what it was.
    page.is_served_by(2);
    assert_eq!(shown(&page), Some("did not start again"));
    page.restarted(3);
    assert_eq!(shown(&page), None);
}

#[test]
fn a_generation_that_is_gone_does_not_end_the_build_and_is_forgotten_when_the_next_serves() {
    let mut page = Page::new(7);
    page.serves(1, Changed::Pages);
    page.failed(failure("the build failed"));
    page.building("src/main.rs", 8);
    page.is_gone(1, failure("generation 1 is gone"));
    assert!(page.is_busy());
    assert_eq!(page.generation, None);
    assert_eq!(shown(&page), Some("generation 1 is gone"));
    page.is_held_by(2);
    page.is_served_by(3);
    assert_eq!(shown(&page), Some("the build failed"));
    assert!(page.is_busy());
    // A replaced one may end as it likes.
    page.is_gone(1, failure("generation 1 is gone"));
    assert_eq!(page.generation, Some(3));
    assert_eq!(shown(&page), Some("the build failed"));
}

#[test]
fn what_others_handed_over_to_is_loaded_anew_and_so_is_what_comes_next() {
    let mut page = Page::new(7);
    page.serves(1, Changed::Pages);
    page.is_served_by(2);
    assert_eq!(page.page_since, 2);
    // Only styles differ from the newest sources, but those do not serve.
    page.serves(3, Changed::Styles);
    assert_eq!((page.page_since, page.styles), (3, 0));
    page.serves(4, Changed::Styles);
    assert_eq!((page.page_since, page.styles), (3, 1));
    // The history tells of ours too.
    page.is_served_by(4);
    page.serves(5, Changed::Styles);
    assert_eq!((page.page_since, page.styles), (3, 2));
    page.is_held_by(6);
    assert_eq!(page.generation, None);
}

#[test]
fn what_others_handed_over_to_meanwhile_stays_what_serves() {
    let mut page = Page::new(7);
    page.serves(1, Changed::Pages);
    page.building("src/main.rs", 8);
    page.is_served_by(3);
    page.serves(2, Changed::Pages);
    assert_eq!((page.generation, page.page_since), (Some(3), 3));
    assert!(!page.is_busy());
}
