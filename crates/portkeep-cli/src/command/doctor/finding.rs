//! What was found: what, where, what to do.

use portkeep_spec::AppName;
use serde::Serialize;

use crate::output::wrapped;

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
        anstream::println!("systemd {version} ({} manager)", self.manager);
        for finding in &self.findings {
            let (colour, word) = match finding.level {
                Level::Problem => (anstyle::AnsiColor::Red.on_default().bold(), "problem"),
                Level::Advice => (anstyle::AnsiColor::Yellow.on_default(), "advice"),
            };
            let about = finding.app.as_ref().map_or("this machine", AppName::as_str);
            anstream::println!("{colour}{word}{colour:#}: {about}");
            for line in wrapped(&finding.what, 2)
                .into_iter()
                .chain(wrapped(&format!("→ {}", finding.remedy), 4))
            {
                anstream::println!("{line}");
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
        anstream::println!("{count}{found}");
    }
}
