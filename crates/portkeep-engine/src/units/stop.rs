//! Stops apps as a whole.

use std::time::{Duration, Instant};

use portkeep_spec::{AppName, unit_names};

use super::manager::UnitManager;
use crate::backend::BackendError;

/// How long settling the ends of a stopped app may take.
const SETTLED: Duration = Duration::from_secs(10);
/// Interval of looks: the manager reports each unit by itself only.
const STEP: Duration = Duration::from_millis(10);

/// Stops apps, closes their ports, and waits until their generations are gone and their ends are settled.
///
/// # Errors
/// When the manager does not answer, or an end is not settled.
pub async fn stop(manager: &impl UnitManager, names: &[AppName]) -> Result<(), BackendError> {
    // First the units that could start the others again. The sockets stop with the target; the generations drain meanwhile.
    let starters = |name: &AppName| {
        [
            unit_names::path(name),
            unit_names::deploy(name),
            unit_names::recheck(name),
            unit_names::retry(name),
            unit_names::secrets_pattern(name),
            unit_names::secrets(name),
            unit_names::secrets_recheck(name),
            unit_names::leave(name),
        ]
    };
    let whole = |name: &AppName| {
        [
            unit_names::target(name),
            unit_names::handle(name),
            unit_names::health(name),
        ]
    };
    stop_loaded(manager, names.iter().flat_map(starters).collect()).await?;
    stop_loaded(manager, names.iter().flat_map(whole).collect()).await?;
    end_generations(manager, names).await
}

/// Stops handles and generations of apps; their sockets stay open.
///
/// # Errors
/// As [`stop`].
pub(super) async fn end(manager: &impl UnitManager, names: &[AppName]) -> Result<(), BackendError> {
    let handles = |name: &AppName| [unit_names::retry(name), unit_names::handle(name)];
    stop_loaded(manager, names.iter().flat_map(handles).collect()).await?;
    end_generations(manager, names).await
}

async fn end_generations(
    manager: &impl UnitManager,
    names: &[AppName],
) -> Result<(), BackendError> {
    let generations = |name: &AppName| {
        [
            unit_names::generation_pattern(name),
            unit_names::holding(name),
        ]
    };
    let generations: Vec<_> = names.iter().flat_map(generations).collect();
    // Twice: one may have been about to be started again at the first look.
    for _ in 0..2 {
        stop_loaded(manager, generations.clone()).await?;
        settled(manager, names).await?;
    }
    Ok(())
}

/// Stops the loaded units that match; failed ones count as stopped, and are reset.
async fn stop_loaded(
    manager: &impl UnitManager,
    patterns: Vec<String>,
) -> Result<(), BackendError> {
    let loaded = manager.loaded(&patterns).await?;
    let units: Vec<_> = loaded.into_iter().map(|(unit, _)| unit).collect();
    manager.stop_all(&units).await?;
    manager.forget_failures(&units).await
}

/// Waits until the ends of all generations are settled: the settle units call the helper, and read the spec.
async fn settled(manager: &impl UnitManager, names: &[AppName]) -> Result<(), BackendError> {
    let patterns: Vec<_> = names
        .iter()
        .flat_map(|name| unit_names::settle_units(name, "*"))
        .collect();
    let deadline = Instant::now() + SETTLED;
    loop {
        let units = manager.loaded(&patterns).await?;
        match units.iter().find(|(_, state)| state.is_started()) {
            None => return Ok(()),
            Some((unit, _)) if Instant::now() > deadline => {
                return Err(BackendError::new(
                    format!("the end of a generation is not settled within {SETTLED:?}"),
                    format!("{unit} does not end; see `systemctl status {unit}`"),
                ));
            }
            Some(_) => tokio::time::sleep(STEP).await,
        }
    }
}
