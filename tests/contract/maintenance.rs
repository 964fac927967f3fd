//! Maintenance where generations are child processes.

use std::time::Duration;

use portkeep_engine::handover::Purpose;
use portkeep_engine::maintenance::{self, Change, Changed};
use portkeep_engine::{EngineError, Generation, HoldingPage, Outcome, Request, hand_over};
use portkeep_tests::{Behaviour, probe, request};

/// What stands for the page here: one more build of the app, which answers by its own version.
fn page(world: &crate::world::World<portkeep_engine::backend::local::Local>) -> HoldingPage {
    let executable = world.directory.join("page");
    portkeep_tests::stamp::stamp(&probe(), &executable, &Behaviour::version("page"))
        .expect("it can be written");
    HoldingPage {
        executable,
        arguments: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_answers_until_it_is_over() {
    let (world, _kept) = crate::world("maintenance").await;
    let page = page(&world);
    let change = async |change: Change| {
        let (backend, store) = (&world.backend, &world.store);
        maintenance::change(
            backend,
            store,
            &world.spec,
            true,
            &change,
            Some(page.clone()),
        )
        .await
    };
    let off = change(Change::Off).await.expect("nothing is to be done");
    assert_eq!(off, Changed::Already);
    let slow = world.ask_in_background("/slow?ms=1000").await;
    let message = "soon".parse().expect("a message");
    let on = change(Change::On(Some(message))).await.expect("it begins");
    let Changed::HandedOver(outcome) = on else {
        panic!("{on:?}");
    };
    assert!(matches!(*outcome, Outcome::InMaintenance(_)), "{outcome:?}");
    assert_eq!(slow.await.expect("it was asked").version(), Some("v1"));
    world.until_only(Generation(2)).await;
    assert_eq!(world.ask("/").await.version(), Some("page"));
    // What others ask for is refused, and changes nothing.
    world.publish(&Behaviour::version("v2"));
    for purpose in [Purpose::Reload, Purpose::Deploy, Purpose::Retry] {
        let request = Request::now(purpose).or_holding_page(Some(page.clone()));
        let refused = hand_over(&world.backend, &world.store, &world.spec, request).await;
        let refused = refused.expect_err("it is refused");
        assert!(
            matches!(refused, EngineError::InMaintenance { .. }),
            "{refused}"
        );
    }
    let told = world.store.maintenance().expect("it is on").message();
    assert_eq!(told.as_deref(), Some("soon"));
    let _ = change(Change::Off).await.expect("it ends");
    world.until_only(Generation(3)).await;
    let answer = request(world.address, "/", Duration::from_secs(5));
    assert_eq!(answer.version(), Some("v1"), "what served before");
    assert!(world.store.maintenance().is_none());
}

/// Failed is: nothing has changed.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_does_not_start_leaves_the_app() {
    let (world, _kept) = crate::world("maintenance").await;
    let page = HoldingPage {
        executable: "/bin/false".into(),
        arguments: Vec::new(),
    };
    let (backend, store) = (&world.backend, &world.store);
    for page in [Some(page), None] {
        let on = Change::On(None);
        let begun = maintenance::change(backend, store, &world.spec, true, &on, page).await;
        begun.expect_err("there is no page");
        assert!(store.maintenance().is_none());
        assert_eq!(world.ask("/").await.version(), Some("v1"));
    }
}
