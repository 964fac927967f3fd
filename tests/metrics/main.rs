//! Metrics, alerts, dashboard and traces as the programs read them that they are for: promtool, a Prometheus, and the types of
//! OpenTelemetry. `tests/run metrics` brings promtool and Prometheus.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a panic is how a test fails"
)]

mod prometheus;
mod sample;

use std::path::{Path, PathBuf};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value;
use portkeep_engine::Generation;
use portkeep_engine::metrics::{Format, families, render};
use portkeep_engine::trace::Trace;
use portkeep_tests::wait_until;
use serde_json::Value;

use prometheus::{Prometheus, promtool};

const SOON: Duration = Duration::from_secs(60);

fn deployed(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../deploy")
        .join(file)
}

#[test]
fn promtool_finds_nothing_to_say_of_the_text() {
    let text = render(&families(&sample::apps()), Format::Prometheus);
    promtool(&["check", "metrics"], &text);
}

#[test]
fn the_alerts_come_when_they_should() {
    let rules = deployed("prometheus/portkeep.rules.yml");
    promtool(&["check", "rules", rules.to_str().unwrap()], "");
    let tests = deployed("prometheus/portkeep.test.yml");
    promtool(&["test", "rules", tests.to_str().unwrap()], "");
}

/// Each alert is in a test, and each metric that is asked for is one that there is.
#[test]
fn nothing_is_asked_for_that_is_not_there() {
    let rules = std::fs::read_to_string(deployed("prometheus/portkeep.rules.yml")).unwrap();
    let tests = std::fs::read_to_string(deployed("prometheus/portkeep.test.yml")).unwrap();
    for line in rules.lines() {
        if let Some(alert) = line.trim().strip_prefix("- alert: ") {
            assert!(
                tests.contains(&format!("alertname: {alert}\n")),
                "{alert} has no test"
            );
        }
    }
    let dashboard = std::fs::read_to_string(deployed("grafana/portkeep.json")).unwrap();
    let text = render(&families(&sample::apps()), Format::Prometheus);
    for asked in [rules, dashboard] {
        let names = asked.match_indices("portkeep_").map(|(at, _)| {
            let rest = &asked[at..];
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            &rest[..end.unwrap_or(rest.len())]
        });
        for name in names {
            assert!(text.contains(&format!("\n{name}{{")), "there is no {name}");
        }
    }
}

#[test]
fn a_prometheus_scrapes_it_and_answers_what_the_dashboard_asks() {
    let prometheus = Prometheus::scraping(render(&families(&sample::apps()), Format::OpenMetrics));
    wait_until("Prometheus has scraped it", SOON, || {
        let found = prometheus.value(r#"portkeep_generation{app="hello"}"#)?;
        (found == "7").then_some(())
    });
    for (query, value) in [
        (
            r#"portkeep_requests_answered_total{app="hello"}"#,
            "1234567",
        ),
        (
            r#"portkeep_handovers_total{app="hello",result="handed-over"}"#,
            "2",
        ),
        (
            r#"portkeep_release_info{app="hello",label="say \"hi\" \\ 100%"}"#,
            "1",
        ),
        (
            r#"portkeep_handover_step_seconds_total{app="hello",step="start"}"#,
            "0.06",
        ),
        (r#"portkeep_holding_seconds_total{app="hello"}"#, "30"),
    ] {
        assert_eq!(prometheus.value(query).as_deref(), Some(value), "{query}");
    }
    let metadata = prometheus.get("/api/v1/metadata");
    let kind = |name: &str| metadata["data"][name][0]["type"].clone();
    let counter = [kind("portkeep_handovers"), kind("portkeep_handovers_total")];
    assert!(counter.contains(&Value::from("counter")), "{metadata:#}");
    assert_eq!(kind("portkeep_generation"), "gauge");

    let dashboard = std::fs::read_to_string(deployed("grafana/portkeep.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let mut asked = 0;
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let query = target["expr"].as_str().unwrap();
            let query = query
                .replace("$app", ".*")
                .replace("$instance", ".*")
                .replace("$__rate_interval", "1m");
            let answer = prometheus.query(&query);
            assert_eq!(answer["status"], "success", "{query}: {answer:#}");
            asked += 1;
        }
    }
    assert!(asked > 10, "{asked} queries");
}

#[test]
fn a_collector_reads_a_trace() {
    let events = sample::history();
    let trace = Trace::of(&events, Generation(7)).unwrap();
    let name = "hello".parse().unwrap();
    let json = trace
        .otlp(&name, portkeep_spec::Manager::System, "1.0")
        .to_string();
    let request: ExportTraceServiceRequest = serde_json::from_str(&json).unwrap();
    let resource = &request.resource_spans[0];
    let attributes = &resource.resource.as_ref().unwrap().attributes;
    let service = attributes
        .iter()
        .find(|one| one.key == "service.name")
        .unwrap();
    let value = service.value.as_ref().unwrap().value.as_ref().unwrap();
    assert_eq!(*value, any_value::Value::StringValue("hello".to_owned()));
    let spans = &resource.scope_spans[0].spans;
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(
        names,
        ["handover", "lock", "capture", "start", "switch", "drain"]
    );
    for span in spans {
        assert_eq!((span.trace_id.len(), span.span_id.len()), (16, 8));
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
        assert!(span.start_time_unix_nano > 0);
        let is_root = span.name == "handover";
        assert_eq!(span.parent_span_id.is_empty(), is_root);
        assert!(is_root || span.parent_span_id == spans[0].span_id);
    }
    // What it writes again is what was read.
    let again = serde_json::to_string(&request).unwrap();
    let again: ExportTraceServiceRequest = serde_json::from_str(&again).unwrap();
    assert_eq!(again, request);
}
