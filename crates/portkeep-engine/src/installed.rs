//! Whether what is installed is what serves.

use std::fmt;

use crate::store::{HandoverRecord, HandoverResult};

/// Why an app that runs does not serve what is installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instead {
    /// No release can serve: the holding page answers.
    Holding,
    /// Somebody wants maintenance, and its page answers.
    Maintenance,
    /// The last handover did not bring it to serve.
    Failed {
        /// How it ended.
        result: HandoverResult,
        /// Why.
        reason: Option<String>,
    },
    /// It came after the last handover.
    NotHandedOver,
}

impl Instead {
    /// What serves instead of what is installed, by the last handover, whether the current generation is the holding page,
    /// and whether the last handover went by another spec.
    #[must_use]
    pub fn of(last: Option<&HandoverRecord>, is_holding: bool, other_spec: bool) -> Option<Self> {
        if is_holding {
            return Some(Self::Holding);
        }
        let unsuccessful = last.filter(|last| last.result != HandoverResult::HandedOver);
        if let Some(last) = unsuccessful {
            return Some(Self::Failed {
                result: last.result,
                reason: last.reason.clone(),
            });
        }
        other_spec.then_some(Self::NotHandedOver)
    }
}

impl fmt::Display for Instead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Maintenance => f.write_str("there is maintenance, and its page answers"),
            Self::Holding => f.write_str("no release can serve, and the holding page answers"),
            Self::Failed { result, reason } => {
                let what = match result {
                    HandoverResult::FellBack => "the last good release serves instead of it",
                    _ => "what served before serves on",
                };
                f.write_str(what)?;
                reason.iter().try_for_each(|why| write!(f, ": {why}"))
            }
            Self::NotHandedOver => f.write_str("no handover has looked at it yet"),
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
            Some(Instead::Failed {
                result,
                reason: Some("it exited".to_owned()),
            })
        };
        for (last, is_holding, other_spec, instead) in [
            (None, false, false, None),
            (Some("handed-over"), false, false, None),
            (
                Some("handed-over"),
                false,
                true,
                Some(Instead::NotHandedOver),
            ),
            (Some("handed-over"), true, false, Some(Instead::Holding)),
            (Some("holding"), true, false, Some(Instead::Holding)),
            (Some("failed"), false, false, failed(HandoverResult::Failed)),
            (Some("failed"), false, true, failed(HandoverResult::Failed)),
            (
                Some("refused"),
                false,
                false,
                failed(HandoverResult::Refused),
            ),
            (
                Some("fell-back"),
                false,
                false,
                failed(HandoverResult::FellBack),
            ),
        ] {
            let last = last.map(record);
            let found = Instead::of(last.as_ref(), is_holding, other_spec);
            assert_eq!(found, instead, "{last:?}");
        }
    }

    #[test]
    fn it_says_what_serves() {
        let instead = Instead::of(Some(&record("failed")), false, false).unwrap();
        assert_eq!(
            instead.to_string(),
            "what served before serves on: it exited"
        );
    }
}
