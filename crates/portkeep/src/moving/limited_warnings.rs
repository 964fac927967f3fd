//! Rate limit for warnings that others can cause as often as they like.

use std::fmt::Display;
use std::future::pending;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The shortest time between warnings. Service managers drop the lines of an app that logs too much.
const PAUSE: Duration = Duration::from_secs(10);

/// Warnings about one subject.
#[derive(Debug)]
pub(super) struct LimitedWarnings {
    what: &'static str,
    /// No warning before this.
    silent_until: Option<Instant>,
    /// Number of counted warnings, and the last error.
    untold: Option<(u64, String)>,
}

impl LimitedWarnings {
    pub(super) fn about(what: &'static str) -> Self {
        Self {
            what,
            silent_until: None,
            untold: None,
        }
    }

    /// Warns now, or counts.
    pub(super) fn add(&mut self, error: &impl Display) {
        let count = self.untold.take().map_or(0, |(count, _)| count);
        self.untold = Some((count + 1, error.to_string()));
        if self
            .silent_until
            .is_none_or(|until| until <= Instant::now())
        {
            self.tell();
        }
    }

    /// Warns about what was counted.
    pub(super) fn tell(&mut self) {
        if let Some((times, error)) = self.untold.take() {
            tracing::warn!(%error, times, "{}", self.what);
            self.silent_until = Some(Instant::now() + PAUSE);
        }
    }

    /// Resolves when a counted warning is due; never, if there is none.
    pub(super) async fn due(&self) {
        match (self.silent_until, &self.untold) {
            (Some(until), Some(_)) => sleep_until(until).await,
            _ => pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use tokio::time::{advance, timeout};

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Log {
        fn lines(&self) -> Vec<String> {
            let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
            text.lines().map(str::to_owned).collect()
        }
    }

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_two_lines() {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .without_time()
            .finish();
        let _guard = tracing::subscriber::set_default(subscriber);

        let mut warnings = LimitedWarnings::about("was refused");
        for _ in 0..12_000 {
            warnings.add(&"user 7 is not 8");
        }
        assert_eq!(log.lines().len(), 1);
        assert!(log.lines()[0].contains("was refused"), "{:?}", log.lines());
        assert!(log.lines()[0].contains("times=1"), "{:?}", log.lines());
        warnings.due().await;
        warnings.tell();
        assert!(log.lines()[1].contains("times=11999"), "{:?}", log.lines());
        // Without a counted warning, nobody is woken.
        assert!(timeout(PAUSE * 9, warnings.due()).await.is_err());
        warnings.tell();
        warnings.add(&"again");
        advance(PAUSE).await;
        warnings.add(&"again");
        assert_eq!(log.lines().len(), 4, "{:?}", log.lines());
    }
}
