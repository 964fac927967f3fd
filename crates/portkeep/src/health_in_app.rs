//! Health of an app that serves, as the app itself reports it.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::drain_files::DrainFiles;
use crate::health::{Health, HealthReport, Readiness, Source};
use crate::task::{self, Boxed};

/// Names for values of the environment.
const PORTKEEP_NAME: &str = "PORTKEEP_NAME";
const PORTKEEP_GENERATION: &str = "PORTKEEP_GENERATION";

/// Mark in the file of every program that answers its health socket itself. `portkeep install` searches for it, and answers
/// for programs without it.
static MARK: [u8; 48] = *b"portkeep: this program answers its health socket";

pub(crate) struct AppHealth {
    health: Health,
    files: DrainFiles,
    app: Option<String>,
    generation: Option<u64>,
    stopping: AtomicBool,
}

impl AppHealth {
    pub(crate) fn new(health: Health, files: DrainFiles) -> Self {
        std::hint::black_box(&MARK);
        let number = std::env::var(PORTKEEP_GENERATION).ok();
        Self {
            health,
            files,
            app: std::env::var(PORTKEEP_NAME).ok(),
            generation: number.and_then(|number| number.parse().ok()),
            stopping: AtomicBool::new(false),
        }
    }

    /// It was asked to end, and there is no next generation.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
    }

    async fn tell(&self) -> HealthReport {
        let checks = self.health.checks().verdicts().await;
        let drained = self.files.look().is_some();
        let failed: Vec<_> = checks
            .iter()
            .filter_map(|(name, verdict)| Some(format!("{name}: {}", verdict.as_ref().err()?)))
            .collect();
        let (readiness, reason) = if self.stopping.load(Ordering::SeqCst) {
            (Readiness::Stopping, Some("it was asked to end".to_owned()))
        } else if !failed.is_empty() {
            (Readiness::NotReady, Some(failed.join("; ")))
        } else if drained {
            let reason = "it is being taken out, until `portkeep undrain`";
            (Readiness::Draining, Some(reason.to_owned()))
        } else {
            (Readiness::Ready, None)
        };
        HealthReport {
            readiness,
            reason,
            drained,
            app: self.app.clone(),
            generation: self.generation,
            checks,
        }
    }
}

impl Source for AppHealth {
    fn ask(self: std::sync::Arc<Self>) -> Boxed<HealthReport> {
        task::boxed(async move { self.tell().await })
    }
}
