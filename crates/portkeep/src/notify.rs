//! Messages of this process to its service manager. Without `NOTIFY_SOCKET` they do nothing.

mod watchdog;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sd_notify::NotifyState;

pub(crate) use watchdog::start as start_watchdog;

static READY_SENT: AtomicBool = AtomicBool::new(false);

/// Tells the service manager that this process serves (`READY=1`), once: later calls do nothing.
///
/// [`serve`](crate::serve) does this by itself. Call it only when you accept connections with
/// other means (actix-web, poem, tonic, your own hyper loop), and call it *before* the first
/// accept: the listening socket is shared with the generation that still serves, so whoever
/// accepts is answering already.
///
/// A process says it once: with several servers in it, the first that is ready says it for all.
///
/// # Errors
///
/// If the service manager cannot be told. It will then stop this process when its start timeout
/// ends, so give up.
pub fn ready() -> io::Result<()> {
    if READY_SENT.load(Ordering::SeqCst) {
        return Ok(());
    }
    sd_notify::notify(&[NotifyState::Ready])?;
    READY_SENT.store(true, Ordering::SeqCst);
    Ok(())
}

/// One line for `systemctl status`.
pub(crate) fn status(text: &str) {
    send(&[NotifyState::Status(text)]);
}

/// `STOPPING=1`: only for a process that was asked to end by SIGTERM or SIGINT, and after it was.
///
/// Sent while the unit is being reloaded, it cancels the reload job (systemd 259 and newer) and
/// the process is killed. A generation is never reloaded, it is stopped by a stop job, which is
/// running before the signal arrives; then the message changes nothing. It is there for a signal
/// that somebody sent by hand: systemd then knows that the coming exit is meant, and applies the
/// stop timeout.
pub(crate) fn stopping(status: &str) {
    send(&[NotifyState::Stopping, NotifyState::Status(status)]);
}

/// Extends the stop timeout to at least `from_now`. This never shortens it.
pub(crate) fn extend_timeout(from_now: Duration, status: &str) {
    let micros = u32::try_from(from_now.as_micros()).unwrap_or(u32::MAX);
    send(&[
        NotifyState::ExtendTimeoutUsec(micros),
        NotifyState::Status(status),
    ]);
}

fn send(state: &[NotifyState<'_>]) {
    // Serving goes on without it; a manager that waits for something will report that itself.
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "the service manager could not be told");
    }
}
