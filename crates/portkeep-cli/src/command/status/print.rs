//! The lines for people: at most 80 columns.

use std::time::Duration;

use jiff::Timestamp;
use portkeep_engine::Phase;

use super::app::{AppStatus, GenerationStatus, MaintenanceStatus};
use crate::output::{clip, inline, local_time, record_line, span, wrapped};

pub(crate) fn lines(app: &AppStatus, now: Timestamp) -> Vec<String> {
    let port = match app.port.as_str() {
        "listening" | "running" | "held" => "is open".to_owned(),
        "inactive" => "is closed".to_owned(),
        other => format!("is {other}"),
    };
    let address = app.listen.first().map_or("the port", String::as_str);
    let mut lines = vec![clip(&format!(
        "{} ({}), {address} {port}",
        app.name, app.backend
    ))];
    if app.generations.is_empty() {
        lines.push("  no generation runs; the next connection starts one".to_owned());
    }
    for one in &app.generations {
        let is_current = app.current == Some(one.generation);
        lines.extend(generation(one, is_current, app.maintenance.is_some(), now));
    }
    if let Some(maintenance) = &app.maintenance {
        lines.extend(in_maintenance(app, maintenance));
    }
    if let Some(record) = &app.last_handover {
        lines.push(clip(&format!("  last: {}", record_line(record))));
    }
    lines
}

/// That there is maintenance, and how it is ended.
fn in_maintenance(app: &AppStatus, maintenance: &MaintenanceStatus) -> Vec<String> {
    let name = &app.name;
    let since = local_time(maintenance.since);
    let told = format!("in maintenance since {since}; `portkeep maintenance {name} off` ends it");
    let message = maintenance.message.as_ref();
    let says = message.map(|message| format!("its page says: {message}"));
    let texts = [Some(told), says].into_iter().flatten();
    texts.flat_map(|text| wrapped(&inline(&text), 2)).collect()
}

fn generation(
    one: &GenerationStatus,
    is_current: bool,
    in_maintenance: bool,
    now: Timestamp,
) -> Vec<String> {
    let word = match one.phase {
        Phase::Starting => "starting",
        Phase::Serving if one.is_holding_page => "holding",
        Phase::Serving if is_current => "current",
        Phase::Serving => "serving",
        Phase::Draining => "draining",
    };
    let when = match (one.drains_until, one.since) {
        (Some(until), _) => format!("{} left", span(left(until, now))),
        (None, Some(since)) => format!("since {} ({})", local_time(since), span(left(now, since))),
        (None, None) => String::new(),
    };
    let digest = one.digest.as_deref().unwrap_or_default();
    let first = format!(
        "  generation {:<4} {word:<9} {digest:<12}  {when}",
        one.generation
    );
    let holding = match in_maintenance {
        true => "portkeep's holding page, because there is maintenance",
        false => "portkeep's holding page, because no release can serve",
    };
    let facts = [
        one.main_pid.map(|pid| format!("process {pid}")),
        one.memory_bytes
            .map(|bytes| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))),
        one.cpu_nanoseconds
            .map(|cpu| format!("{:.2} s of CPU", Duration::from_nanos(cpu).as_secs_f64())),
        (one.restarts > 0).then(|| format!("restarted {} times", one.restarts)),
    ];
    let facts: Vec<String> = facts.into_iter().flatten().collect();
    let mut lines = vec![clip(first.trim_end())];
    let says = if one.is_holding_page {
        holding.to_owned()
    } else {
        one.status.clone()
    };
    for more in [facts.join(", "), says] {
        if !more.is_empty() {
            lines.push(clip(&format!("                  {more}")));
        }
    }
    lines
}

/// From `earlier` to `later`; nothing where the clock was set back.
fn left(later: Timestamp, earlier: Timestamp) -> Duration {
    later.duration_since(earlier).try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use portkeep_engine::Generation;

    use super::*;
    use crate::output::COLUMNS;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn one(number: u64, phase: Phase) -> GenerationStatus {
        GenerationStatus {
            generation: Generation(number),
            phase,
            is_holding_page: false,
            since: Some(at(0)),
            drains_until: None,
            digest: Some("29b4a5a9dd6c".to_owned()),
            status: "serving on 127.0.0.1:8080 (http), 3 requests in flight".to_owned(),
            main_pid: Some(4242),
            restarts: 0,
            memory_bytes: Some(12 << 20),
            cpu_nanoseconds: Some(410_000_000),
        }
    }

    fn app() -> AppStatus {
        let mut draining = one(2, Phase::Draining);
        draining.drains_until = Some(at(150));
        draining.status = "x".repeat(200);
        AppStatus {
            name: "hello".parse().unwrap(),
            backend: "system".to_owned(),
            port: "running".to_owned(),
            listen: vec!["127.0.0.1:8080".to_owned()],
            current: Some(Generation(3)),
            generations: vec![draining, one(3, Phase::Serving)],
            last_handover: None,
            maintenance: None,
        }
    }

    #[test]
    fn who_is_current_since_when_and_what_is_left_of_a_drain() {
        let shown = lines(&app(), at(125)).join("\n");
        for words in [
            "hello (system), 127.0.0.1:8080 is open",
            "generation 2    draining  29b4a5a9dd6c  25 s left",
            "generation 3    current   29b4a5a9dd6c  since 2027-01-1",
            "(2 min 5 s)",
            "process 4242, 12.0 MiB, 0.41 s of CPU",
            "3 requests in flight",
        ] {
            assert!(shown.contains(words), "`{words}` is missing in:\n{shown}");
        }
    }

    #[test]
    fn it_fits_a_terminal() {
        for line in lines(&app(), at(125)) {
            assert!(line.chars().count() <= COLUMNS, "{line}");
        }
    }

    #[test]
    fn a_closed_port_and_an_idle_app_say_so() {
        let mut app = app();
        app.port = "inactive".to_owned();
        app.generations.clear();
        let shown = lines(&app, at(0)).join("\n");
        assert!(
            shown.contains("is closed") && shown.contains("the next connection starts one"),
            "{shown}"
        );
    }

    /// What programs rely on; a field more is no harm, a changed one is.
    #[test]
    fn the_json_is_as_documented() {
        let json = serde_json::to_value(app()).unwrap();
        let keys = |value: &serde_json::Value| {
            let keys = value.as_object().unwrap().keys();
            keys.map(String::as_str).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            keys(&json),
            "backend current generations lastHandover listen maintenance name port"
        );
        assert_eq!(
            keys(&json["generations"][0]),
            "cpuNanoseconds digest drainsUntil generation isHoldingPage mainPid memoryBytes phase restarts since status"
        );
        assert_eq!(json["generations"][0]["phase"], "draining");
        assert_eq!(json["current"], 3);
    }
}
