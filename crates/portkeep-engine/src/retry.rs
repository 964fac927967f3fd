//! Decides when a failed release is tried again while a holding page answers. Pure, over the history.

use std::time::Duration;

use crate::handover::Purpose;
use crate::store::{HandoverRecord, HandoverResult};

/// The reason of a failure may go away: a database that was down.
const FIRST: Duration = Duration::from_secs(30);
/// One release that never starts must not fill the history.
const LONGEST: Duration = Duration::from_secs(600);

/// The pause before the next try. It grows with each try since a person acted.
#[must_use]
pub fn pause(history: &[HandoverRecord]) -> Duration {
    let tries = history
        .iter()
        .rev()
        .take_while(|record| {
            record.purpose == Purpose::Retry || record.result == HandoverResult::Holding
        })
        .filter(|record| record.purpose == Purpose::Retry)
        .count();
    let doublings = u32::try_from(tries).unwrap_or(u32::MAX).min(16);
    FIRST.saturating_mul(1 << doublings).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handover::HandoverId;
    use crate::store::Steps;

    fn records(lines: &[(Purpose, HandoverResult)]) -> Vec<HandoverRecord> {
        let record = |(purpose, result): &(Purpose, HandoverResult)| HandoverRecord {
            at: jiff::Timestamp::UNIX_EPOCH,
            id: HandoverId::default(),
            purpose: *purpose,
            result: *result,
            generation: None,
            previous: None,
            digest: None,
            label: None,
            source: None,
            drained: Vec::new(),
            steps: Steps::default(),
            reason: None,
        };
        lines.iter().map(record).collect()
    }

    #[test]
    fn it_grows_until_somebody_does_something() {
        let (held, failed) = (
            (Purpose::Activate, HandoverResult::Holding),
            (Purpose::Retry, HandoverResult::Failed),
        );
        let crashed = (Purpose::Retry, HandoverResult::HandedOver);
        let deployed = (Purpose::Deploy, HandoverResult::Failed);
        for (lines, seconds) in [
            (&[][..], 30),
            (&[held], 30),
            (&[held, failed, failed], 120),
            // It was READY and crashed: the page again, and the pause continues to grow.
            (&[held, crashed, held, crashed, held], 120),
            (&[held, failed, failed, deployed], 30),
            (&[failed; 40], 600),
        ] {
            assert_eq!(
                pause(&records(lines)),
                Duration::from_secs(seconds),
                "{lines:?}"
            );
        }
    }
}
