//! `--json` of a handover and of an install.

use portkeep_engine::helper::{Preview, Serving};
use portkeep_engine::store::HandoverRecord;
use portkeep_engine::units::{AppPlan, Change};
use portkeep_engine::{Digest, Generation, Outcome};
use portkeep_spec::AppName;
use serde::Serialize;

/// A handover, or the preview of one.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HandoverReport {
    name: AppName,
    /// Whether the current generation has changed.
    changed: bool,
    result: &'static str,
    generation: Option<Generation>,
    previous: Option<Generation>,
    digest: Option<Digest>,
    reason: Option<String>,
}

impl HandoverReport {
    pub(crate) fn of(name: &AppName, outcome: &Outcome) -> Self {
        match outcome {
            Outcome::HandedOver(record)
            | Outcome::Holding(record)
            | Outcome::InMaintenance(record) => Self::of_record(name, record),
            Outcome::Unchanged(current) => Self::unchanged(name, *current),
            Outcome::KnownBad(digest) => Self {
                digest: Some(digest.clone()),
                ..Self::nothing(name, "known-bad")
            },
            other => Self {
                reason: Some(format!("{other:?}")),
                ..Self::nothing(name, "unknown")
            },
        }
    }

    pub(crate) fn failed(name: &AppName, reason: String) -> Self {
        Self {
            reason: Some(reason),
            ..Self::nothing(name, "failed")
        }
    }

    pub(crate) fn expected(name: &AppName, preview: Preview) -> Self {
        match preview {
            Preview::HandsOver => Self {
                changed: true,
                ..Self::nothing(name, "would-hand-over")
            },
            Preview::Unchanged(current) => Self::unchanged(name, current),
            Preview::InMaintenance => Self::nothing(name, "maintenance"),
        }
    }

    fn of_record(name: &AppName, record: &HandoverRecord) -> Self {
        Self {
            changed: record.generation.is_some(),
            generation: record.generation,
            previous: record.previous,
            digest: record.digest.clone(),
            reason: record.reason.clone(),
            ..Self::nothing(name, record.result.as_str())
        }
    }

    fn unchanged(name: &AppName, current: Generation) -> Self {
        Self {
            generation: Some(current),
            ..Self::nothing(name, "unchanged")
        }
    }

    fn nothing(name: &AppName, result: &'static str) -> Self {
        Self {
            name: name.clone(),
            changed: false,
            result,
            generation: None,
            previous: None,
            digest: None,
            reason: None,
        }
    }
}

/// Whether what is installed serves.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServingReport {
    name: AppName,
    serves: bool,
    generation: Option<Generation>,
    reason: Option<String>,
}

impl ServingReport {
    pub(crate) fn of(name: &AppName, serving: &Serving) -> Self {
        let (generation, reason) = match serving {
            Serving::Yes(generation) => (Some(*generation), None),
            Serving::No(why) => (None, Some(why.to_string())),
        };
        Self {
            name: name.clone(),
            serves: generation.is_some(),
            generation,
            reason,
        }
    }
}

/// An install, or the preview of one.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InstallReport {
    changed: bool,
    /// Files that all apps share.
    shared: Vec<String>,
    apps: Vec<AppReport>,
    leftovers: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct AppReport {
    name: AppName,
    changed: bool,
    is_new: bool,
    files: Vec<String>,
    opened: Vec<String>,
    closed: Vec<String>,
    handover: Option<HandoverReport>,
}

impl InstallReport {
    /// The report of a plan, with the outcome of each running app's handover, in the order of `plan`.
    pub(crate) fn of(shared: &[Change], apps: Vec<(&AppPlan, Option<HandoverReport>)>) -> Self {
        let apps: Vec<_> = apps
            .into_iter()
            .map(|(app, handover)| AppReport::of(app, handover))
            .collect();
        Self {
            changed: !shared.is_empty() || apps.iter().any(|app| app.changed),
            shared: paths(shared),
            apps,
            leftovers: Vec::new(),
        }
    }

    pub(crate) fn leaving(mut self, leftovers: Vec<String>) -> Self {
        self.leftovers = leftovers;
        self
    }
}

impl AppReport {
    fn of(app: &AppPlan, handover: Option<HandoverReport>) -> Self {
        let handed_over = handover.as_ref().is_some_and(|handover| handover.changed);
        Self {
            name: app.name.clone(),
            changed: handed_over
                || !(app.changes.is_empty() && app.not_open.is_empty() && app.closes.is_empty()),
            is_new: app.is_new,
            files: paths(&app.changes),
            opened: app.not_open.clone(),
            closed: app.closes.clone(),
            handover,
        }
    }
}

fn paths(changes: &[Change]) -> Vec<String> {
    let paths = changes.iter().map(|change| change.path.display());
    paths.map(|path| path.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const DOCUMENTED: &str = include_str!("../../docs/json.md");

    fn name() -> AppName {
        "hello".parse().unwrap()
    }

    fn json_of(report: &impl Serialize) -> Value {
        serde_json::to_value(report).unwrap()
    }

    #[test]
    fn changed_is_true_where_another_generation_serves() {
        let outcome = Outcome::Unchanged(Generation(7));
        let expected = json!({
            "name": "hello", "changed": false, "result": "unchanged", "generation": 7,
            "previous": null, "digest": null, "reason": null,
        });
        assert_eq!(json_of(&HandoverReport::of(&name(), &outcome)), expected);
        let preview = |preview| HandoverReport::expected(&name(), preview);
        assert_eq!(
            preview(Preview::Unchanged(Generation(7))),
            HandoverReport::of(&name(), &outcome)
        );
        assert!(preview(Preview::HandsOver).changed);
        assert!(!preview(Preview::InMaintenance).changed);
        assert!(!HandoverReport::failed(&name(), "it exited".to_owned()).changed);
    }

    #[test]
    fn fields_are_documented() {
        let failed = json_of(&HandoverReport::failed(&name(), String::new()));
        let install = json_of(&InstallReport::of(&[], Vec::new()));
        let serving = json_of(&ServingReport::of(&name(), &Serving::Yes(Generation(7))));
        for report in [failed, install, serving] {
            for field in report.as_object().unwrap().keys() {
                assert!(
                    DOCUMENTED.contains(&format!("`{field}`")),
                    "{field} is not in docs/json.md"
                );
            }
        }
    }
}
