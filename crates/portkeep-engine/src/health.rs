//! Health of an app that does not report it, from what any user can see. A process without any rights reads it. It may not
//! even ask systemd: D-Bus refuses a dynamic user without a name.

mod control_groups;

use crate::generation::Generation;
use crate::store::Store;
use control_groups::ControlGroups;

/// Observed facts about an app.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Seen {
    /// Somebody wants maintenance.
    maintenance: bool,
    /// Whether somebody wants it taken out, or the machine shuts down.
    taken_out: bool,
    /// The current generation, by its link, if it has processes. It was READY.
    current: Option<Generation>,
    /// Whether the holding page has processes.
    page: bool,
    /// Whether another generation has processes.
    other: bool,
    /// Whether none has served since the boot, and one failed.
    failed: bool,
}

/// Whether load balancers should send it requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// They should: this generation serves.
    Ready(Generation),
    /// They should: nothing runs, and the next connection starts it.
    Resting,
    /// It is taken out.
    Draining(Option<Generation>),
    /// Somebody wants maintenance.
    Maintenance,
    /// Not yet: its first generation is starting.
    Starting,
    /// No release can serve.
    Down,
}

/// Decides whether load balancers should send requests to an app.
#[must_use]
pub fn health(store: &Store) -> Health {
    let groups = ControlGroups::of_this_process();
    let current = store.current();
    let lives = current.is_some_and(|one| groups.lives(store.name(), one));
    decide(&Seen {
        maintenance: store.maintenance().is_some(),
        taken_out: store.is_taken_out(),
        current: current.filter(|_| lives),
        page: !lives && groups.page_lives(store.name()),
        other: !lives && groups.any_lives(store.name()),
        failed: current.is_none() && store.has_failed_attempt(),
    })
}

fn decide(seen: &Seen) -> Health {
    if seen.maintenance {
        return Health::Maintenance;
    }
    match seen.current {
        Some(one) if seen.taken_out => Health::Draining(Some(one)),
        Some(one) => Health::Ready(one),
        None if seen.page => Health::Down,
        None if seen.other => Health::Starting,
        None if seen.failed => Health::Down,
        None if seen.taken_out => Health::Draining(None),
        None => Health::Resting,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_serves_is_ready_and_what_rests_can_be() {
        use Health::{Down, Draining, Maintenance, Ready, Resting, Starting};
        type See = fn(&mut Seen);
        let cases: [(See, Health, Health); 6] = [
            (|_| {}, Resting, Draining(None)),
            (
                |seen| {
                    seen.current = Some(Generation(3));
                    seen.failed = true;
                },
                Ready(Generation(3)),
                Draining(Some(Generation(3))),
            ),
            (|seen| seen.page = true, Down, Down),
            (|seen| seen.other = true, Starting, Starting),
            (|seen| seen.failed = true, Down, Down),
            (
                |seen| {
                    seen.page = true;
                    seen.other = true;
                },
                Down,
                Down,
            ),
        ];
        for (see, expected, out) in cases {
            let mut seen = Seen::default();
            see(&mut seen);
            assert_eq!(decide(&seen), expected, "{seen:?}");
            seen.taken_out = true;
            assert_eq!(decide(&seen), out, "{seen:?}");
            seen.maintenance = true;
            assert_eq!(decide(&seen), Maintenance, "{seen:?}");
        }
    }
}
