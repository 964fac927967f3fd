//! Meaning and remedy of each kind of decision: the one table.
//!
//! A text has places for what differs, which are filled for an app, or left to `journalctl` to fill from the entry's fields:
//! `{app}`, `{manager}` (`system`, `user`), `{generation}`, `{crashes}`, and `{because}`: a colon and the reason, where one is known.

use portkeep_spec::{AppName, Manager as Which};

use super::kind::DecisionKind;
use crate::generation::Generation;
use crate::remedy::Remedy;

/// Texts of one kind of decision.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text {
    /// In a few words, for a list.
    pub(super) subject: &'static str,
    /// The state after it, and its reason.
    pub(super) what: &'static str,
    /// What a person does or decides first.
    pub(super) first: &'static str,
    /// Commands for a shell, one after another.
    pub(super) commands: &'static [&'static str],
}

/// Beginning of each sentence that says what serves instead of the installed release.
const NOT_SERVED: &str = "what is installed does not serve: ";

const RELOAD: &[&str] = &["portkeep reload --{manager} {app}"];
const CORRECT_IT: &str = "see why (`portkeep history --{manager} {app}`, `portkeep logs --{manager} {app}`), and correct it";
const BUILD_ANOTHER: &str = "see why (`portkeep history --{manager} {app}`, `portkeep logs --{manager} {app}`), and build a \
                             release that serves";
const NOTHING: &str = "nothing";

impl DecisionKind {
    pub(super) fn text(self) -> Text {
        match self {
            Self::HandedOver => Text {
                subject: "{app}: another release serves",
                what: "generation {generation} is READY and accepts connections; the generation before it finishes its requests",
                first: "nothing; to bring back the release before it",
                commands: &["portkeep rollback --{manager} {app}"],
            },
            Self::RolledBack => Text {
                subject: "{app}: a release that served before serves again",
                what: "what is installed does not serve: it was rolled back, and the release before serves{because}",
                first: "nothing, if that is right; otherwise correct the release that was rolled back",
                commands: RELOAD,
            },
            Self::Unchanged => Text {
                subject: "{app}: nothing to hand over",
                what: "the release that was asked for serves already, as generation {generation}",
                first: "nothing; to start a new generation of the same release",
                commands: &["portkeep reload --{manager} {app} --force"],
            },
            Self::FellBack => Text {
                subject: "{app}: the last good release serves instead of the new one",
                what: "what is installed does not serve: the last good release serves instead of it{because}",
                first: CORRECT_IT,
                commands: RELOAD,
            },
            Self::HoldingPage => Text {
                subject: "{app}: no release can serve",
                what: "no release can serve, and portkeep's holding page answers{because}",
                first: BUILD_ANOTHER,
                commands: RELOAD,
            },
            Self::Maintenance => Text {
                subject: "{app}: maintenance",
                what: "what is installed does not serve: there is maintenance, and its page answers",
                first: "nothing, as long as it is wanted; this ends it",
                commands: &["portkeep maintenance --{manager} {app} off"],
            },
            Self::StaysInMaintenance => Text {
                subject: "{app}: nothing is started during maintenance",
                what: "a handover was requested during maintenance, when only the maintenance page may start",
                first: "nothing, as long as maintenance is wanted; this ends it",
                commands: &["portkeep maintenance --{manager} {app} off"],
            },
            Self::Failed => Text {
                subject: "{app}: the new release did not start",
                what: "what is installed does not serve: what served before serves on{because}",
                first: CORRECT_IT,
                commands: RELOAD,
            },
            Self::Refused => Text {
                subject: "{app}: there is no release to start",
                what: "what is installed does not serve: what served before serves on{because}",
                first: CORRECT_IT,
                commands: RELOAD,
            },
            Self::KnownBad => Text {
                subject: "{app}: a release that failed before is not tried again",
                what: "the release failed before and did not change, so it is not tried again by itself{because}",
                first: CORRECT_IT,
                commands: RELOAD,
            },
            Self::NothingServes => Text {
                subject: "{app}: nothing serves",
                what: "nothing serves, and connections wait: the last start failed{because}",
                first: BUILD_ANOTHER,
                commands: RELOAD,
            },
            Self::StartedAgain => Text {
                subject: "{app}: a generation crashed and is started again",
                what: "generation {generation} crashed and was started again, {crashes} times",
                first: "see why (`portkeep logs --{manager} {app} -g {generation}`), and build a release that does not crash",
                commands: &["portkeep reload --{manager} {app} --force"],
            },
            Self::GivenUp => Text {
                subject: "{app}: a release crashed too often and is given up",
                what: "generation {generation} crashed {crashes} times within the time of `restart.within`, so its release is not \
                       started again by itself: the last good release takes its place, or the holding page{because}",
                first: "see why (`portkeep logs --{manager} {app} -g {generation}`), and build a release that does not crash",
                commands: RELOAD,
            },
            Self::Waits => Text {
                subject: "{app}: a generation cannot be set up",
                what: "generation {generation} did not come to the app's own code, and another start would end the same way: it is \
                       started as soon as what it needs is there{because}",
                first: "provide what the reason names",
                commands: RELOAD,
            },
            Self::NotStartedAgain => Text {
                subject: "{app}: a generation crashed and is not started again",
                what: "generation {generation} crashed, and nobody needs it any more{because}",
                first: "see why (`portkeep logs --{manager} {app} -g {generation}`), if it should not have crashed",
                commands: &[],
            },
            Self::Drained => Text {
                subject: "{app}: a generation has finished",
                what: "generation {generation} was told to end, finished its requests, and ended{because}",
                first: NOTHING,
                commands: &[],
            },
            Self::Cut => Text {
                subject: "{app}: a generation did not finish in time",
                what: "generation {generation} was told to end, did not finish what it had within `drainTimeout`, and was \
                       ended{because}",
                first: "see what it said last (`portkeep history --{manager} {app}`); give it more time by `drainTimeout` in the \
                        spec, or have the app end what it holds when it drains",
                commands: RELOAD,
            },
            Self::TakenOut => Text {
                subject: "{app}: taken out of its load balancers",
                what: "it is taken out: its health sockets say so, and connections end after the grace; whoever comes all the \
                       same is answered",
                first: "nothing, as long as it is wanted; this puts it back",
                commands: &["portkeep undrain --{manager} {app}"],
            },
            Self::PutBack => Text {
                subject: "{app}: put back",
                what: "it was taken out and is put back: its health sockets say whether it is ready",
                first: NOTHING,
                commands: &[],
            },
            Self::Leaves => Text {
                subject: "{app}: the machine shuts down, and load balancers are told",
                what: "the machine shuts down: the health sockets say that the app goes, it serves for the grace, and then its \
                       connections end; the next boot brings it back",
                first: NOTHING,
                commands: &[],
            },
        }
    }

    /// What serves instead of the installed release, without the common beginning.
    pub(crate) fn clause(self) -> &'static str {
        let what = self.text().what;
        let what = what.strip_prefix(NOT_SERVED).unwrap_or(what);
        what.strip_suffix("{because}").unwrap_or(what)
    }

    /// The state after it, in one sentence.
    pub(crate) fn what(self, values: &Values<'_>) -> String {
        fill(self.text().what, |place| values.value(place))
    }

    /// The remedy, with commands as they are typed for `app` and `manager`.
    pub(crate) fn remedy(self, app: &AppName, manager: Which, values: &Values<'_>) -> Remedy {
        let text = self.text();
        let filled = |words: &str| {
            fill(words, |place| match place {
                "app" => app.to_string(),
                "manager" => manager.to_string(),
                place => values.value(place),
            })
        };
        Remedy {
            first: filled(text.first),
            commands: text.commands.iter().map(|words| filled(words)).collect(),
        }
    }
}

/// Values for the places of a text, except for app and manager.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Values<'a> {
    /// The generation; none if the text names none.
    pub(crate) generation: Option<Generation>,
    /// Number of its crashes.
    pub(crate) crashes: u32,
    /// The reason, in one line.
    pub(crate) reason: Option<&'a str>,
}

impl Values<'_> {
    fn value(&self, place: &str) -> String {
        match place {
            "generation" => self
                .generation
                .map_or_else(|| "-".to_owned(), |one| one.to_string()),
            "crashes" => self.crashes.to_string(),
            "because" => self
                .reason
                .map_or_else(String::new, |why| format!(": {why}")),
            _ => String::new(),
        }
    }
}

/// Fills the places of a text, each once: values are not searched for further places.
pub(super) fn fill(text: &str, value: impl Fn(&str) -> String) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, place)) = rest.split_once('{') {
        filled.push_str(before);
        match place.split_once('}') {
            Some((name, after)) => {
                filled.push_str(&value(name));
                rest = after;
            }
            None => rest = place,
        }
    }
    filled + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_has_only_places_that_are_known() {
        for decided in DecisionKind::ALL {
            let text = decided.text();
            let all = [text.subject, text.what, text.first];
            for words in all.iter().chain(text.commands) {
                fill(words, |place| {
                    let known = ["app", "manager", "generation", "crashes", "because"];
                    assert!(known.contains(&place), "{decided:?}: {{{place}}}");
                    String::new()
                });
            }
            let names_whose_it_is = ["{app}", "{manager}"].map(|place| text.what.contains(place));
            assert_eq!(names_whose_it_is, [false, false], "{decided:?}");
            assert!(!text.first.is_empty(), "{decided:?} says nothing to do");
            assert!(text.subject.starts_with("{app}: "), "{decided:?}");
        }
    }

    #[test]
    fn what_is_filled_in_is_not_filled_again() {
        let app: AppName = "hello".parse().unwrap();
        let values = Values {
            generation: Some(Generation(3)),
            crashes: 2,
            reason: Some("it said {app} {"),
        };
        assert_eq!(
            DecisionKind::HoldingPage.what(&values),
            "no release can serve, and portkeep's holding page answers: it said {app} {"
        );
        let remedy = DecisionKind::StartedAgain.remedy(&app, Which::System, &values);
        assert_eq!(remedy.commands, ["portkeep reload --system hello --force"]);
        assert_eq!(
            DecisionKind::FellBack.clause(),
            "the last good release serves instead of it"
        );
    }
}
