//! What every backend of the engine promises. Each function is one promise; `local.rs` and
//! `systemd.rs` hold them against a backend.

use std::thread;
use std::time::{Duration, Instant};

use portkeep_engine::{Backend, Cancel, Generation, Phase, Running};
use portkeep_tests::{Behaviour, Mode};

use crate::world::World;

const SOON: Duration = Duration::from_secs(20);

/// `start` answers when the new generation is READY, not before.
pub(crate) async fn start_answers_when_ready<B: Backend>(world: World<B>) {
    world.publish(&Behaviour::version("v2").start_delay(Duration::from_millis(500)));
    let begun = Instant::now();
    world.hand_over().await.expect("v2 starts");
    assert!(begun.elapsed() >= Duration::from_millis(500), "{begun:?}");
    world.until_only(Generation(2)).await;
    assert_eq!(world.ask("/").await.version(), Some("v2"));
}

/// A process that ends before READY is a failed start with a reason; the old generation does not notice.
pub(crate) async fn a_failed_start_has_a_reason_and_changes_nothing<B: Backend>(world: World<B>) {
    for (mode, reason) in [(Mode::Exit, "3"), (Mode::SegvBeforeReady, "SEGV")] {
        world.publish(&Behaviour::version("v2").mode(mode));
        let error = world.hand_over().await.expect_err("v2 does not start");
        let told = error.to_string();
        assert!(told.contains(reason), "{mode:?}: {told}");
        // What failed was abandoned: nothing of it is left.
        assert_eq!(world.running().await, [serving(1)], "{mode:?}");
        assert_eq!(world.ask("/").await.version(), Some("v1"));
    }
}

/// A process that never says READY is given up at the spec's `startTimeout`, and ended.
pub(crate) async fn a_start_ends_at_its_deadline<B: Backend>(world: World<B>) {
    world.publish(&Behaviour::version("v2").mode(Mode::NeverReady));
    let begun = Instant::now();
    world.hand_over().await.expect_err("v2 is never ready");
    let took = begun.elapsed();
    assert!(took >= World::<B>::START_TIMEOUT, "{took:?}");
    assert!(took < World::<B>::START_TIMEOUT + SOON, "{took:?}");
    assert_eq!(world.running().await, [serving(1)]);
    assert_eq!(world.ask("/").await.version(), Some("v1"));
}

/// A start that nobody waits for any more is ended, and says nothing against the release.
pub(crate) async fn a_start_can_be_given_up<B: Backend>(world: World<B>) {
    world.publish(&Behaviour::version("v2").mode(Mode::NeverReady));
    let cancel = Cancel::default();
    let begun = Instant::now();
    let starting = world.hand_over_unless(&cancel);
    let ask = async {
        world
            .until("it starts", async || {
                let running = world.running().await;
                let is_starting = |one: &Running| one.phase == Phase::Starting;
                running.iter().any(is_starting).then_some(())
            })
            .await;
        cancel.ask();
    };
    let (result, ()) = tokio::join!(starting, ask);
    let told = result.expect_err("it is given up").to_string();
    assert!(told.contains("given up"), "{told}");
    let took = begun.elapsed();
    assert!(took < World::<B>::START_TIMEOUT, "{took:?}");
    assert_eq!(world.running().await, [serving(1)]);
    world.publish(&Behaviour::version("v3"));
    world.hand_over().await.expect("v3 starts");
    world.until_only(Generation(3)).await;
}

/// `drain` answers at once, may be repeated, and lets a request under way finish.
pub(crate) async fn a_drain_lets_requests_finish<B: Backend>(world: World<B>) {
    let slow = world.ask_in_background("/slow?ms=3000").await;
    let begun = Instant::now();
    for _ in 0..3 {
        let drained = world.backend.drain(Generation(1)).await;
        drained.expect("it can be asked to drain");
    }
    // The request takes longer.
    assert!(begun.elapsed() < Duration::from_secs(2), "{begun:?}");
    world
        .until("it drains", async || {
            let phases: Vec<_> = world.running().await.iter().map(|one| one.phase).collect();
            (phases == [Phase::Draining]).then_some(())
        })
        .await;
    assert_eq!(slow.await.expect("it was asked").version(), Some("v1"));
    world.until_none().await;
}

/// A process that does not react is ended at the spec's `drainTimeout`, and not started again.
pub(crate) async fn a_drain_ends_at_its_deadline<B: Backend>(world: World<B>) {
    // A process that is alive may ask for more time, and would be given it; this one hangs.
    world.publish(&Behaviour::version("v2").mode(Mode::Deaf));
    world.hand_over().await.expect("v2 starts");
    world.until_only(Generation(2)).await;
    let begun = Instant::now();
    let drained = world.backend.drain(Generation(2)).await;
    drained.expect("it can be asked to drain");
    world.until_none().await;
    let took = begun.elapsed();
    assert!(took >= World::<B>::DRAIN_TIMEOUT, "{took:?}");
    assert!(took < World::<B>::DRAIN_TIMEOUT + SOON, "{took:?}");
    thread::sleep(Duration::from_millis(500));
    assert_eq!(world.running().await, []);
}

/// A generation that crashes after READY is started again under its number.
pub(crate) async fn a_crash_after_ready_is_started_again<B: Backend>(world: World<B>) {
    let after = Duration::from_millis(500);
    world.publish(&Behaviour::version("v2").mode(Mode::SegvAfterReady { after }));
    world.hand_over().await.expect("v2 starts");
    world.until_only(Generation(2)).await;
    let first = world.process().await;
    world
        .until("another process answers", async || {
            let process = world.process().await;
            (process.is_some() && process != first).then_some(())
        })
        .await;
    let generations: Vec<_> = world
        .running()
        .await
        .iter()
        .map(|one| one.generation)
        .collect();
    assert_eq!(generations, [Generation(2)]);
}

/// An unchanged release is done; asked for with force, it is a new generation.
pub(crate) async fn an_unchanged_release_is_done<B: Backend>(world: World<B>) {
    let outcome = world.hand_over().await.expect("nothing is to be done");
    assert_eq!(outcome, portkeep_engine::Outcome::Unchanged(Generation(1)));
    assert_eq!(world.running().await, [serving(1)]);
    world.hand_over_by_force().await.expect("v1 starts again");
    world.until_only(Generation(2)).await;
}

fn serving(number: u64) -> Running {
    Running {
        generation: Generation(number),
        phase: Phase::Serving,
    }
}

/// Makes a test of each promise. `world` gives an app where generation 1 serves v1, and what keeps it.
macro_rules! hold {
    ($world:ident: $($promise:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $promise() {
                let (world, _kept) = $world(stringify!($promise)).await;
                crate::promises::$promise(world).await;
            }
        )*
    };
    ($world:ident) => {
        $crate::promises::hold! { $world:
            start_answers_when_ready
            a_failed_start_has_a_reason_and_changes_nothing
            a_start_ends_at_its_deadline
            a_start_can_be_given_up
            a_drain_lets_requests_finish
            a_drain_ends_at_its_deadline
            a_crash_after_ready_is_started_again
            an_unchanged_release_is_done
        }
    };
}
pub(crate) use hold;
