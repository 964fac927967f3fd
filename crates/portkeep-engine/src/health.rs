//! Whether requests are to be sent to an app that does not say so itself, by what is seen of it. Pure.

use crate::generation::{Generation, Phase, Running};

/// What is seen of an app.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Somebody wants maintenance.
    pub maintenance: bool,
    /// Somebody wants it taken out, or the machine shuts down.
    pub taken_out: bool,
    /// systemd's word for the state of its handle.
    pub handle: String,
    /// The generation that accepts connections, by the link to it.
    pub current: Option<Generation>,
    /// What runs of it; the holding page may have the number 0.
    pub running: Vec<Running>,
}

/// Whether requests are to be sent to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// They are: this generation serves.
    Ready(Generation),
    /// They are: nothing runs, and the next connection starts it.
    Resting,
    /// It is taken out.
    Draining(Option<Generation>),
    /// Somebody wants maintenance.
    Maintenance,
    /// Not yet: its first generation starts.
    Starting,
    /// No release can serve.
    Down,
}

/// Decides whether requests are to be sent.
#[must_use]
pub fn health(seen: &Seen) -> Health {
    if seen.maintenance {
        return Health::Maintenance;
    }
    let serves = seen.running.iter().find(|one| {
        one.phase == Phase::Serving
            && one.generation != Generation(0)
            && Some(one.generation) == seen.current
    });
    match serves {
        Some(one) if seen.taken_out => Health::Draining(Some(one.generation)),
        Some(one) => Health::Ready(one.generation),
        None if seen.handle == "inactive" && seen.taken_out => Health::Draining(None),
        None if seen.handle == "inactive" => Health::Resting,
        None if seen.running.iter().any(|one| one.phase == Phase::Starting) => Health::Starting,
        None => Health::Down,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(number: u64, phase: Phase) -> Running {
        Running {
            generation: Generation(number),
            phase,
        }
    }

    #[test]
    fn what_serves_is_ready_and_what_rests_can_be() {
        use Health::{Down, Draining, Maintenance, Ready, Resting, Starting};
        use Phase::{Draining as Drains, Serving, Starting as Starts};
        let number = Generation;
        for (handle, current, running, expected, out) in [
            ("inactive", None, vec![], Resting, Draining(None)),
            ("inactive", Some(3), vec![], Resting, Draining(None)),
            (
                "active",
                Some(3),
                vec![running(2, Drains), running(3, Serving)],
                Ready(number(3)),
                Draining(Some(number(3))),
            ),
            // A handover: the old one accepts as long as it is current.
            (
                "reloading",
                Some(3),
                vec![running(3, Serving), running(4, Starts)],
                Ready(number(3)),
                Draining(Some(number(3))),
            ),
            // The page has the number 0 where nobody may read which it has.
            ("active", Some(4), vec![running(0, Serving)], Down, Down),
            (
                "activating",
                None,
                vec![running(1, Starts)],
                Starting,
                Starting,
            ),
            ("activating", None, vec![], Down, Down),
            ("failed", Some(1), vec![], Down, Down),
            // It is settled.
            ("active", Some(3), vec![], Down, Down),
        ] {
            let seen = Seen {
                handle: handle.to_owned(),
                current: current.map(Generation),
                running,
                ..Seen::default()
            };
            assert_eq!(health(&seen), expected, "{seen:?}");
            let taken_out = Seen {
                taken_out: true,
                ..seen.clone()
            };
            assert_eq!(health(&taken_out), out, "{seen:?}");
            let in_maintenance = Seen {
                maintenance: true,
                ..taken_out
            };
            assert_eq!(health(&in_maintenance), Maintenance, "{seen:?}");
        }
    }
}
