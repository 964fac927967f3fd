//! Comparison of the installed release with the one that serves.

use std::fmt;

use portkeep_spec::Spec;

use crate::backend::Backend;
use crate::capture::{FileStates, Parameters, digest_of};
use crate::decision::DecisionKind;
use crate::handover::Purpose;
use crate::release::Release;
use crate::store::{HandoverRecord, HandoverResult, ROLLED_BACK, Store};

/// Why an app that runs does not serve the installed release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mismatch {
    /// No release can serve: the holding page answers.
    Holding,
    /// Somebody wants maintenance, and its page answers.
    Maintenance,
    /// The last handover did not bring it to serve.
    Failed {
        /// How it ended.
        result: HandoverResult,
        /// The reason.
        reason: Option<String>,
    },
    /// The last handover used another spec.
    NotHandedOver,
    /// Somebody went back to an earlier release.
    RolledBack {
        /// Why it does not serve, if another handover has found the reason since.
        reason: Option<String>,
    },
    /// The files of the release have changed since.
    OtherFiles,
    /// The settings of a generation have changed since: its unit with its drop-ins, environment files, credentials, the
    /// spec.
    OtherSettings,
}

/// Comparison of the installed release with the one that serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// A handover would find no change.
    Same,
    /// Its files differ.
    OtherFiles,
    /// Its files are equal.
    OtherSettings,
    /// No release serves, or it is unreadable.
    Unknown,
}

impl Mismatch {
    /// Decides by the last handover, whether the current generation is the holding page, whether the last handover used
    /// another spec, and the comparison of the files.
    #[must_use]
    pub fn of(
        last: Option<&HandoverRecord>,
        is_holding_page: bool,
        other_spec: bool,
        comparison: Comparison,
    ) -> Option<Self> {
        if is_holding_page {
            return Some(Self::Holding);
        }
        // The failed change may have been reverted since: a handover that finds nothing to do leaves no record.
        if comparison == Comparison::Same {
            return None;
        }
        let unsuccessful = last.filter(|last| last.result != HandoverResult::HandedOver);
        if let Some(last) = unsuccessful {
            let reason = last.reason.clone();
            let rolled_back = |reason: &String| reason.contains(ROLLED_BACK);
            return Some(match reason.as_ref().is_some_and(rolled_back) {
                true => Self::RolledBack { reason },
                false => Self::Failed {
                    result: last.result,
                    reason,
                },
            });
        }
        if other_spec {
            return Some(Self::NotHandedOver);
        }
        if last.is_some_and(|last| last.purpose == Purpose::Rollback) {
            return Some(Self::RolledBack { reason: None });
        }
        match comparison {
            Comparison::OtherFiles => Some(Self::OtherFiles),
            Comparison::OtherSettings => Some(Self::OtherSettings),
            Comparison::Same | Comparison::Unknown => None,
        }
    }

    /// The decision that led to it, if there was one.
    #[must_use]
    pub fn decided(&self) -> Option<DecisionKind> {
        Some(match self {
            Self::Holding => DecisionKind::HoldingPage,
            Self::Maintenance => DecisionKind::Maintenance,
            Self::Failed {
                result: HandoverResult::FellBack,
                ..
            } => DecisionKind::FellBack,
            Self::Failed { .. } => DecisionKind::Failed,
            Self::RolledBack { .. } => DecisionKind::RolledBack,
            Self::NotHandedOver | Self::OtherFiles | Self::OtherSettings => return None,
        })
    }

    /// The reason, with the last lines of the app.
    pub(crate) fn reason(&self) -> Option<&str> {
        match self {
            Self::Failed { reason, .. } | Self::RolledBack { reason } => reason.as_deref(),
            _ => None,
        }
    }

    /// Whether somebody wanted it so, or the next reload will mend it. Then a switch has not failed.
    #[must_use]
    pub fn is_for_later(&self) -> bool {
        matches!(
            self,
            Self::RolledBack { .. } | Self::OtherFiles | Self::OtherSettings
        )
    }
}

/// Compares the release that `spec` describes now with the current one. Nothing is written; the executable is read if its
/// state is not the captured one.
pub async fn compare<B: Backend>(backend: &B, store: &Store, spec: &Spec) -> Comparison {
    let Ok(unit) = backend.settings().await else {
        return Comparison::Unknown;
    };
    let (store, spec) = (store.clone(), spec.clone());
    let compared = tokio::task::spawn_blocking(move || compare_to(&store, &spec, &unit));
    compared.await.unwrap_or(Comparison::Unknown)
}

/// The same with a known text of the generation's unit. It may read files for as long as a capture takes.
#[must_use]
pub fn compare_to(store: &Store, spec: &Spec, unit: &str) -> Comparison {
    let release = store
        .current_app()
        .and_then(|generation| store.release_of(generation));
    release
        .and_then(|release| compare_with(&release, store, spec, unit))
        .unwrap_or(Comparison::Unknown)
}

fn compare_with(release: &Release, store: &Store, spec: &Spec, unit: &str) -> Option<Comparison> {
    let key = store.kept_digest_key()?;
    let parameters = Parameters::of(spec, &store.base_environment(), unit, &key).ok()?;
    let states = FileStates::of_spec(spec).ok()?;
    if release.is_made_of(&states, &parameters) {
        return Some(Comparison::Same);
    }
    let has_other_parameters = !release.is_made_by(&parameters);
    // Other files may have the same contents: a repeated build.
    let digest = digest_of(spec, &parameters, &key, release).ok()?;
    Some(if digest == *release.digest() {
        Comparison::Same
    } else if has_other_parameters && release.is_made_from(&states) {
        Comparison::OtherSettings
    } else {
        Comparison::OtherFiles
    })
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(decided) = self.decided() {
            f.write_str(decided.clause())?;
            return self
                .reason()
                .iter()
                .try_for_each(|why| write!(f, ": {why}"));
        }
        match self {
            Self::NotHandedOver => f.write_str("no handover has looked at it yet"),
            Self::OtherFiles => f.write_str("its files changed since the last handover"),
            Self::OtherSettings => f.write_str(
                "its settings (spec, unit, drop-ins, environment files, credentials) changed since the last handover",
            ),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(result: &str) -> HandoverRecord {
        let json = format!(
            r#"{{"at":"2026-01-01T00:00:00Z","purpose":"reload","result":"{result}","generation":null,
            "previous":null,"digest":null,"source":null,"drained":[],"steps":{{"lockMilliseconds":0,"takeMilliseconds":0,"startMilliseconds":0,"totalMilliseconds":0}},"reason":"it exited"}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn what_is_installed_serves_only_if_it_was_handed_over() {
        let failed = |result| {
            Some(Mismatch::Failed {
                result,
                reason: Some("it exited".to_owned()),
            })
        };
        use Comparison::{OtherFiles, OtherSettings, Same, Unknown};
        let not_handed_over = Some(Mismatch::NotHandedOver);
        let holding = || Some(Mismatch::Holding);
        for (last, is_holding_page, other_spec, comparison, instead) in [
            (None, false, false, Unknown, None),
            (None, false, false, OtherFiles, Some(Mismatch::OtherFiles)),
            (Some("handed-over"), false, false, Unknown, None),
            (Some("handed-over"), false, false, Same, None),
            (Some("handed-over"), false, true, Unknown, not_handed_over),
            // Another spec that describes the same release.
            (Some("handed-over"), false, true, Same, None),
            (Some("handed-over"), true, false, Unknown, holding()),
            (Some("holding"), true, false, Unknown, holding()),
            (
                Some("handed-over"),
                false,
                false,
                OtherSettings,
                Some(Mismatch::OtherSettings),
            ),
            (
                Some("failed"),
                false,
                false,
                OtherFiles,
                failed(HandoverResult::Failed),
            ),
            (
                Some("failed"),
                false,
                true,
                Unknown,
                failed(HandoverResult::Failed),
            ),
            // The failed release is not installed any more.
            (Some("failed"), false, false, Same, None),
            (
                Some("refused"),
                false,
                false,
                Unknown,
                failed(HandoverResult::Refused),
            ),
            (
                Some("fell-back"),
                false,
                false,
                OtherFiles,
                failed(HandoverResult::FellBack),
            ),
        ] {
            let last = last.map(record);
            let found = Mismatch::of(last.as_ref(), is_holding_page, other_spec, comparison);
            assert_eq!(found, instead, "{last:?} {comparison:?}");
        }
    }

    #[test]
    fn what_was_rolled_back_is_known_to_be_also_after_a_reboot() {
        let mut last = record("handed-over");
        last.purpose = Purpose::Rollback;
        last.reason = None;
        let of =
            |last: &HandoverRecord, comparison| Mismatch::of(Some(last), false, false, comparison);
        let rolled_back = of(&last, Comparison::OtherFiles).unwrap();
        assert_eq!(rolled_back, Mismatch::RolledBack { reason: None });
        assert!(rolled_back.is_for_later());
        assert_eq!(of(&last, Comparison::Same), None);
        let mut after = record("fell-back");
        after.reason = Some(format!("it failed before: {ROLLED_BACK} 0123"));
        let found = of(&after, Comparison::OtherFiles);
        assert!(
            matches!(found, Some(Mismatch::RolledBack { .. })),
            "{found:?}"
        );
    }

    #[test]
    fn it_says_what_serves() {
        let instead =
            Mismatch::of(Some(&record("failed")), false, false, Comparison::Unknown).unwrap();
        assert_eq!(
            instead.to_string(),
            "what served before serves on: it exited"
        );
    }
}
