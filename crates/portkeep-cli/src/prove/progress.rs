//! Progress of a run, for the terminal.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A progress bar on a terminal; nothing elsewhere.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    answered: AtomicU64,
    failed: AtomicU64,
}

impl Progress {
    /// A bar for this number of reloads.
    pub(crate) fn new(times: u32) -> Self {
        let bar = match crate::output::stderr().is_terminal() {
            true => ProgressBar::new(times.into()),
            false => ProgressBar::hidden(),
        };
        // With a wrong template it would be a plain bar.
        if let Ok(style) = ProgressStyle::with_template("{bar:30} reload {pos}/{len}  {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self {
            bar,
            answered: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    pub(crate) fn count(&self, failed: bool) {
        let counter = if failed { &self.failed } else { &self.answered };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Sets the number of reloads done.
    pub(crate) fn reloads(&self, done: u64) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        self.bar.set_position(done);
        self.bar.set_message(format!(
            "{} answered, {} failed",
            read(&self.answered),
            read(&self.failed)
        ));
    }

    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
