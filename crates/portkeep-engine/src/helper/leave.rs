//! Tells load balancers about a shutdown of the machine before any part of the app ends.

use std::time::Duration;

use jiff::Timestamp;
use portkeep_spec::Manager as Which;
use tokio::time::sleep;

use super::HelperError;
use super::take_out::tell;
use crate::backend::systemd::is_stopping;
use crate::execute::doing;
use crate::store::{HistoryEvent, Store, TakenOutReason};
use crate::taken_out::TakenOut;

/// How long to wait at a shutdown of the machine: not at all if load balancers were told before.
fn rest(before: Option<TakenOut>, grace: Duration, now: Timestamp) -> Duration {
    before.map_or(grace, |before| before.left(now).min(grace))
}

/// `ExecStop=` of the unit that a shutdown stops first. At any other stop it does nothing.
///
/// # Errors
/// When the file cannot be written.
pub async fn leave(which: Which, store: &Store, grace: Duration) -> Result<(), HelperError> {
    if !is_stopping(which).await? {
        return Ok(());
    }
    let leaving = TakenOut::now(grace);
    store
        .note_leaving(leaving)
        .map_err(doing("note that the machine shuts down"))?;
    let before = store.taken_out();
    if before.is_none() {
        let record = store.taken_out_record(leaving, TakenOutReason::Shutdown);
        tell(store, Some(which), HistoryEvent::TakenOut(record));
    }
    sleep(rest(before, grace, Timestamp::now())).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_was_taken_out_before_is_not_waited_for_again() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let grace = Duration::from_secs(10);
        let before = |grace| {
            Some(TakenOut {
                since: at(1000),
                grace: Duration::from_secs(grace),
            })
        };
        assert_eq!(rest(None, grace, at(1000)), grace);
        assert_eq!(rest(before(10), grace, at(1004)), Duration::from_secs(6));
        assert_eq!(rest(before(10), grace, at(1010)), Duration::ZERO);
        assert_eq!(rest(before(60), grace, at(1010)), grace);
    }
}
