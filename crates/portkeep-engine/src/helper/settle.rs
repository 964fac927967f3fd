//! Step of the settle units: settles one end of a generation from what systemd passes in the environment.

use std::env;
use std::path::Path;
use std::str::FromStr;

use jiff::Timestamp;
use portkeep_spec::{contract, unit_names};

use super::progress::{Progress, Settlement};
use super::{HelperError, read_spec};
use crate::backend::systemd::Units;
use crate::end::End;
use crate::generation::Generation;
use crate::prerequisites::Prerequisites;
use crate::settle::{self, Budget, Ended, recent_crashes};
use crate::store::Store;

/// Which of a generation's two hooks called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// `OnFailure=`.
    Failure,
    /// `OnSuccess=`.
    Success,
}

/// The instance of a settle unit, after the "@": whose end is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndOf {
    /// That of a generation, by its number.
    Number(Generation),
    /// That of the holding page.
    HoldingPage,
}

impl FromStr for EndOf {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == contract::HOLDING {
            return Ok(Self::HoldingPage);
        }
        text.parse().map(Generation).map(Self::Number)
    }
}

impl EndOf {
    fn unit(self, store: &Store) -> String {
        match self {
            Self::Number(generation) => unit_names::generation(store.name(), generation.0),
            Self::HoldingPage => unit_names::holding(store.name()),
        }
    }

    fn generation(self, store: &Store) -> Option<Generation> {
        match self {
            Self::Number(generation) => Some(generation),
            // A handover may have prepared another page that has not run yet.
            Self::HoldingPage => store
                .current()
                .filter(|current| store.is_holding_page(*current))
                .or_else(|| store.holding_generation()),
        }
    }
}

/// systemd's report of an end, which it passes to the hook.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Word {
    invocation: String,
    result: String,
    code: String,
    status: String,
}

impl Word {
    /// The report for this process; none in the middle of an upgrade, in a unit of an older portkeep whose generations
    /// systemd restarts itself.
    #[must_use]
    pub fn of_environment() -> Option<Self> {
        Self::given(|name| env::var(name).ok())
    }

    fn given(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let told = |name: &str| variable(name).unwrap_or_default();
        let is_of_before =
            variable("MONITOR_SERVICE_RESULT").is_none() && variable("SERVICE_RESULT").is_some();
        (!is_of_before).then(|| Self {
            invocation: told("MONITOR_INVOCATION_ID"),
            result: told("MONITOR_SERVICE_RESULT"),
            code: told("MONITOR_EXIT_CODE"),
            status: told("MONITOR_EXIT_STATUS"),
        })
    }

    /// Whether the hook got nothing.
    fn is_empty(&self) -> bool {
        self.result.is_empty()
    }

    /// The end by this report, which was true at the time.
    fn end(self, ready: bool) -> End {
        End {
            at: Timestamp::now(),
            invocation: Some(self.invocation).filter(|id| !id.is_empty()),
            result: self.result,
            code: self.code,
            status: self.status,
            ready,
        }
    }
}

impl Hook {
    /// The end by this hook: somebody may have reset the unit's state meanwhile, but the called hook is certain.
    fn of(self, mut end: End) -> End {
        match self {
            Self::Failure if matches!(end.result.as_str(), "" | "success") => {
                end.result = "exit-code".to_owned();
            }
            Self::Success => end.result = "success".to_owned(),
            Self::Failure => {}
        }
        end
    }
}

/// The end, and the last status: from systemd's report, and otherwise from the unit, which stays loaded while this process
/// runs. If nothing can be read, the generation counts as READY.
async fn how(units: &Units, unit: &str, word: Word) -> (End, String) {
    if word.is_empty() {
        let run = units.last_run(unit).await;
        return run.unwrap_or_else(|| (word.end(true), String::new()));
    }
    let words = units.last_words(unit).await;
    let (ready, said) = words.unwrap_or_else(|| (true, String::new()));
    (word.end(ready), said)
}

/// Settles an end, and reports the reaction to a crash.
///
/// # Errors
/// When the manager does not answer: it is to be called again then.
pub async fn settle(
    units: &Units,
    store: &Store,
    of: EndOf,
    hook: Hook,
    word: Word,
    spec_path: &Path,
    tell: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<(), HelperError> {
    let Some(generation) = of.generation(store) else {
        return Ok(());
    };
    let (end, status) = how(units, &of.unit(store), word).await;
    let end = hook.of(end);
    let spec = read_spec(spec_path)
        // An active handle must not be left without a generation.
        .inspect_err(|error| tell(Progress::DefaultRules(error)))
        .ok();
    let reason = match &spec {
        Some(spec) => Prerequisites::of(spec).explain(&end.cause()),
        None => end.describe(),
    };
    let is_crash = end.is_crash();
    if is_crash {
        // At once: the journal asks whose a line is when it reads it, and would find nobody where all is said before we end.
        let reason = reason.as_str();
        tell(Progress::Crashed { generation, reason });
    }
    let ended = Ended {
        generation,
        end,
        reason,
        status,
    };
    let budget = spec.as_ref().map(Budget::of).unwrap_or_default();
    let decided = settle::settle(units, store, budget, &ended).await?;
    if is_crash {
        let ends = store.ends_with(generation, &ended.end);
        tell(Progress::Settled(Settlement {
            generation,
            decided,
            crashes: recent_crashes(budget, &ends, ended.end.at),
            budget,
            has_page: spec.is_some_and(|spec| spec.speaks_http()),
        }));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(result: &str, status: &str) -> Word {
        Word {
            invocation: "run".to_owned(),
            result: result.to_owned(),
            code: "exited".to_owned(),
            status: status.to_owned(),
        }
    }

    #[test]
    fn the_hook_is_believed() {
        let end = Hook::Failure.of(word("exit-code", "7").end(false));
        assert_eq!(
            (end.result.as_str(), end.status.as_str()),
            ("exit-code", "7")
        );
        assert_eq!(end.invocation.as_deref(), Some("run"));
        assert!(!end.ready && end.is_crash());
    }

    #[test]
    fn which_hook_was_called_stays_true() {
        for reset in ["", "success"] {
            assert!(
                Hook::Failure.of(word(reset, "0").end(true)).is_crash(),
                "{reset}"
            );
        }
        assert!(
            !Hook::Success
                .of(word("exit-code", "1").end(true))
                .is_crash()
        );
    }

    #[test]
    fn a_unit_of_the_version_before_is_left_alone() {
        let given = |names: &'static [&str]| {
            Word::given(move |name| names.contains(&name).then(|| "success".to_owned()))
        };
        assert_eq!(given(&["SERVICE_RESULT"]), None);
        assert!(given(&["SERVICE_RESULT", "MONITOR_SERVICE_RESULT"]).is_some());
        assert!(given(&[]).is_some());
    }
}
