//! Health page of an app that does not answer its health sockets itself. It runs while somebody asks.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use portkeep::{Source, Standing, Told};
use portkeep_engine::Store;
use portkeep_engine::health::{Health, health};
use portkeep_spec::{AppName, Manager as Which};

use crate::locate::{existing_store, place};

/// After so long without a question it ends; the next one starts it again.
const IDLE: Duration = Duration::from_secs(15);

/// Answers until nobody has asked for a while.
pub(super) async fn run(name: &AppName, which: Which) -> anyhow::Result<()> {
    let seeing = Seeing(existing_store(name, place(which))?);
    portkeep::answer_alone(Arc::new(seeing), IDLE).await?;
    Ok(())
}

/// Whoever looks at an app.
struct Seeing(Store);

/// What is told of it.
fn told(health: Health) -> Told {
    let told = |standing, reason: &str| Told::new(standing, reason.to_owned());
    let of = |generation, told| Told { generation, ..told };
    match health {
        Health::Ready(one) => of(Some(one.0), Told::new(Standing::Ready, None)),
        Health::Resting => told(Standing::Resting, "the next connection starts it"),
        Health::Draining(one) => of(
            one.map(|one| one.0),
            told(
                Standing::Draining,
                "it is being taken out, until `portkeep undrain`",
            ),
        ),
        Health::Maintenance => told(Standing::Maintenance, "somebody wants maintenance"),
        Health::Starting => told(Standing::NotReady, "its first generation starts"),
        Health::Down => told(Standing::Down, "no release can serve"),
    }
}

impl Source for Seeing {
    fn ask(self: Arc<Self>) -> Pin<Box<dyn Future<Output = Told> + Send>> {
        Box::pin(async move {
            Told {
                app: Some(self.0.name().to_string()),
                drained: self.0.is_taken_out(),
                ..told(health(&self.0))
            }
        })
    }
}
