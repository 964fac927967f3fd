//! Sends `WATCHDOG=1` from inside the runtime: a runtime that hangs stops sending it.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::task::AbortHandle;
use tokio::time::MissedTickBehavior;

use crate::task;

/// Dropping it ends the pings.
#[derive(Debug)]
pub(crate) struct Watchdog(Option<AbortHandle>);

/// Pings at half the interval that the service manager asks for, if it asks this process
/// (`WATCHDOG_USEC`, `WATCHDOG_PID`).
pub(crate) fn start() -> Watchdog {
    let interval = sd_notify::watchdog_enabled().map(|interval| interval / 2);
    // A zero interval means no watchdog to systemd, and a panic to tokio.
    let interval = interval.filter(|interval| !interval.is_zero());
    Watchdog(interval.map(|interval| task::spawn(ping(interval)).abort_handle()))
}

async fn ping(interval: Duration) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        super::send(&[NotifyState::Watchdog]);
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}
