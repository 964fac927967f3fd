//! What the settle units of an app call: settles one end of a generation, with systemd's own word on it.

use std::env;
use std::process::ExitCode;

use jiff::Timestamp;
use portkeep_engine::backend::systemd::{UnitState, Units};
use portkeep_engine::settle::{Budget, Ended, Settle, recent_crashes, settle};
use portkeep_engine::{End, Generation, Store, Surroundings};
use portkeep_spec::{Spec, unit_names};

use super::{Instance, One};
use crate::locate::{own_manager, place, read_spec, store};

/// Which of a generation's two hooks called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hook {
    /// `OnFailure=`.
    Failure,
    /// `OnSuccess=`.
    Success,
}

pub(super) async fn run(one: &One, hook: Hook) -> anyhow::Result<ExitCode> {
    if env::var_os("MONITOR_SERVICE_RESULT").is_none() && env::var_os("SERVICE_RESULT").is_some() {
        // The unit of the version before, in the middle of an upgrade: systemd itself starts it again.
        return Ok(ExitCode::SUCCESS);
    }
    let store = store(&one.name, place(own_manager()))?;
    let units = Units::of(own_manager(), store.clone());
    let Some(generation) = numbered(one.instance, &store) else {
        return Ok(ExitCode::SUCCESS);
    };
    let unit = match one.instance {
        Instance::Number(generation) => unit_names::generation(&one.name, generation.0),
        Instance::HoldingPage => unit_names::holding(&one.name),
    };
    // It stays loaded as long as this runs.
    let state = match units.manager().await {
        Some(manager) => manager.state(&unit).await.ok(),
        None => None,
    };
    let spec = read_spec(&one.spec);
    if let Err(error) = &spec {
        // It must not leave an active handle without a generation.
        crate::output::errln!("{error:#}; settling by the default rules");
    }
    let spec = spec.ok();
    let end = end(hook, state.as_ref());
    let reason = match &spec {
        Some(spec) => Surroundings::of(spec).explain(&end.cause()),
        None => end.describe(),
    };
    let ended = Ended {
        generation,
        end,
        reason,
        status: state.map(|state| state.status_text).unwrap_or_default(),
    };
    let budget = spec.as_ref().map(Budget::of).unwrap_or_default();
    if ended.end.is_crash() {
        // At once: the journal asks whose a line is when it reads it, and would find nobody where all is said before we end.
        crate::output::outln!("generation {}: {}", ended.generation, ended.reason);
    }
    let settled = settle(&units, &store, budget, &ended).await?;
    tell(&store, budget, &ended, settled, spec.as_ref());
    Ok(ExitCode::SUCCESS)
}

fn numbered(instance: Instance, store: &Store) -> Option<Generation> {
    match instance {
        Instance::Number(generation) => Some(generation),
        // A handover may have prepared another page, which did not run yet.
        Instance::HoldingPage => store
            .current()
            .filter(|current| store.is_holding(*current))
            .or_else(|| store.holding_generation()),
    }
}

/// How it ended. systemd's word to the hook is the truth at the time; the unit tells the rest, and all of it where the hook was
/// told nothing.
fn end(hook: Hook, unit: Option<&UnitState>) -> End {
    let told = |name: &str| env::var(name).unwrap_or_default();
    let unit = unit.map(UnitState::end);
    let ready = unit.as_ref().is_none_or(|unit| unit.ready);
    let mut end = End {
        at: Timestamp::now(),
        invocation: Some(told("MONITOR_INVOCATION_ID")).filter(|id| !id.is_empty()),
        result: told("MONITOR_SERVICE_RESULT"),
        code: told("MONITOR_EXIT_CODE"),
        status: told("MONITOR_EXIT_STATUS"),
        ready,
    };
    if end.result.is_empty() {
        end = unit.unwrap_or(end);
    }
    // Somebody may have reset the unit's state meanwhile; which hook was called stays true.
    match hook {
        Hook::Failure if matches!(end.result.as_str(), "" | "success") => {
            end.result = "exit-code".to_owned();
        }
        Hook::Success => end.result = "success".to_owned(),
        Hook::Failure => {}
    }
    end
}

/// In the journal.
fn tell(store: &Store, budget: Budget, ended: &Ended, settled: Settle, spec: Option<&Spec>) {
    if !ended.end.is_crash() {
        return;
    }
    let how = format!("generation {}", ended.generation);
    let ends = store.ends_with(ended.generation, &ended.end);
    let crashes = recent_crashes(budget, &ends, ended.end.at);
    let (most, within) = (budget.crashes, budget.within);
    match settled {
        Settle::Restart { after } => crate::output::outln!(
            "{how}: crash {crashes} within {within:?}, started again after {after:?}"
        ),
        Settle::Renew { is_bad: true } => crate::output::outln!(
            "{how}: crash {crashes} of {most} within {within:?}: its release is given up"
        ),
        Settle::Renew { is_bad: false } => {
            let page = match spec.is_some_and(Spec::speaks_http) {
                true => "the holding page is shown until it can be started",
                false => "it is started as soon as that can be",
            };
            crate::output::outln!("{how}: {page}");
        }
        Settle::Rest => crate::output::outln!("{how}: it is not started again"),
        Settle::Nothing | Settle::Forget => {}
    }
}
