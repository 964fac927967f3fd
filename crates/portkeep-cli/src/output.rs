//! What is printed, and how.

use std::io::{self, Write};

use portkeep_engine::Outcome;
use portkeep_engine::store::HandoverRecord;
use portkeep_spec::AppName;
use serde::Serialize;

/// Prints a value as JSON, indented for people and stable for programs.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value)?;
    writeln!(out)?;
    Ok(())
}

/// One line about what a handover did.
pub(crate) fn outcome_line(name: &AppName, outcome: &Outcome) -> String {
    match outcome {
        Outcome::HandedOver(record) => match (record.generation, &record.reason) {
            (Some(generation), None) => format!(
                "{name}: generation {generation} serves, READY after {:.0} ms ({:.0} ms in all)",
                record.steps.start_milliseconds, record.steps.total_milliseconds,
            ),
            (Some(generation), Some(reason)) => {
                format!(
                    "{name}: generation {generation} serves the last good release, because {reason}"
                )
            }
            (None, _) => format!("{name}: no generation was started"),
        },
        Outcome::Unchanged(generation) => {
            format!("{name}: unchanged, generation {generation} serves on")
        }
        Outcome::KnownBad(digest) => {
            format!(
                "{name}: release {digest} failed before and did not change; `portkeep reload {name}` tries it again"
            )
        }
        other => format!("{name}: {other:?}"),
    }
}

/// One line of the history.
pub(crate) fn record_line(record: &HandoverRecord) -> String {
    let at = record
        .at
        .to_zoned(jiff::tz::TimeZone::system())
        .strftime("%Y-%m-%d %H:%M:%S");
    let generation = record
        .generation
        .map_or_else(|| "-".to_owned(), |generation| generation.to_string());
    let digest = record.digest.as_ref().map_or("-", |digest| digest.short());
    // The first clause; the app's last lines follow it in the record.
    let first_clause = |reason: &str| {
        reason
            .lines()
            .next()
            .and_then(|line| line.split("; its last lines").next().map(str::to_owned))
    };
    let reason = record
        .reason
        .as_deref()
        .and_then(first_clause)
        .map(|reason| format!("  {reason}"));
    format!(
        "{at}  {:<11} {generation:>5}  {digest:<12} {:>7.0} ms  {}{}",
        record.result,
        record.steps.total_milliseconds,
        record.purpose,
        reason.unwrap_or_default(),
    )
}
