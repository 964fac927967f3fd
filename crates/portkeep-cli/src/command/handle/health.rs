//! Answers on the health sockets of an app that does not do so itself, while somebody asks.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use portkeep::{Source, Standing, Told};
use portkeep_engine::backend::systemd::{Manager, Systemd};
use portkeep_engine::health::{Health, Seen, health};
use portkeep_engine::{Backend, BackendError, Store};
use portkeep_spec::{AppName, Manager as Which, unit_names};
use tokio::sync::Mutex;

use crate::locate::{existing_store, place};

/// After so long without a question it ends; the next one starts it again.
const IDLE: Duration = Duration::from_secs(15);

/// Answers until nobody has asked for a while.
pub(super) async fn run(name: &AppName, which: Which) -> anyhow::Result<()> {
    let source = Seeing {
        name: name.clone(),
        which,
        store: existing_store(name, place(which))?,
        systemd: Mutex::new(None),
    };
    portkeep::answer_alone(Arc::new(source), IDLE).await?;
    Ok(())
}

struct Seeing {
    name: AppName,
    which: Which,
    store: Store,
    /// Connected to at the first question, and anew where it does not answer.
    systemd: Mutex<Option<Systemd>>,
}

impl Seeing {
    async fn look(&self) -> Result<Seen, BackendError> {
        let mut connected = self.systemd.lock().await;
        let systemd = match connected.take() {
            Some(systemd) => systemd,
            None => Systemd::new(self.connect().await?, self.store.clone()),
        };
        let handle = unit_names::handle(&self.name);
        let state = systemd.manager().state(&handle).await;
        let state = state.map_err(|error| BackendError::new("cannot ask for the app", error))?;
        let running = systemd.running().await?;
        *connected = Some(systemd);
        Ok(Seen {
            maintenance: self.store.maintenance().is_some(),
            taken_out: self.store.is_taken_out(),
            handle: state.active,
            current: self.store.current(),
            running,
        })
    }

    async fn connect(&self) -> Result<Manager, BackendError> {
        let connected = Manager::connect(self.which).await;
        connected.map_err(|error| BackendError::new("cannot connect to systemd", error))
    }

    async fn tell(&self) -> Told {
        let told = match self.look().await {
            Ok(seen) => told(health(&seen)),
            Err(error) => {
                let reason = format!("systemd does not answer: {error}");
                Told::new(Standing::Down, reason)
            }
        };
        Told {
            app: Some(self.name.to_string()),
            drained: self.store.is_taken_out(),
            ..told
        }
    }
}

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
        Box::pin(async move { self.tell().await })
    }
}
