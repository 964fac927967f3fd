//! Progress of a helper, as lines of the journal.

use anyhow::anyhow;
use portkeep_engine::decision;
use portkeep_engine::helper::{Progress, Settlement};
use portkeep_engine::settle::Settle;
use portkeep_engine::{Mismatch, Outcome};
use portkeep_spec::{AppName, unit_names};

use crate::output::{errln, outcome_line, outln};

/// Prints the progress of a helper of the app `name`.
pub(super) fn tell(name: &AppName) -> impl Fn(Progress<'_>) + Send + Sync {
    move |news| match news {
        Progress::Begins { id, purpose } => outln!("{name}: handover {id} ({purpose})"),
        // The journal has the decision already, with its fields.
        Progress::Ended(_) if decision::is_connected() => {}
        Progress::Ended(outcome @ Outcome::Holding(_)) => errln!("{}", outcome_line(name, outcome)),
        Progress::Ended(outcome) => outln!("{}", outcome_line(name, outcome)),
        Progress::Failed(error) => errln!("{}", error.with_causes()),
        Progress::ServesOn(error) => {
            errln!("{}\nthe current generation serves on", error.with_causes());
        }
        Progress::DeployAgain => {
            outln!("the output changed during the last deploy: deploying again");
        }
        Progress::DefaultRules(error) => {
            errln!("{}; settling by the default rules", error.with_causes());
        }
        Progress::Crashed { generation, reason } => outln!("generation {generation}: {reason}"),
        Progress::Settled(_) if decision::is_connected() => {}
        Progress::Settled(settlement) => settled(&settlement),
        other => outln!("{name}: {other:?}"),
    }
}

fn settled(settlement: &Settlement) {
    let how = format!("generation {}", settlement.generation);
    let crashes = settlement.crashes;
    let (most, within) = (settlement.budget.crashes, settlement.budget.within);
    match settlement.decided {
        Settle::Restart { after } => {
            outln!("{how}: crash {crashes} within {within:?}, started again after {after:?}");
        }
        Settle::Renew { is_bad: true } => {
            outln!("{how}: crash {crashes} of {most} within {within:?}: its release is given up");
        }
        Settle::Renew { is_bad: false } => {
            let page = match settlement.has_page {
                true => "the holding page is shown until it can be started",
                false => "it is started as soon as that can be",
            };
            outln!("{how}: {page}");
        }
        Settle::Rest => outln!("{how}: it is not started again"),
        Settle::Nothing | Settle::Forget => {}
    }
}

/// The error of a switch that installed an app which does not serve.
pub(super) fn does_not_serve(name: &AppName, instead: &Mismatch) -> anyhow::Error {
    let handle = unit_names::handle(name);
    anyhow!(
        "{name}: what is installed does not serve: {instead}. `portkeep history {name}` has more; correct it, and \
         switch again, or `systemctl reload {handle}`"
    )
}
