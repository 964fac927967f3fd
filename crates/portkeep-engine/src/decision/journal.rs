//! Sends announcements to the journal.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use libsystemd::logging::{Priority, connected_to_journal, journal_send};

use super::announcement::{Announcement, Severity};

/// A journal that does not answer must not hold up a handover.
const DEADLINE: Duration = Duration::from_secs(1);

/// Sends an entry. If the journal does not accept it, a process whose standard error goes to the journal prints the message
/// instead.
pub fn send(announcement: &Announcement) {
    let (done, sent) = mpsc::channel();
    let copy = announcement.clone();
    let sender = thread::Builder::new().name("journal".to_owned());
    let started = sender.spawn(move || {
        let fields = copy.fields().into_iter();
        // Nobody waits any more if the journal was slow.
        let _ = done.send(journal_send(priority(copy.severity()), copy.message(), fields).is_ok());
    });
    let is_sent = started.is_ok() && sent.recv_timeout(DEADLINE).unwrap_or(false);
    // Otherwise the command prints the message for its caller.
    if !is_sent && is_connected() {
        tracing::warn!("{}", announcement.message());
    }
}

/// Whether output of this process goes to the journal anyway: then it need not be printed twice.
#[must_use]
pub fn is_connected() -> bool {
    connected_to_journal()
}

fn priority(severity: Severity) -> Priority {
    match severity {
        Severity::Error => Priority::Error,
        Severity::Warning => Priority::Warning,
        Severity::Notice => Priority::Notice,
        Severity::Info => Priority::Info,
    }
}
