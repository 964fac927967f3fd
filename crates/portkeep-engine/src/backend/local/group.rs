//! The process of a generation, and the group that it leads.

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid,
};
use tokio::signal::unix::SignalKind;

/// Waits until a child has ended, and leaves it to be waited for.
pub(super) async fn has_ended(process: Option<Pid>) {
    let Some(process) = process else { return };
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    // Listened to first, so that an end between the look and the wait is told.
    let Ok(mut told) = tokio::signal::unix::signal(SignalKind::child()) else {
        return;
    };
    while let Ok(None) = waitid(WaitId::Pid(process), options) {
        if told.recv().await.is_none() {
            return;
        }
    }
}

/// Sends a signal to the process alone.
pub(super) fn signal(process: Option<Pid>, signal: Signal) {
    // It may have ended by itself in this moment.
    let _ = process.map(|pid| kill_process(pid, signal));
}

/// Ends the whole group. Only before its leader has been waited for.
pub(super) fn kill_all(group: Option<Pid>) {
    let _ = group.map(|pid| kill_process_group(pid, Signal::KILL));
}
