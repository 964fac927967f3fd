//! Lines of `--events FILE`. `docs/json.md` of the command documents them.

use jiff::Timestamp;
use portkeep_spec::AppName;
use serde::Serialize;

use crate::change::Changed;
use crate::effect::Notice;
use crate::terminal;
use crate::verdict::Verdict;

/// The version of these lines. A new field or event does not change it.
const VERSION: u32 = 1;

/// One line.
#[derive(Debug, Serialize)]
pub(super) struct Line<'a> {
    version: u32,
    at: Timestamp,
    #[serde(flatten)]
    told: &'a EventLine<'a>,
}

impl<'a> Line<'a> {
    pub(super) fn now(at: Timestamp, told: &'a EventLine<'a>) -> Self {
        Self {
            version: VERSION,
            at,
            told,
        }
    }

    /// The line with its newline.
    pub(super) fn text(&self) -> serde_json::Result<String> {
        Ok(format!("{}\n", serde_json::to_string(self)?))
    }
}

/// What happened.
#[derive(Debug, Serialize)]
#[serde(
    tag = "event",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub(super) enum EventLine<'a> {
    Begins {
        app: &'a str,
        project: &'a str,
        process: u32,
    },
    Open {
        address: &'a str,
    },
    Building {
        files: Option<&'a str>,
    },
    Built {
        milliseconds: u64,
    },
    BuildFailed {
        milliseconds: u64,
    },
    Checking {
        check: &'a str,
    },
    CheckPassed {
        check: &'a str,
        milliseconds: u64,
    },
    CheckFailed {
        check: &'a str,
        milliseconds: u64,
    },
    Serves {
        generation: u64,
        start_milliseconds: u64,
        total_milliseconds: u64,
    },
    Unchanged {
        generation: u64,
    },
    Verdict {
        #[serde(flatten, serialize_with = "without_version")]
        verdict: &'a Verdict,
    },
    Files {
        files: &'a str,
        pages: &'static str,
    },
    Line {
        generation: u64,
        text: &'a str,
    },
    LinesLost {
        count: u64,
    },
    EventsLost {
        count: u64,
    },
    Gone {
        generation: u64,
        reason: &'a str,
    },
    Rested {
        generation: u64,
    },
    Restarted {
        generation: u64,
        reason: &'a str,
    },
    Drained {
        generation: u64,
        status: &'a str,
    },
    Cut {
        generation: u64,
        status: &'a str,
    },
    /// Everything else that the terminal shows.
    Message {
        text: &'a str,
    },
    Ends,
}

impl<'a> EventLine<'a> {
    /// `words` are those of the terminal.
    pub(super) fn of(notice: &'a Notice, words: &'a str) -> Self {
        let milliseconds =
            |took: &std::time::Duration| u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        match notice {
            Notice::Open { address, .. } => Self::Open { address },
            Notice::Building(files) => Self::Building {
                files: files.as_deref(),
            },
            Notice::Built(took) => Self::Built {
                milliseconds: milliseconds(took),
            },
            Notice::BuildFailed(took, _) => Self::BuildFailed {
                milliseconds: milliseconds(took),
            },
            Notice::Checking(check) => Self::Checking { check },
            Notice::CheckPassed(check, took) => Self::CheckPassed {
                check,
                milliseconds: milliseconds(took),
            },
            Notice::CheckFailed(check, took, _) => Self::CheckFailed {
                check,
                milliseconds: milliseconds(took),
            },
            Notice::Serves {
                generation,
                ready,
                total,
            } => Self::Serves {
                generation: generation.0,
                start_milliseconds: milliseconds(ready),
                total_milliseconds: milliseconds(total),
            },
            Notice::Unchanged(_, generation) => Self::Unchanged {
                generation: generation.0,
            },
            Notice::Files(files, changed) => Self::Files {
                files,
                pages: match changed {
                    Changed::Nothing => "nothing",
                    Changed::Styles => "styles",
                    Changed::Pages => "reload",
                },
            },
            Notice::Line(generation, text) => Self::Line {
                generation: generation.0,
                text,
            },
            Notice::LinesLost(count) => Self::LinesLost { count: *count },
            Notice::Gone(generation, reason) => Self::Gone {
                generation: generation.0,
                reason,
            },
            Notice::Rested(generation) => Self::Rested {
                generation: generation.0,
            },
            Notice::Restarted(generation, reason) => Self::Restarted {
                generation: generation.0,
                reason,
            },
            Notice::Drained(generation, status) => Self::Drained {
                generation: generation.0,
                status,
            },
            Notice::Cut(generation, status) => Self::Cut {
                generation: generation.0,
                status,
            },
            _ => Self::Message { text: words },
        }
    }
}

/// The line has a version already.
fn without_version<S: serde::Serializer>(
    verdict: &Verdict,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Rest<'a> {
        app: &'a Option<String>,
        result: crate::verdict::Found,
        generation: Option<u64>,
        reason: &'a Option<String>,
        diagnostics: &'a [crate::verdict::Diagnostic],
    }
    let rest = Rest {
        app: &verdict.app,
        result: verdict.result,
        generation: verdict.generation,
        reason: &verdict.reason,
        diagnostics: &verdict.diagnostics,
    };
    rest.serialize(serializer)
}

/// The words of the terminal, without the prefix of each line.
pub(super) fn words(name: &AppName, notice: &Notice) -> String {
    let begin = format!("portkeep {name}: ");
    let lines = terminal::lines(name, notice).into_iter().map(|line| {
        let line = line.to_string();
        match line.strip_prefix(&begin) {
            Some(rest) => rest.to_owned(),
            None => line,
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Programs rely on the names.
    #[test]
    fn the_documentation_has_each_event() {
        let all = [
            "begins",
            "open",
            "building",
            "built",
            "buildFailed",
            "checking",
            "checkPassed",
            "checkFailed",
            "serves",
            "unchanged",
            "verdict",
            "files",
            "line",
            "linesLost",
            "eventsLost",
            "gone",
            "rested",
            "restarted",
            "drained",
            "cut",
            "message",
            "ends",
        ];
        let documentation = include_str!("../../../portkeep-cli/docs/json.md");
        for event in all {
            assert!(documentation.contains(&format!("| `{event}` |")), "{event}");
        }
        let verdict = Verdict::serves(Some(1));
        let told = EventLine::Verdict { verdict: &verdict };
        let line = Line::now(Timestamp::UNIX_EPOCH, &told).text().unwrap();
        assert_eq!(
            line,
            "{\"version\":1,\"at\":\"1970-01-01T00:00:00Z\",\"event\":\"verdict\",\"app\":null,\"result\":\"serves\",\
             \"generation\":1,\"reason\":null,\"diagnostics\":[]}\n"
        );
        let told = EventLine::Serves {
            generation: 1,
            start_milliseconds: 2,
            total_milliseconds: 3,
        };
        let line = Line::now(Timestamp::UNIX_EPOCH, &told).text().unwrap();
        assert!(
            line.contains("\"event\":\"serves\",\"generation\":1,\"startMilliseconds\":2"),
            "{line}"
        );
    }
}
