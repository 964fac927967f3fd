//! Text of metric families: OpenMetrics 1.0, or the older format of Prometheus, which node_exporter and `promtool` read.

use std::fmt::Write as _;

/// The format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0: a counter's family is named without `_total`, and the text ends with `# EOF`.
    OpenMetrics,
    /// Prometheus 0.0.4: a counter's family is named like its samples.
    Prometheus,
}

/// The kind of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows; its samples are named `NAME_total`.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Always 1, with facts in its labels; its samples are named `NAME_info`.
    Info,
}

/// A number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// A whole number.
    Count(u64),
    /// Milliseconds, as seconds.
    Milliseconds(u64),
    /// Microseconds, as seconds.
    Microseconds(u64),
}

/// One sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Names and values.
    pub labels: Vec<(&'static str, String)>,
    /// The number.
    pub value: Value,
}

/// Samples of one name.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricFamily {
    /// Its name, without `_total` and `_info`.
    pub name: &'static str,
    /// The help text.
    pub help: &'static str,
    /// Which kind.
    pub kind: Kind,
    /// Its samples.
    pub points: Vec<Point>,
}

/// The text of families.
#[must_use]
pub fn render(families: &[MetricFamily], format: Format) -> String {
    let mut text = String::new();
    for family in families.iter().filter(|family| !family.points.is_empty()) {
        let sample = match family.kind {
            Kind::Counter => format!("{}_total", family.name),
            Kind::Info => format!("{}_info", family.name),
            Kind::Gauge => family.name.to_owned(),
        };
        let (name, kind) = match (format, family.kind) {
            (Format::OpenMetrics, Kind::Counter) => (family.name, "counter"),
            (Format::OpenMetrics, Kind::Info) => (family.name, "info"),
            (Format::Prometheus, Kind::Counter) => (sample.as_str(), "counter"),
            (_, Kind::Gauge | Kind::Info) => (sample.as_str(), "gauge"),
        };
        // Writing to memory does not fail.
        let _ = writeln!(text, "# HELP {name} {}", escaped(family.help));
        let _ = writeln!(text, "# TYPE {name} {kind}");
        if let Some(unit) = unit_of(family.name).filter(|_| format == Format::OpenMetrics) {
            let _ = writeln!(text, "# UNIT {name} {unit}");
        }
        for point in &family.points {
            let labels = point.labels.iter();
            let labels = labels.map(|(name, value)| format!("{name}=\"{}\"", escaped(value)));
            let labels: Vec<_> = labels.collect();
            let _ = writeln!(
                text,
                "{sample}{{{}}} {}",
                labels.join(","),
                number(point.value)
            );
        }
    }
    if format == Format::OpenMetrics {
        text.push_str("# EOF\n");
    }
    text
}

fn unit_of(name: &str) -> Option<&'static str> {
    name.ends_with("_seconds").then_some("seconds")
}

/// Escapes backslashes, quotes and line ends, which would end a quoted value.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

fn number(value: Value) -> String {
    match value {
        Value::Count(count) => count.to_string(),
        Value::Milliseconds(time) => format!("{}.{:03}", time / 1000, time % 1000),
        Value::Microseconds(time) => format!("{}.{:06}", time / 1_000_000, time % 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn families() -> Vec<MetricFamily> {
        let point = |value| Point {
            labels: vec![("app", "hello".to_owned()), ("label", "a\"b\\c".to_owned())],
            value,
        };
        let family = |name, kind, value| MetricFamily {
            name,
            help: "What it is.",
            kind,
            points: vec![point(value)],
        };
        vec![
            family("portkeep_crashes", Kind::Counter, Value::Count(3)),
            family(
                "portkeep_holding_seconds",
                Kind::Counter,
                Value::Milliseconds(1_050),
            ),
            family("portkeep_generation", Kind::Gauge, Value::Count(7)),
            family("portkeep_release", Kind::Info, Value::Count(1)),
            MetricFamily {
                points: Vec::new(),
                ..family("portkeep_nothing", Kind::Gauge, Value::Count(0))
            },
        ]
    }

    #[test]
    fn open_metrics() {
        let expected = r#"# HELP portkeep_crashes What it is.
# TYPE portkeep_crashes counter
portkeep_crashes_total{app="hello",label="a\"b\\c"} 3
# HELP portkeep_holding_seconds What it is.
# TYPE portkeep_holding_seconds counter
# UNIT portkeep_holding_seconds seconds
portkeep_holding_seconds_total{app="hello",label="a\"b\\c"} 1.050
# HELP portkeep_generation What it is.
# TYPE portkeep_generation gauge
portkeep_generation{app="hello",label="a\"b\\c"} 7
# HELP portkeep_release What it is.
# TYPE portkeep_release info
portkeep_release_info{app="hello",label="a\"b\\c"} 1
# EOF
"#;
        assert_eq!(render(&families(), Format::OpenMetrics), expected);
    }

    #[test]
    fn prometheus() {
        let text = render(&families(), Format::Prometheus);
        for line in [
            "# TYPE portkeep_crashes_total counter",
            "# HELP portkeep_holding_seconds_total What it is.",
            "# TYPE portkeep_release_info gauge",
        ] {
            assert!(text.contains(line), "{line} is missing in:\n{text}");
        }
        assert!(
            !text.contains("# EOF") && !text.contains("# UNIT"),
            "{text}"
        );
    }

    #[test]
    fn times_are_exact() {
        assert_eq!(number(Value::Microseconds(1)), "0.000001");
        assert_eq!(number(Value::Microseconds(61_000_250)), "61.000250");
    }
}
