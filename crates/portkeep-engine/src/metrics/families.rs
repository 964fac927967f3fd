//! The list of metric families.

use super::sample::{AppSample, Serving};
use super::text::{Kind, MetricFamily, Point, Value};
use crate::handover::Purpose;
use crate::store::{HandoverResult, Totals};

const RESULTS: [HandoverResult; 6] = [
    HandoverResult::HandedOver,
    HandoverResult::FellBack,
    HandoverResult::Holding,
    HandoverResult::Maintenance,
    HandoverResult::Failed,
    HandoverResult::Refused,
];
const CRASHES: [&str; 3] = ["restart", "give-up", "abandon"];

/// All families of these apps. Each app has each counter from the beginning, so that its first step is seen as one.
#[must_use]
pub fn families(apps: &[AppSample]) -> Vec<MetricFamily> {
    [state(apps), handovers(apps), ends(apps)].concat()
}

fn state(apps: &[AppSample]) -> Vec<MetricFamily> {
    let gauge = |name, help, value: &dyn Fn(&AppSample) -> Option<u64>| {
        family(apps, name, help, Kind::Gauge, |app| {
            let value = value(app).map(Value::Count);
            value.map(|value| (Vec::new(), value)).into_iter().collect()
        })
    };
    let serving = |wanted: Serving| move |app: &AppSample| Some(u64::from(app.serving == wanted));
    vec![
        family(
            apps,
            "portkeep_release",
            "The release that serves: its digest, and what people call it.",
            Kind::Info,
            |app| {
                let Some(release) = &app.release else {
                    return Vec::new();
                };
                let label = app.label.as_ref();
                let labels = vec![
                    ("release", release.short().to_owned()),
                    ("label", label.map(ToString::to_string).unwrap_or_default()),
                ];
                vec![(labels, Value::Count(1))]
            },
        ),
        gauge(
            "portkeep_generation",
            "The number of the generation that accepts connections.",
            &|app| app.current.map(|generation| generation.0),
        ),
        gauge(
            "portkeep_serving",
            "1 while a release of the app serves; 0 also before the first connection.",
            &serving(Serving::Release),
        ),
        gauge(
            "portkeep_holding",
            "1 while the holding page answers, because no release can serve.",
            &serving(Serving::HoldingPage),
        ),
        gauge(
            "portkeep_maintenance",
            "1 while the page of maintenance answers.",
            &serving(Serving::Maintenance),
        ),
        gauge(
            "portkeep_draining_generations",
            "Generations that finish what they have.",
            &|app| Some(app.draining),
        ),
        gauge(
            "portkeep_drained",
            "1 from `portkeep drain` until `portkeep undrain`: load balancers are told to send nothing.",
            &|app| Some(u64::from(app.taken_out)),
        ),
        family(
            apps,
            "portkeep_socket_open",
            "1 while the port is open.",
            Kind::Gauge,
            |app| {
                let sockets = app.sockets.iter();
                let point = |socket: &super::sample::SocketSample| {
                    let labels = vec![("socket", socket.unit.clone())];
                    (labels, Value::Count(u64::from(socket.is_open)))
                };
                sockets.map(point).collect()
            },
        ),
    ]
}

fn handovers(apps: &[AppSample]) -> Vec<MetricFamily> {
    vec![
        family(
            apps,
            "portkeep_handovers",
            "Handovers, by what came of them.",
            Kind::Counter,
            |app| {
                let count = |result: HandoverResult| {
                    let labels = vec![("result", result.as_str().to_owned())];
                    (labels, Value::Count(app.totals.handovers(result, None)))
                };
                RESULTS.map(count).into()
            },
        ),
        family(
            apps,
            "portkeep_rollbacks",
            "Returns to a release that served before: because a person wanted that, or because the new one could not serve.",
            Kind::Counter,
            |app| {
                let asked = Some(Purpose::Rollback);
                let asked = app.totals.handovers(HandoverResult::HandedOver, asked);
                let fell_back = app.totals.handovers(HandoverResult::FellBack, None);
                [("asked", asked), ("fell-back", fell_back)]
                    .map(|(cause, count)| (vec![("cause", cause.to_owned())], Value::Count(count)))
                    .into()
            },
        ),
        family(
            apps,
            "portkeep_handover_step_seconds",
            "How long the steps of all handovers took together; total is all of them.",
            Kind::Counter,
            |app| {
                let steps = &app.totals.steps;
                [
                    ("lock", steps.lock_microseconds),
                    ("capture", steps.capture_microseconds),
                    ("release-command", steps.release_microseconds),
                    ("start", steps.start_microseconds),
                    ("total", steps.total_microseconds),
                ]
                .map(|(step, time)| (vec![("step", step.to_owned())], Value::Microseconds(time)))
                .into()
            },
        ),
        family(
            apps,
            "portkeep_last_handover_timestamp_seconds",
            "When the last handover ended, and what came of it.",
            Kind::Gauge,
            |app| {
                let Some(last) = &app.last else {
                    return Vec::new();
                };
                let at = u64::try_from(last.at.as_millisecond()).unwrap_or(0);
                let labels = vec![("result", last.result.as_str().to_owned())];
                vec![(labels, Value::Milliseconds(at))]
            },
        ),
        family(
            apps,
            "portkeep_last_handover_seconds",
            "How long the last handover took.",
            Kind::Gauge,
            |app| {
                let Some(last) = &app.last else {
                    return Vec::new();
                };
                let took = (last.steps.total_milliseconds.max(0.0) * 1e3).round() as u64;
                vec![(Vec::new(), Value::Microseconds(took))]
            },
        ),
    ]
}

fn ends(apps: &[AppSample]) -> Vec<MetricFamily> {
    let counter = |name, help, value: &dyn Fn(&AppSample) -> Value| {
        family(apps, name, help, Kind::Counter, |app| {
            vec![(Vec::new(), value(app))]
        })
    };
    let total = |pick: fn(&Totals) -> u64| move |app: &AppSample| Value::Count(pick(&app.totals));
    vec![
        family(
            apps,
            "portkeep_crashes",
            "Generations that ended by themselves, and not well, by what was made of that.",
            Kind::Counter,
            |app| {
                let count = |word: &str| {
                    let count = app.totals.crashes.get(word).copied().unwrap_or(0);
                    (vec![("decision", word.to_owned())], Value::Count(count))
                };
                CRASHES.map(count).into()
            },
        ),
        family(
            apps,
            "portkeep_drains",
            "Drains that have ended: in time, or cut at their deadline.",
            Kind::Counter,
            |app| {
                [
                    ("finished", app.totals.drained),
                    ("cut", app.totals.drains_cut),
                ]
                .map(|(end, count)| (vec![("end", end.to_owned())], Value::Count(count)))
                .into()
            },
        ),
        family(
            apps,
            "portkeep_taken_out",
            "How often load balancers were told to send nothing: because a person asked for it, or at a shutdown.",
            Kind::Counter,
            |app| {
                [
                    ("asked", app.totals.taken_out),
                    ("shutdown", app.totals.left),
                ]
                .map(|(cause, count)| (vec![("cause", cause.to_owned())], Value::Count(count)))
                .into()
            },
        ),
        counter(
            "portkeep_requests_answered",
            "Requests that generations on the server library have answered, as far as they said.",
            &|app| Value::Count(app.totals.answered.saturating_add(app.answered_since)),
        ),
        counter(
            "portkeep_connections_moved",
            "Connections that went on to the next generation.",
            &total(|totals| totals.moved),
        ),
        counter(
            "portkeep_connections_cut",
            "Connections that were ended in the middle of something, at the deadline of a drain.",
            &total(|totals| totals.cut),
        ),
        counter(
            "portkeep_holding_seconds",
            "How long the holding page has answered.",
            &|app| Value::Milliseconds(app.totals.holding_milliseconds_at(app.at)),
        ),
    ]
}

/// The further labels of a point, and its value.
type Labelled = (Vec<(&'static str, String)>, Value);

fn family(
    apps: &[AppSample],
    name: &'static str,
    help: &'static str,
    kind: Kind,
    points: impl Fn(&AppSample) -> Vec<Labelled>,
) -> MetricFamily {
    let of_app = |app: &AppSample| {
        let whose = [
            ("app", app.name.to_string()),
            ("manager", app.which.to_string()),
        ];
        let points = points(app).into_iter().map(move |(labels, value)| Point {
            labels: whose.clone().into_iter().chain(labels).collect(),
            value,
        });
        points.collect::<Vec<_>>()
    };
    MetricFamily {
        name,
        help,
        kind,
        points: apps.iter().flat_map(of_app).collect(),
    }
}

#[cfg(test)]
mod tests {
    use portkeep_spec::Manager as Which;

    use super::super::sample::SocketSample;
    use super::super::text::{Format, render};
    use super::*;
    use crate::generation::Generation;
    use crate::release::Digest;

    fn app() -> AppSample {
        AppSample {
            name: "hello".parse().unwrap(),
            which: Which::System,
            at: jiff::Timestamp::UNIX_EPOCH,
            serving: Serving::Release,
            current: Some(Generation(7)),
            release: Some(Digest("0123456789abcdef".to_owned())),
            label: Some("v1".parse().unwrap()),
            draining: 1,
            taken_out: true,
            sockets: vec![SocketSample {
                unit: "hello.socket".to_owned(),
                is_open: true,
            }],
            last: None,
            totals: Totals {
                answered: 100,
                ..Totals::default()
            },
            answered_since: 23,
        }
    }

    #[test]
    fn all_that_is_known_is_told_and_each_counter_begins_at_nothing() {
        let text = render(&families(&[app()]), Format::OpenMetrics);
        for line in [
            r#"portkeep_release_info{app="hello",manager="system",release="0123456789ab",label="v1"} 1"#,
            r#"portkeep_generation{app="hello",manager="system"} 7"#,
            r#"portkeep_serving{app="hello",manager="system"} 1"#,
            r#"portkeep_holding{app="hello",manager="system"} 0"#,
            r#"portkeep_drained{app="hello",manager="system"} 1"#,
            r#"portkeep_taken_out_total{app="hello",manager="system",cause="asked"} 0"#,
            r#"portkeep_taken_out_total{app="hello",manager="system",cause="shutdown"} 0"#,
            r#"portkeep_socket_open{app="hello",manager="system",socket="hello.socket"} 1"#,
            r#"portkeep_handovers_total{app="hello",manager="system",result="fell-back"} 0"#,
            r#"portkeep_requests_answered_total{app="hello",manager="system"} 123"#,
            r#"portkeep_crashes_total{app="hello",manager="system",decision="give-up"} 0"#,
            r#"portkeep_holding_seconds_total{app="hello",manager="system"} 0.000"#,
        ] {
            assert!(text.contains(line), "{line} is missing in:\n{text}");
        }
        assert_eq!(families(&[app()]).len(), families(&[]).len());
        assert_eq!(render(&families(&[]), Format::OpenMetrics), "# EOF\n");
    }
}
