//! Answers the health sockets of an app that does not do so itself. It runs only while it is asked.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use portkeep::{HealthReport, Readiness, Source};
use portkeep_engine::Store;
use portkeep_engine::health::{Health, health};
use portkeep_spec::{AppName, Manager as Which};

use crate::locate::{existing_store, place};

/// It ends after this time without a question; the next one starts it again.
const IDLE: Duration = Duration::from_secs(15);

/// Answers until nobody has asked for a while.
pub(super) async fn run(name: &AppName, which: Which) -> anyhow::Result<()> {
    let seeing = StoreHealth(existing_store(name, place(which))?);
    portkeep::answer_alone(Arc::new(seeing), IDLE).await?;
    Ok(())
}

/// Health by the app's store.
struct StoreHealth(Store);

/// The report for a health.
fn told(health: Health) -> HealthReport {
    let told = |readiness, reason: &str| HealthReport::new(readiness, reason.to_owned());
    let of = |generation, told| HealthReport { generation, ..told };
    match health {
        Health::Ready(one) => of(Some(one.0), HealthReport::new(Readiness::Ready, None)),
        Health::Resting => told(Readiness::Resting, "the next connection starts it"),
        Health::Draining(one) => of(
            one.map(|one| one.0),
            told(
                Readiness::Draining,
                "it is being taken out, until `portkeep undrain`",
            ),
        ),
        Health::Maintenance => told(Readiness::Maintenance, "somebody wants maintenance"),
        Health::Starting => told(Readiness::NotReady, "its first generation starts"),
        Health::Down => told(Readiness::Down, "no release can serve"),
    }
}

impl Source for StoreHealth {
    fn ask(self: Arc<Self>) -> Pin<Box<dyn Future<Output = HealthReport> + Send>> {
        Box::pin(async move {
            HealthReport {
                app: Some(self.0.name().to_string()),
                drained: self.0.is_taken_out(),
                ..told(health(&self.0))
            }
        })
    }
}
