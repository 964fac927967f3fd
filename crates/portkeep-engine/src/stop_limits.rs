//! Time limits of systemd that end what an app does before it goes: telling load balancers, and draining.

use std::path::PathBuf;
use std::time::Duration;

use portkeep_spec::{Manager as Which, Spec, leave_limit};

/// What a shutdown of the machine gives an app where nobody says otherwise: systemd's `DefaultTimeoutStopSec=`.
const USUAL_SHUTDOWN: Duration = Duration::from_secs(90);

/// What a limit ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitOf {
    /// All of an app, at a shutdown of the machine.
    Shutdown,
    /// The time in which load balancers are told of a shutdown of the machine.
    Leave,
    /// The drain of a generation.
    Drain,
}

/// `TimeoutStopSec=` of a unit, as systemd has it loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopLimit {
    /// What it ends.
    pub of: LimitOf,
    /// The unit; of a generation, its template.
    pub unit: String,
    /// Whose unit it is. A user's manager is itself a unit of the system's.
    pub which: Which,
    /// The limit; none where there is none.
    pub limit: Option<Duration>,
    /// The drop-ins of the unit.
    pub drop_ins: Vec<PathBuf>,
}

/// A limit that is shorter than what the spec promises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShortLimit {
    /// What it ends.
    pub of: LimitOf,
    /// The unit.
    pub unit: String,
    /// Whose unit it is.
    pub which: Which,
    /// The limit.
    pub limit: Duration,
    /// What it cuts: the grace, or the longest drain.
    pub wanted: Duration,
    /// A limit that cuts nothing.
    pub enough: Duration,
    /// The drop-ins of the unit.
    pub drop_ins: Vec<PathBuf>,
}

/// The limits that cut what the spec promises.
#[must_use]
pub fn too_short(limits: &[StopLimit], spec: &Spec) -> Vec<ShortLimit> {
    let short = limits.iter().filter_map(|one| match one.of {
        LimitOf::Shutdown | LimitOf::Leave => cut_grace(one, spec, *spec.drain_grace),
        LimitOf::Drain => {
            let wanted = *spec.drain_timeout;
            let limit = one.limit.filter(|limit| *limit < wanted)?;
            Some(one.cuts(limit, wanted, wanted))
        }
    });
    short.collect()
}

/// The limit that a shutdown of the machine would cut this grace by.
#[must_use]
pub fn cuts_grace(limits: &[StopLimit], spec: &Spec, grace: Duration) -> Option<ShortLimit> {
    let mut cut = limits.iter().filter_map(|one| cut_grace(one, spec, grace));
    cut.next()
}

/// Only health sockets tell anybody: without them a shutdown waits for no grace.
fn cut_grace(one: &StopLimit, spec: &Spec, grace: Duration) -> Option<ShortLimit> {
    if spec.health.is_empty() {
        return None;
    }
    let limit = one.limit?;
    let (wanted, enough) = match one.of {
        LimitOf::Shutdown => {
            let all = grace.saturating_add(*spec.drain_timeout);
            (grace, all.min(USUAL_SHUTDOWN).max(grace))
        }
        // A shutdown waits for no more than the grace of the spec.
        LimitOf::Leave => (grace.min(*spec.drain_grace), *leave_limit(spec)),
        LimitOf::Drain => return None,
    };
    (limit <= wanted && !wanted.is_zero()).then(|| one.cuts(limit, wanted, enough))
}

impl StopLimit {
    fn cuts(&self, limit: Duration, wanted: Duration, enough: Duration) -> ShortLimit {
        ShortLimit {
            of: self.of,
            unit: self.unit.clone(),
            which: self.which,
            limit,
            wanted,
            enough,
            drop_ins: self.drop_ins.clone(),
        }
    }
}

impl ShortLimit {
    /// Name of a drop-in that systemd reads after all that the unit has: it sorts them by their names, whichever directory they
    /// are in.
    #[must_use]
    pub fn last_drop_in(&self) -> String {
        const NAME: &str = "60-stop-limit.conf";
        let names = self.drop_ins.iter().filter_map(|path| path.file_name());
        let last = names.max().map(|name| name.to_string_lossy().into_owned());
        let is_late = |c: char| c >= 'z';
        match last {
            // What this wrote before is written over.
            Some(last) if last.trim_start_matches(is_late) == NAME => last,
            Some(last) if last.as_str() > NAME => {
                let late: String = last.chars().take_while(|c| is_late(*c)).collect();
                format!("{late}z{NAME}")
            }
            _ => NAME.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(more: &str) -> Spec {
        let text = format!(
            r#"{{"name":"a","exec":["/bin/a"],"listen":[{{"stream":"127.0.0.1:80"}}],"drainTimeout":"30s","drainGrace":"10s"{more}}}"#
        );
        Spec::from_json(&text).unwrap()
    }

    fn with_health() -> Spec {
        spec(r#","health":"127.0.0.1:81""#)
    }

    fn limit(of: LimitOf, seconds: u64) -> StopLimit {
        StopLimit {
            of,
            unit: "a.service".to_owned(),
            which: Which::System,
            limit: Some(Duration::from_secs(seconds)),
            drop_ins: Vec::new(),
        }
    }

    fn short(of: LimitOf, seconds: u64) -> Option<(u64, u64)> {
        let mut found = too_short(&[limit(of, seconds)], &with_health());
        let short = found.pop()?;
        Some((short.wanted.as_secs(), short.enough.as_secs()))
    }

    #[test]
    fn a_limit_is_too_short_where_it_cuts_what_the_spec_promises() {
        for (of, seconds, cut) in [
            (LimitOf::Shutdown, 90, None),
            (LimitOf::Shutdown, 11, None),
            (LimitOf::Shutdown, 10, Some((10, 40))),
            (LimitOf::Shutdown, 0, Some((10, 40))),
            (LimitOf::Leave, 20, None),
            (LimitOf::Leave, 10, Some((10, 20))),
            (LimitOf::Drain, 30, None),
            (LimitOf::Drain, 29, Some((30, 30))),
        ] {
            assert_eq!(short(of, seconds), cut, "{of:?} {seconds}");
        }
        let mut none = limit(LimitOf::Shutdown, 1);
        none.limit = None;
        assert_eq!(too_short(&[none], &with_health()), []);
    }

    #[test]
    fn without_health_sockets_nobody_is_told() {
        let limits = [limit(LimitOf::Shutdown, 1), limit(LimitOf::Leave, 1)];
        assert_eq!(too_short(&limits, &spec("")), []);
        let grace = Duration::from_secs(80);
        assert_eq!(cuts_grace(&limits, &spec(""), grace), None);
    }

    #[test]
    fn a_grace_is_cut_by_a_shutdown_that_is_shorter() {
        let of = |limits: &[StopLimit], seconds| {
            let short = cuts_grace(limits, &with_health(), Duration::from_secs(seconds));
            short.map(|short| (short.of, short.wanted.as_secs()))
        };
        let shutdown = [limit(LimitOf::Shutdown, 30)];
        assert_eq!(of(&shutdown, 29), None);
        assert_eq!(of(&shutdown, 30), Some((LimitOf::Shutdown, 30)));
        // It waits for 10 s, whatever somebody asks for.
        assert_eq!(of(&[limit(LimitOf::Leave, 20)], 60), None);
        let leave = [limit(LimitOf::Leave, 5)];
        assert_eq!(of(&leave, 60), Some((LimitOf::Leave, 10)));
        assert_eq!(of(&leave, 4), None);
        // What is stopped after the grace does not cut it.
        assert_eq!(of(&[limit(LimitOf::Drain, 1)], 60), None);
        assert_eq!(of(&[limit(LimitOf::Shutdown, 0)], 0), None);
    }

    #[test]
    fn the_drop_in_of_a_remedy_is_read_last() {
        for (last, expected) in [
            ("10-a.conf", "60-stop-limit.conf"),
            ("60-mine.conf", "60-stop-limit.conf"),
            ("60-stop-limit.conf", "60-stop-limit.conf"),
            ("70-mine.conf", "z60-stop-limit.conf"),
            ("override.conf", "z60-stop-limit.conf"),
            ("z60-stop-limit.conf", "z60-stop-limit.conf"),
            ("zz.conf", "zzz60-stop-limit.conf"),
            ("~last.conf", "~z60-stop-limit.conf"),
        ] {
            let short = ShortLimit {
                drop_ins: vec![
                    format!("/run/systemd/system/a.service.d/{last}").into(),
                    "/etc/systemd/system/service.d/00-first.conf".into(),
                ],
                ..limit(LimitOf::Leave, 1).cuts(Duration::ZERO, Duration::ZERO, Duration::ZERO)
            };
            let name = short.last_drop_in();
            assert_eq!(name, expected);
            assert!(name.as_str() >= last, "{name} is before {last}");
        }
    }
}
