//! Units that a stop of apps waits for: generations that finish their requests.

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;

use jiff::Timestamp;
use portkeep_spec::{AppName, unit_names};
use tokio::time::timeout;

use crate::backend::systemd::{Manager, UnitState};

/// How long a stop takes before it is reported. Most are faster.
const PATIENCE: Duration = Duration::from_secs(2);

/// A unit that was told to end, and finishes its requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Its name.
    pub unit: String,
    /// Its status; empty if it has none.
    pub status: String,
    /// When systemd kills it; none if it has no limit.
    pub until: Option<Timestamp>,
}

impl Ending {
    /// The ending of a unit; none if it is not ending.
    fn of(unit: &str, state: &UnitState) -> Option<Self> {
        (state.active == "deactivating").then(|| Self {
            unit: unit.to_owned(),
            status: state.status_text.clone(),
            until: state.stops_until(),
        })
    }
}

/// Does `work`, during which `names` are stopped. After two seconds, `tell` gets each generation that it waits for, once.
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

/// Ending units of these apps. The caller reports problems of the manager.
async fn endings(manager: &Manager, names: &[AppName]) -> Vec<Ending> {
    let patterns: Vec<_> = names.iter().map(unit_names::generation_pattern).collect();
    let patterns: Vec<_> = patterns.iter().map(String::as_str).collect();
    // Without an app, all units would be listed.
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
