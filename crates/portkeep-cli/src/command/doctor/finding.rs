//! What was found: what, where, what to do.

use portkeep_spec::AppName;
use serde::Serialize;

use crate::output::{self, Text, wrapped};

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// It keeps an app from serving or from being reloaded, or will.
    Problem,
    /// It works, and could be better.
    Advice,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Finding {
    /// How much it matters.
    pub(crate) level: Level,
    /// The app; none for the machine.
    pub(crate) app: Option<AppName>,
    /// Names the check, for programs; it stays the same.
    pub(crate) code: &'static str,
    /// What is wrong, and where.
    pub(crate) what: String,
    /// What to do.
    pub(crate) remedy: String,
}

/// The shape of `portkeep doctor --json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Diagnosis {
    /// `system` or `user`.
    pub(crate) manager: String,
    /// systemd's version; none where it cannot be reached.
    pub(crate) version: Option<String>,
    /// The apps that were looked at.
    pub(crate) checked: Vec<AppName>,
    /// What was found; empty when all is well.
    pub(crate) findings: Vec<Finding>,
}

impl Diagnosis {
    pub(crate) fn print(&self) {
        let version = self.version.as_deref().unwrap_or("not reachable");
        output::outln!("systemd {version} ({} manager)", self.manager);
        for finding in &self.findings {
            let (colour, word) = match finding.level {
                Level::Problem => (anstyle::AnsiColor::Red.on_default().bold(), "problem"),
                Level::Advice => (anstyle::AnsiColor::Yellow.on_default(), "advice"),
            };
            let about = finding.app.as_ref().map_or("this machine", AppName::as_str);
            output::print(Text::styled(colour, word) + format!(": {about}"));
            for line in wrapped(&finding.what, 2)
                .into_iter()
                .chain(wrapped(&format!("→ {}", finding.remedy), 4))
            {
                output::outln!("{line}");
            }
        }
        let count = match self.checked.len() {
            0 => "no apps installed".to_owned(),
            1 => "1 app checked".to_owned(),
            many => format!("{many} apps checked"),
        };
        let found = if self.findings.is_empty() {
            "; all is well"
        } else {
            ""
        };
        output::outln!("{count}{found}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENTED: &str = include_str!("../../../docs/json.md");

    /// What programs rely on; a field more is no harm, a changed one is.
    #[test]
    fn the_json_is_as_documented() {
        let diagnosis = Diagnosis {
            manager: "user".to_owned(),
            version: None,
            checked: Vec::new(),
            findings: vec![Finding {
                level: Level::Problem,
                app: None,
                code: "somaxconn",
                what: String::new(),
                remedy: String::new(),
            }],
        };
        let json = serde_json::to_value(diagnosis).unwrap();
        let keys = |value: &serde_json::Value| {
            let keys = value.as_object().unwrap().keys();
            keys.map(String::as_str).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(keys(&json), "checked findings manager version");
        assert_eq!(keys(&json["findings"][0]), "app code level remedy what");
        assert_eq!(json["findings"][0]["level"], "problem");
    }

    #[test]
    fn every_code_is_documented() {
        let sources = [
            include_str!("app_checks.rs"),
            include_str!("machine_checks.rs"),
        ];
        let code = sources.map(|source| source.split("#[cfg(test)]").next().unwrap_or_default());
        // A code is a word in small letters, alone in its quotes.
        let is_code = |word: &&str| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
        };
        let quoted = code
            .iter()
            .flat_map(|source| source.split('"').skip(1).step_by(2));
        let states = [
            "active",
            "activating",
            "deactivating",
            "failed",
            "closed",
            "loaded",
            "enabled",
            "disabled",
            "inactive",
            "none",
            "systemctl",
        ];
        for word in quoted.filter(is_code).filter(|word| !states.contains(word)) {
            assert!(
                DOCUMENTED.contains(&format!("`{word}`")),
                "{word} is not in docs/json.md"
            );
        }
    }
}
