//! Output of `portkeep doctor`.

use portkeep_engine::diagnosis::{Finding, Level};
use portkeep_spec::AppName;
use serde::Serialize;

use crate::output::{self, Text, fault, wrapped};

/// Output of `portkeep doctor --json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Diagnosis {
    /// Manager: `system` or `user`.
    pub(crate) manager: String,
    /// Version of systemd; none if the manager does not answer.
    pub(crate) version: Option<String>,
    /// The checked apps.
    pub(crate) checked: Vec<AppName>,
    /// All findings; empty if nothing is wrong.
    pub(crate) findings: Vec<Line>,
}

/// One finding.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Line {
    level: Level,
    app: Option<AppName>,
    code: &'static str,
    what: String,
    /// The remedy in one sentence, with its commands.
    remedy: String,
    /// What a person has to do before the commands; empty if the commands suffice.
    first: String,
    /// Commands of the remedy, for a shell.
    commands: Vec<String>,
}

impl From<&Finding> for Line {
    fn from(finding: &Finding) -> Self {
        Self {
            level: finding.level(),
            app: finding.app.clone(),
            code: finding.fault.code(),
            what: fault::what(&finding.fault),
            remedy: fault::remedy(&finding.remedy),
            first: finding.remedy.first.clone(),
            commands: finding.remedy.commands.clone(),
        }
    }
}

impl Diagnosis {
    pub(crate) fn print(&self) {
        let version = self.version.as_deref().unwrap_or("not reachable");
        output::outln!("systemd {version} ({} manager)", self.manager);
        for line in &self.findings {
            line.print();
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

impl Line {
    fn print(&self) {
        let (colour, word) = match self.level {
            Level::Problem => (anstyle::AnsiColor::Red.on_default().bold(), "problem"),
            Level::Advice => (anstyle::AnsiColor::Yellow.on_default(), "advice"),
        };
        let about = self.app.as_ref().map_or("this machine", AppName::as_str);
        output::print(Text::styled(colour, word) + format!(": {about}"));
        for line in wrapped(&self.what, 2) {
            output::outln!("{line}");
        }
        if !self.first.is_empty() {
            for line in wrapped(&format!("→ {}", self.first), 4) {
                output::outln!("{line}");
            }
        }
        // The user copies the command, so it stays on one line.
        for command in &self.commands {
            output::outln!("    $ {}", output::inline(command));
        }
    }
}

#[cfg(test)]
mod tests {
    use portkeep_engine::diagnosis::{Fault, Remedy};

    use super::*;

    const DOCUMENTED: &str = include_str!("../../../docs/json.md");

    /// Programs rely on this output: a field may be added, but none may change.
    #[test]
    fn the_json_is_as_documented() {
        let finding = Finding {
            app: None,
            fault: Fault::AbortOnOverflow,
            remedy: Remedy::default(),
        };
        let diagnosis = Diagnosis {
            manager: "user".to_owned(),
            version: None,
            checked: Vec::new(),
            findings: vec![Line::from(&finding)],
        };
        let json = serde_json::to_value(diagnosis).unwrap();
        let keys = |value: &serde_json::Value| {
            let keys = value.as_object().unwrap().keys();
            keys.map(String::as_str).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(keys(&json), "checked findings manager version");
        assert_eq!(
            keys(&json["findings"][0]),
            "app code commands first level remedy what"
        );
        assert_eq!(json["findings"][0]["level"], "problem");
    }

    #[test]
    fn every_code_is_documented() {
        let source = include_str!("../../../../portkeep-engine/src/diagnosis/finding.rs");
        // A code is a word in small letters, alone in its quotes.
        let is_code = |word: &&str| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
        };
        let words = source.split('"').skip(1).step_by(2);
        let codes: Vec<_> = words
            .filter(is_code)
            .filter(|word| *word != "lowercase")
            .collect();
        assert!(codes.len() > 30, "{codes:?}");
        for code in codes {
            assert!(
                DOCUMENTED.contains(&format!("`{code}`")),
                "{code} is not in docs/json.md"
            );
        }
    }
}
