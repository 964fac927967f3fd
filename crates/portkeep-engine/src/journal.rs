//! Journal entries, from the output of `journalctl --output=json`.

use jiff::Timestamp;
use portkeep_spec::{AppName, Manager as Which, unit_names};
use serde::Deserialize;

use crate::generation::Generation;

/// One entry. The journal itself vouches for fields that begin with `_`; the sender chose the others.
#[derive(Debug, Deserialize)]
pub struct Entry {
    #[serde(rename = "__REALTIME_TIMESTAMP", default)]
    microseconds: String,
    #[serde(rename = "_SYSTEMD_UNIT", default)]
    system_unit: String,
    #[serde(rename = "_SYSTEMD_USER_UNIT", default)]
    user_unit: String,
    /// The unit of a message of the system manager.
    #[serde(rename = "UNIT", default)]
    about: String,
    /// The unit of a message of a user manager.
    #[serde(rename = "USER_UNIT", default)]
    about_user: String,
    /// The kind of message, if the sender set one.
    #[serde(rename = "MESSAGE_ID", default)]
    kind: String,
    /// The run of a unit in a message of a user manager.
    #[serde(rename = "USER_INVOCATION_ID", default)]
    about_run: String,
    /// Bytes that are not UTF-8 come as numbers, and a long line as nothing.
    #[serde(rename = "MESSAGE", default)]
    message: serde_json::Value,
}

impl Entry {
    /// When it was written.
    #[must_use]
    pub fn at(&self) -> Option<Timestamp> {
        Timestamp::from_microsecond(self.microseconds.parse().ok()?).ok()
    }

    /// The unit of `which` manager whose process wrote it; empty if the journal does not know it.
    pub(crate) fn written_by(&self, which: Which) -> &str {
        match which {
            Which::System => &self.system_unit,
            Which::User => &self.user_unit,
        }
    }

    /// The unit of `which` manager that wrote it, or that the manager's message is about.
    #[must_use]
    pub fn unit(&self, which: Which) -> &str {
        let wrote = self.written_by(which);
        let about = match which {
            Which::System => &self.about,
            Which::User => &self.about_user,
        };
        // Managers run in a unit too (init.scope).
        if wrote.ends_with(".service") || about.is_empty() {
            wrote
        } else {
            about
        }
    }

    /// The generation of `name` that it belongs to.
    #[must_use]
    pub fn generation(&self, name: &AppName, which: Which) -> Option<Generation> {
        unit_names::parse_about_generation(name, self.unit(which)).map(Generation)
    }

    /// Whether it is a user manager's message of one of these kinds about that run of a unit.
    pub(crate) fn says_of_run(&self, run: &str, kinds: &[&str]) -> bool {
        self.user_unit == "init.scope"
            && self.about_run == run
            && kinds.contains(&self.kind.as_str())
    }

    /// Its message.
    #[must_use]
    pub fn text(&self) -> String {
        match &self.message {
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Array(bytes) => {
                let bytes: Vec<u8> = bytes
                    .iter()
                    .filter_map(|byte| u8::try_from(byte.as_u64()?).ok())
                    .collect();
                String::from_utf8_lossy(&bytes).into_owned()
            }
            _ => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(json: serde_json::Value) -> Entry {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn lines_of_the_app_and_of_the_manager_belong_to_a_generation() {
        let name: AppName = "hello".parse().unwrap();
        let wrote = entry(serde_json::json!({
            "_SYSTEMD_UNIT": "hello@3.service", "MESSAGE": "hi", "__REALTIME_TIMESTAMP": "1800000000000000",
        }));
        assert_eq!(wrote.generation(&name, Which::System), Some(Generation(3)));
        assert_eq!(wrote.at().unwrap().as_second(), 1_800_000_000);
        let manager = entry(serde_json::json!({
            "_SYSTEMD_UNIT": "init.scope", "UNIT": "hello@4.service", "MESSAGE": "Stopped",
        }));
        assert_eq!(
            manager.generation(&name, Which::System),
            Some(Generation(4))
        );
        let user = entry(serde_json::json!({
            "_SYSTEMD_UNIT": "user@1000.service", "_SYSTEMD_USER_UNIT": "hello@5.service", "MESSAGE": [104, 255],
        }));
        assert_eq!(user.generation(&name, Which::User), Some(Generation(5)));
        assert_eq!(user.text(), "h\u{fffd}");
    }

    #[test]
    fn nobody_can_claim_to_be_another_unit() {
        let name: AppName = "hello".parse().unwrap();
        let claims = entry(serde_json::json!({
            "_SYSTEMD_UNIT": "other.service", "UNIT": "hello@4.service", "MESSAGE": "x",
        }));
        assert_eq!(claims.generation(&name, Which::System), None);
    }
}
