//! Announcement of one decision, with all its journal fields.

use portkeep_spec::{AppName, Label, Manager as Which, unit_names};

use super::kind::DecisionKind;
use crate::generation::Generation;

/// The fields of an entry.
pub(super) mod field {
    pub(in super::super) const APP: &str = "PORTKEEP_APP";
    pub(in super::super) const MANAGER: &str = "PORTKEEP_MANAGER";
    pub(in super::super) const DECISION: &str = "PORTKEEP_DECISION";
    pub(in super::super) const GENERATION: &str = "PORTKEEP_GENERATION";
    pub(in super::super) const RELEASE: &str = "PORTKEEP_RELEASE";
    pub(in super::super) const LABEL: &str = "PORTKEEP_LABEL";
    pub(in super::super) const HANDOVER: &str = "PORTKEEP_HANDOVER";
    pub(in super::super) const REASON: &str = "PORTKEEP_REASON";
    pub(in super::super) const CRASHES: &str = "PORTKEEP_CRASHES";
}

/// `journalctl` fills no longer value into a place of a catalog, the field's name included (`REPLACE_VAR_MAX` of systemd).
const LONGEST_REASON: usize = 256 - "PORTKEEP_REASON=".len();

/// What happened, without the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AnnouncementDetails {
    pub(crate) decided: DecisionKind,
    pub(crate) message: String,
    pub(crate) generation: Option<Generation>,
    /// All digits of its digest.
    pub(crate) release: Option<String>,
    pub(crate) label: Option<Label>,
    pub(crate) handover: Option<String>,
    /// In one line, without the last lines of the app.
    pub(crate) reason: Option<String>,
    pub(crate) crashes: u32,
}

/// How much an entry matters, in the words of syslog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Severity {
    Error,
    Warning,
    Notice,
    Info,
}

/// A decision of an app, for the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    details: AnnouncementDetails,
    app: AppName,
    which: Which,
}

impl AnnouncementDetails {
    /// An announcement without further details.
    pub(crate) fn plain(decided: DecisionKind, message: String) -> Self {
        Self {
            decided,
            message,
            generation: None,
            release: None,
            label: None,
            handover: None,
            reason: None,
            crashes: 0,
        }
    }
}

impl Announcement {
    /// The announcement of `details` for `app`, whose units belong to the `which` manager.
    pub(crate) fn new(app: &AppName, which: Which, details: AnnouncementDetails) -> Self {
        Self {
            details,
            app: app.clone(),
            which,
        }
    }

    /// The decision.
    #[must_use]
    pub fn decided(&self) -> DecisionKind {
        self.details.decided
    }

    /// `MESSAGE=`.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.details.message
    }

    pub(super) fn severity(&self) -> Severity {
        match self.details.decided {
            DecisionKind::NothingServes | DecisionKind::HoldingPage | DecisionKind::GivenUp => {
                Severity::Error
            }
            DecisionKind::FellBack
            | DecisionKind::Failed
            | DecisionKind::Refused
            | DecisionKind::KnownBad
            | DecisionKind::StartedAgain
            | DecisionKind::Waits
            | DecisionKind::NotStartedAgain
            | DecisionKind::Cut => Severity::Warning,
            DecisionKind::RolledBack
            | DecisionKind::Maintenance
            | DecisionKind::StaysInMaintenance
            | DecisionKind::TakenOut
            | DecisionKind::PutBack => Severity::Notice,
            DecisionKind::Leaves
            | DecisionKind::HandedOver
            | DecisionKind::Unchanged
            | DecisionKind::Drained => Severity::Info,
        }
    }

    /// All fields except for the message. Each entry has all of them, so that no place of the catalog stays empty; an
    /// unknown value is `-`.
    #[must_use]
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        let details = &self.details;
        let unknown = || "-".to_owned();
        let mut fields = vec![
            ("MESSAGE_ID", details.decided.id().to_owned()),
            ("SYSLOG_IDENTIFIER", "portkeep".to_owned()),
            (field::APP, self.app.to_string()),
            (field::MANAGER, self.which.to_string()),
            (field::DECISION, details.decided.code().to_owned()),
            (
                field::GENERATION,
                details
                    .generation
                    .map_or_else(unknown, |one| one.to_string()),
            ),
            (
                field::RELEASE,
                details.release.clone().unwrap_or_else(unknown),
            ),
            (
                field::LABEL,
                details
                    .label
                    .as_ref()
                    .map_or_else(unknown, Label::to_string),
            ),
            (
                field::HANDOVER,
                details.handover.clone().unwrap_or_else(unknown),
            ),
            (field::REASON, self.reason()),
            (field::CRASHES, details.crashes.to_string()),
        ];
        // journald knows the unit of a process only while that lives. These fields let `journalctl -u` find the entry
        // anyway: journald believes one of root, the other of a user.
        let handle = unit_names::handle(&self.app);
        let of_generation = details
            .generation
            .map(|generation| unit_names::generation(&self.app, generation.0));
        let units = [Some(handle), of_generation, own_unit()];
        for unit in units.into_iter().flatten() {
            match self.which {
                Which::System => fields.push(("OBJECT_SYSTEMD_UNIT", unit)),
                Which::User => fields.push(("USER_UNIT", unit)),
            }
        }
        fields
    }

    /// In one line, and no longer than the catalog allows.
    fn reason(&self) -> String {
        let known = self.details.reason.as_deref();
        let reason = match (known, self.details.decided) {
            (Some(known), _) if !known.is_empty() => known,
            (_, DecisionKind::RolledBack | DecisionKind::TakenOut | DecisionKind::PutBack) => {
                "somebody asked for that"
            }
            (_, DecisionKind::Leaves) => "the machine shuts down",
            _ => "no reason is known",
        };
        cut(reason, LONGEST_REASON)
    }
}

/// The unit of this process, by its control group; none outside of services.
fn own_unit() -> Option<String> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let unit = own.rsplit('/').next()?;
    unit.ends_with(".service").then(|| unit.to_owned())
}

/// At most this many bytes, in whole characters.
fn cut(text: &str, longest: usize) -> String {
    if text.len() <= longest {
        return text.to_owned();
    }
    let room = longest - '…'.len_utf8();
    let end = text.char_indices().map(|(at, _)| at);
    let end = end.take_while(|at| *at <= room).last().unwrap_or(0);
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announced(details: AnnouncementDetails) -> Announcement {
        Announcement::new(&"hello".parse().unwrap(), Which::System, details)
    }

    fn value(of: &Announcement, name: &str) -> Vec<String> {
        let fields = of.fields().into_iter();
        fields
            .filter(|(field, _)| *field == name)
            .map(|(_, value)| value)
            .collect()
    }

    #[test]
    fn what_is_known_is_in_its_fields() {
        let of = announced(AnnouncementDetails {
            generation: Some(Generation(4)),
            release: Some("0123456789abcdef".to_owned()),
            label: Some("v2".parse().unwrap()),
            handover: Some("job-7".to_owned()),
            ..AnnouncementDetails::plain(
                DecisionKind::HandedOver,
                "hello: generation 4 serves".to_owned(),
            )
        });
        for (name, expected) in [
            ("MESSAGE_ID", DecisionKind::HandedOver.id()),
            (field::APP, "hello"),
            (field::MANAGER, "system"),
            (field::GENERATION, "4"),
            (field::RELEASE, "0123456789abcdef"),
            (field::LABEL, "v2"),
            (field::HANDOVER, "job-7"),
            (field::REASON, "no reason is known"),
            (field::DECISION, "handed-over"),
        ] {
            assert_eq!(value(&of, name), [expected], "{name}");
        }
        let units = value(&of, "OBJECT_SYSTEMD_UNIT");
        assert_eq!(units[..2], ["hello.service", "hello@4.service"]);
    }

    #[test]
    fn a_reason_is_no_longer_than_the_catalog_can_show() {
        let of = announced(AnnouncementDetails {
            reason: Some("ü".repeat(300)),
            ..AnnouncementDetails::plain(DecisionKind::Failed, String::new())
        });
        let reason = value(&of, field::REASON).remove(0);
        assert!(reason.len() + "PORTKEEP_REASON=".len() <= 256, "{reason}");
        assert!(reason.ends_with("ü…"), "{reason}");
        assert_eq!(cut("abc", 3), "abc");
    }

    #[test]
    fn no_entry_lacks_a_field_that_its_text_names() {
        for decided in DecisionKind::ALL {
            let of = announced(AnnouncementDetails::plain(decided, String::new()));
            for name in [
                field::APP,
                field::MANAGER,
                field::GENERATION,
                field::RELEASE,
                field::HANDOVER,
                field::REASON,
                field::CRASHES,
            ] {
                let value = value(&of, name);
                assert!(
                    value.len() == 1 && !value[0].is_empty(),
                    "{decided:?} {name}"
                );
            }
        }
    }
}
