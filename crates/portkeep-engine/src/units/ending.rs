//! What a stop of apps waits for: generations that finish what they have.

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;

use jiff::Timestamp;
use portkeep_spec::{AppName, unit_names};
use tokio::time::timeout;

use crate::backend::systemd::{Manager, UnitState};

/// How long a stop takes before somebody wants to know why. Most are over sooner.
const PATIENCE: Duration = Duration::from_secs(2);

/// A unit that was told to end, and finishes what it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Its name.
    pub unit: String,
    /// What it says of itself; empty where it says nothing.
    pub status: String,
    /// When systemd kills it; none where it has no limit.
    pub until: Option<Timestamp>,
}

impl Ending {
    /// That of a unit; none where it does not end.
    fn of(unit: &str, state: &UnitState) -> Option<Self> {
        (state.active == "deactivating").then(|| Self {
            unit: unit.to_owned(),
            status: state.status_text.clone(),
            until: state.stops_until(),
        })
    }
}

/// Does `work`, in which `names` are stopped. Where that takes longer than two seconds, `tell` hears what it waits for, once for
/// each generation.
pub async fn told_of_endings<T>(
    manager: &Manager,
    names: &[AppName],
    tell: impl Fn(&Ending),
    work: impl Future<Output = T>,
) -> T {
    let mut work = pin!(work);
    let mut known = BTreeSet::new();
    loop {
        if let Ok(done) = timeout(PATIENCE, &mut work).await {
            return done;
        }
        for ending in endings(manager, names).await {
            if known.insert(ending.unit.clone()) {
                tell(&ending);
            }
        }
    }
}

/// What ends of these apps. Who stops them says what is wrong with the manager.
async fn endings(manager: &Manager, names: &[AppName]) -> Vec<Ending> {
    let patterns: Vec<_> = names.iter().map(unit_names::generation_pattern).collect();
    let patterns: Vec<_> = patterns.iter().map(String::as_str).collect();
    // Of no app, all units would be listed.
    if patterns.is_empty() {
        return Vec::new();
    }
    let mut endings = Vec::new();
    for (unit, _) in manager.list(&patterns).await.unwrap_or_default() {
        let state = manager.state(&unit).await;
        endings.extend(state.ok().and_then(|state| Ending::of(&unit, &state)));
    }
    endings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(active: &str) -> UnitState {
        UnitState {
            active: active.to_owned(),
            status_text: "draining, 1 request in flight".to_owned(),
            stopping_since_microseconds: 1_000_000,
            stop_timeout: Some(Duration::from_secs(3600)),
            ..UnitState::default()
        }
    }

    #[test]
    fn what_was_told_to_end_is_waited_for_until_systemd_kills_it() {
        for active in ["active", "activating", "inactive", "failed"] {
            assert_eq!(
                Ending::of("shop@3.service", &state(active)),
                None,
                "{active}"
            );
        }
        let ending = Ending::of("shop@3.service", &state("deactivating")).unwrap();
        assert_eq!(ending.until, Timestamp::from_second(3601).ok());
        assert_eq!(ending.status, "draining, 1 request in flight");
        let without_limit = UnitState {
            stop_timeout: None,
            ..state("deactivating")
        };
        assert_eq!(
            Ending::of("shop@3.service", &without_limit).unwrap().until,
            None
        );
    }
}
