//! A generation's `ExecCondition=`: spends the crash budget and backs off.

use std::path::Path;
use std::process::ExitCode;

use jiff::Timestamp;
use portkeep_engine::Generation;
use portkeep_engine::crash::{self, Budget, Gate};
use portkeep_spec::{AppName, Spec};

use crate::locate::{own_manager, place, store};

/// 1 to 254 skip the start; 255 would count as a failure, which is restarted for ever.
const SKIP: u8 = 1;

pub(super) async fn run(name: &AppName, generation: Generation, spec_path: &Path) -> anyhow::Result<ExitCode> {
    let store = store(name, place(own_manager()))?;
    let budget = Budget::of(&Spec::load(spec_path)?);
    match crash::gate(budget, &store.ends(generation), store.was_ready(generation), Timestamp::now()) {
        Gate::Open { after } => {
            tokio::time::sleep(after).await;
            Ok(ExitCode::SUCCESS)
        }
        Gate::Spent => {
            anstream::println!(
                "generation {generation} crashed {} times within {}: not started again",
                budget.crashes,
                humantime::format_duration(budget.within),
            );
            Ok(ExitCode::from(SKIP))
        }
        Gate::NeverReady => {
            anstream::println!("generation {generation} was never READY: not started again");
            Ok(ExitCode::from(SKIP))
        }
    }
}
