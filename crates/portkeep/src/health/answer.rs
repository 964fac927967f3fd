//! Answers on a health socket. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use http::StatusCode;

/// The longest reason in the one line that HAProxy reads, in characters.
const SHORT: usize = 80;

/// Whether load balancers should send requests to an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// They should.
    Ready,
    /// They should: nothing runs, and the next connection starts it.
    Resting,
    /// One of its checks fails.
    NotReady,
    /// Somebody has taken it out: its connections end in good order, and new ones are still answered.
    Draining,
    /// It was asked to end, and there is no next generation.
    Stopping,
    /// A person wants a page to answer instead.
    Maintenance,
    /// No release can serve.
    Down,
}

impl Readiness {
    /// The word for programs.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Resting => "resting",
            Self::NotReady => "notReady",
            Self::Draining => "draining",
            Self::Stopping => "stopping",
            Self::Maintenance => "maintenance",
            Self::Down => "down",
        }
    }

    fn is_ready(self) -> bool {
        matches!(self, Self::Ready | Self::Resting)
    }
}

/// A health report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthReport {
    /// Whether load balancers should send requests.
    pub readiness: Readiness,
    /// The reason, in one sentence.
    pub reason: Option<String>,
    /// Whether somebody has taken it out, whatever else its state is.
    pub drained: bool,
    /// The name of the app.
    pub app: Option<String>,
    /// The number of the generation that serves.
    pub generation: Option<u64>,
    /// Results of the app's own checks.
    pub checks: BTreeMap<String, Result<(), String>>,
}

impl HealthReport {
    /// A report with only a readiness and its reason.
    #[must_use]
    pub fn new(readiness: Readiness, reason: impl Into<Option<String>>) -> Self {
        Self {
            readiness,
            reason: reason.into(),
            drained: false,
            app: None,
            generation: None,
            checks: BTreeMap::new(),
        }
    }

    /// The answer to a request for `path`: its status and JSON.
    pub(crate) fn http(&self, path: &str) -> (StatusCode, String) {
        let well = |well: bool| match well {
            true => StatusCode::OK,
            false => StatusCode::SERVICE_UNAVAILABLE,
        };
        match path {
            "/readyz" => {
                let ready = self.readiness.is_ready();
                (well(ready), self.json("ready", ready))
            }
            // Restarting an app that is taken out or in maintenance would not help.
            "/livez" => {
                let alive = self.readiness != Readiness::Down;
                (well(alive), self.json("alive", alive))
            }
            _ => {
                let reason = "ask for /livez or /readyz";
                let text = format!("{{\"error\":\"{reason}\"}}\n");
                (StatusCode::NOT_FOUND, text)
            }
        }
    }

    fn json(&self, what: &str, is: bool) -> String {
        let mut text = format!("{{\"{what}\":{is},\"status\":\"{}\"", self.readiness.word());
        let mut field = |name: &str, value: String| {
            // Writing to a string cannot fail.
            let _ = write!(text, ",\"{name}\":{value}");
        };
        if let Some(reason) = &self.reason {
            field("reason", quoted(reason));
        }
        if self.drained {
            field("drained", true.to_string());
        }
        if let Some(app) = &self.app {
            field("app", quoted(app));
        }
        if let Some(generation) = self.generation {
            field("generation", generation.to_string());
        }
        if !self.checks.is_empty() {
            let checks = self.checks.iter().map(|(name, verdict)| {
                let says = verdict.as_ref().map_or_else(String::as_str, |()| "ok");
                format!("{}:{}", quoted(name), quoted(says))
            });
            let checks: Vec<_> = checks.collect();
            field("checks", format!("{{{}}}", checks.join(",")));
        }
        text.push_str("}\n");
        text
    }

    /// HAProxy's one line. What it leaves out stays as the last line set it: so a ready app says that it is up again, and
    /// one that is taken out while nothing serves says both.
    pub(crate) fn agent(&self) -> String {
        let down = || {
            let reason = self.reason.as_deref().unwrap_or(self.readiness.word());
            format!("down#{}", short(reason))
        };
        match self.readiness {
            Readiness::Ready | Readiness::Resting => "ready up\n".to_owned(),
            Readiness::Draining | Readiness::Stopping => "drain\n".to_owned(),
            Readiness::Maintenance => "maint\n".to_owned(),
            Readiness::NotReady | Readiness::Down if self.drained => format!("drain {}\n", down()),
            Readiness::NotReady | Readiness::Down => format!("{}\n", down()),
        }
    }
}

/// As a string of JSON.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            // Also characters that end a line or steer a terminal, for a client that prints the text as it is.
            control if control.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(control));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// Shortened, and without line breaks.
fn short(reason: &str) -> String {
    let printable = |c: char| match c {
        ' '..='~' => c,
        _ => '?',
    };
    reason.chars().take(SHORT).map(printable).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Readiness; 7] = [
        Readiness::Ready,
        Readiness::Resting,
        Readiness::NotReady,
        Readiness::Draining,
        Readiness::Stopping,
        Readiness::Maintenance,
        Readiness::Down,
    ];

    #[test]
    fn each_standing_has_its_answers() {
        for (readiness, (ready, alive, agent)) in ALL.into_iter().zip([
            (200, 200, "ready up\n"),
            (200, 200, "ready up\n"),
            (503, 200, "down#why\n"),
            (503, 200, "drain\n"),
            (503, 200, "drain\n"),
            (503, 200, "maint\n"),
            (503, 503, "down#why\n"),
        ]) {
            let told = HealthReport::new(readiness, "why".to_owned());
            assert_eq!(told.http("/readyz").0, ready, "{readiness:?}");
            assert_eq!(told.http("/livez").0, alive, "{readiness:?}");
            assert_eq!(told.agent(), agent, "{readiness:?}");
            assert_eq!(told.http("/").0, 404);
        }
    }

    #[test]
    fn one_that_is_taken_out_and_cannot_serve_says_both() {
        let told = HealthReport {
            drained: true,
            ..HealthReport::new(Readiness::Down, "no release can serve".to_owned())
        };
        assert_eq!(told.agent(), "drain down#no release can serve\n");
        assert!(told.http("/readyz").1.contains("\"drained\":true"));
    }

    #[test]
    fn whatever_an_app_says_is_json_and_one_line() {
        let ugly = "a \"b\\\"\r\nc\u{1b}[2J\u{85}é";
        let told = HealthReport {
            app: Some("hello".to_owned()),
            generation: Some(7),
            checks: [
                (ugly.to_owned(), Err(ugly.to_owned())),
                ("fine".to_owned(), Ok(())),
            ]
            .into(),
            ..HealthReport::new(Readiness::NotReady, ugly.repeat(20))
        };
        let (_, text) = told.http("/readyz");
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        let json = "{\"ready\":false,\"status\":\"notReady\",\"reason\":\"a \\\"b\\\\\\\"\\u000d\\u000ac\\u001b[2J\\u0085é";
        assert!(text.starts_with(json), "{text}");
        let rest = ",\"app\":\"hello\",\"generation\":7,\"checks\":{\"a \\\"b";
        assert!(text.contains(rest), "{text}");
        assert!(text.ends_with(",\"fine\":\"ok\"}}\n"), "{text}");
        let line = told.agent();
        assert_eq!(line.matches(['\n', '\r', '\u{1b}']).count(), 1, "{line:?}");
        assert!(line.is_ascii() && line.len() < 100, "{line:?}");
    }
}
