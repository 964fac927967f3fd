//! Output of `portkeep status` as text. Lines that are wider than the terminal are wrapped.

use std::time::Duration;

use anstyle::AnsiColor;
use jiff::Timestamp;
use portkeep_engine::Phase;
use portkeep_engine::diagnosis::Level;

use super::app::{AppStatus, GenerationStatus, SocketStatus};
use crate::output::{Text, inline, local_time, record_line, span, wrapped_to};

/// How far the lines of a generation's facts are indented, under its phase; less where there is no room for that.
const FACTS: usize = 18;
/// A terminal for which that is too far.
const NARROW: usize = 60;

pub(crate) fn lines(app: &AppStatus, now: Timestamp, columns: usize) -> Vec<Text> {
    let mut lines = Lines {
        columns,
        found: Vec::new(),
    };
    lines.of_port(app);
    if app.generations.is_empty() && app.port != "not-found" {
        lines.add(2, "no generation runs; the next connection starts one");
    }
    for one in app.current_first() {
        lines.of_generation(one, app, now);
    }
    lines.of_maintenance(app);
    lines.of_drain(app, now);
    for told in &app.findings {
        let (style, word) = match told.level {
            Level::Problem => (AnsiColor::Red.on_default().bold(), "problem: "),
            Level::Advice => (AnsiColor::Yellow.on_default(), "advice: "),
        };
        lines.add_after(2, Text::styled(style, word), word.len(), &told.what);
    }
    if !app.findings.is_empty() {
        let flag = match app.backend.as_str() {
            "local" => String::new(),
            backend => format!("--{backend} "),
        };
        lines.add(
            2,
            &format!("`portkeep doctor {flag}{}` says what to do", app.name),
        );
    }
    if let Some(record) = &app.last_handover {
        lines.add(2, &format!("last: {}", record_line(record)));
    }
    lines.found
}

struct Lines {
    columns: usize,
    found: Vec<Text>,
}

impl Lines {
    /// A text, indented; what does not fit is indented by four more.
    fn add(&mut self, indent: usize, text: &str) {
        self.add_after(indent, Text::default(), 0, text);
    }

    /// The same behind a word, which is so many columns wide.
    fn add_after(&mut self, indent: usize, word: Text, width: usize, text: &str) {
        let hanging = indent + 4;
        let first = indent + width;
        let mut wrapped = wrapped_to(self.columns, &inline(text), first, hanging).into_iter();
        let head = wrapped.next().unwrap_or_default();
        let margin = " ".repeat(indent);
        let text = head.get(first..).unwrap_or_default().to_owned();
        self.found.push(Text::from(margin) + word + text);
        self.found.extend(wrapped.map(Text::from));
    }

    fn of_port(&mut self, app: &AppStatus) {
        let first = SocketStatus {
            unit: String::new(),
            state: app.port.clone(),
            listen: app.listen.clone(),
        };
        let head = format!("{} ({})", app.name, app.backend);
        self.add(0, &format!("{head}, {}", opened(&first)));
        for socket in app.sockets.iter().skip(1) {
            self.add(2, &format!("{}, {}", socket.unit, opened(socket)));
        }
    }

    /// That there is maintenance, and how it is ended.
    fn of_maintenance(&mut self, app: &AppStatus) {
        let Some(maintenance) = &app.maintenance else {
            return;
        };
        let (name, since) = (&app.name, local_time(maintenance.since));
        let told =
            format!("in maintenance since {since}; `portkeep maintenance {name} off` ends it");
        self.add(2, &told);
        if let Some(message) = &maintenance.message {
            self.add(2, &format!("its page says: {message}"));
        }
    }

    /// That it is taken out, and how it is put back.
    fn of_drain(&mut self, app: &AppStatus, now: Timestamp) {
        let Some(drain) = &app.drain else {
            return;
        };
        let (name, since) = (&app.name, local_time(drain.since));
        let grace = Duration::from_millis(drain.grace_milliseconds.try_into().unwrap_or_default());
        let to_come = grace.saturating_sub(left(now, drain.since));
        let then = match to_come.is_zero() {
            true => "connections end".to_owned(),
            false => format!("connections end in {}", span(to_come)),
        };
        let told =
            format!("taken out since {since}, {then}; `portkeep undrain {name}` puts it back");
        self.add(2, &told);
    }

    fn of_generation(&mut self, one: &GenerationStatus, app: &AppStatus, now: Timestamp) {
        let is_current = app.current == Some(one.generation);
        let word = match one.phase {
            Phase::Starting => "starting",
            Phase::Serving if one.is_holding_page => "holding",
            Phase::Serving if is_current => "current",
            Phase::Serving => "serving",
            Phase::Draining => "draining",
        };
        let digest = one.digest.as_deref().unwrap_or_default();
        let head = format!(
            "generation {:<4} {word:<9} {digest:<12}  {}",
            one.generation,
            when(one, now)
        );
        self.add(2, head.trim_end());
        let label = one.label.as_ref().map(|label| format!("label {label}"));
        let facts = [
            one.main_pid.map(|pid| format!("process {pid}")),
            one.memory_bytes
                .map(|bytes| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))),
            one.cpu_nanoseconds
                .map(|cpu| format!("{:.2} s of CPU", Duration::from_nanos(cpu).as_secs_f64())),
            (one.restarts > 0).then(|| format!("restarted {} times", one.restarts)),
        ];
        let facts: Vec<String> = facts.into_iter().flatten().collect();
        let says = match (one.is_holding_page, &app.maintenance) {
            (true, None) => "portkeep's holding page, because no release can serve",
            (true, Some(_)) => "portkeep's holding page, because there is maintenance",
            (false, _) => one.status.as_str(),
        };
        let indent = if self.columns < NARROW { 4 } else { FACTS };
        for more in [
            label.as_deref().unwrap_or_default(),
            facts.join(", ").as_str(),
            says,
        ] {
            if !more.is_empty() {
                self.add(indent, more);
            }
        }
    }
}

fn opened(socket: &SocketStatus) -> String {
    let address = match socket.listen.join(", ") {
        none if none.is_empty() => "the port".to_owned(),
        addresses => addresses,
    };
    let state = match socket.state.as_str() {
        "listening" | "running" | "held" => "open",
        "inactive" => "closed",
        other => other,
    };
    format!("{address} is {state}")
}

/// Since when, and until when.
fn when(one: &GenerationStatus, now: Timestamp) -> String {
    let since = |at: Timestamp| format!("since {} ({})", local_time(at), span(left(now, at)));
    match one.phase {
        Phase::Starting => one.started_at.map(since).unwrap_or_default(),
        Phase::Serving => one.since.map(since).unwrap_or_default(),
        Phase::Draining => {
            let left = one.drains_until.map(|until| span(left(until, now)));
            let left = left.map(|left| format!("{left} left"));
            let since = one.draining_since.map(since);
            let both: Vec<_> = left.into_iter().chain(since).collect();
            both.join(", ")
        }
    }
}

/// From `earlier` to `later`; nothing where the clock was set back.
fn left(later: Timestamp, earlier: Timestamp) -> Duration {
    later.duration_since(earlier).try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use portkeep_engine::Generation;

    use super::super::app::Problem;
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
            started_at: Some(at(0)),
            draining_since: None,
            drains_until: None,
            digest: Some("29b4a5a9dd6c".to_owned()),
            label: Some("v1.2-3-g70e033f".parse().unwrap()),
            status: "serving on 127.0.0.1:8080 (http), 3 requests in flight".to_owned(),
            main_pid: Some(4242),
            restarts: 0,
            memory_bytes: Some(12 << 20),
            cpu_nanoseconds: Some(410_000_000),
        }
    }

    fn socket(unit: &str, state: &str, address: &str) -> SocketStatus {
        SocketStatus {
            unit: unit.to_owned(),
            state: state.to_owned(),
            listen: vec![address.to_owned()],
        }
    }

    fn app() -> AppStatus {
        let mut draining = one(2, Phase::Draining);
        draining.draining_since = Some(at(120));
        draining.drains_until = Some(at(150));
        draining.status = "word ".repeat(40);
        AppStatus {
            name: "hello".parse().unwrap(),
            backend: "system".to_owned(),
            port: "running".to_owned(),
            listen: vec!["127.0.0.1:8080".to_owned()],
            sockets: vec![
                socket("hello.socket", "running", "127.0.0.1:8080"),
                socket("hello-admin.socket", "inactive", "/run/hello/admin.sock"),
            ],
            current: Some(Generation(3)),
            generations: vec![draining, one(3, Phase::Serving)],
            findings: vec![Problem {
                level: Level::Problem,
                code: "fell-back",
                what:
                    "what is installed does not serve: the last good release serves instead of it"
                        .to_owned(),
            }],
            last_handover: None,
            maintenance: None,
            drain: None,
        }
    }

    fn shown(app: &AppStatus, now: Timestamp, columns: usize) -> Vec<String> {
        let plain = |line: Text| anstream::adapter::strip_str(&line.to_string()).to_string();
        lines(app, now, columns).into_iter().map(plain).collect()
    }

    #[test]
    fn who_is_current_since_when_and_what_is_left_of_a_drain() {
        let shown = shown(&app(), at(125), COLUMNS);
        let text = shown.join("\n");
        for words in [
            "hello (system), 127.0.0.1:8080 is open",
            "  hello-admin.socket, /run/hello/admin.sock is closed",
            "generation 2    draining  29b4a5a9dd6c  25 s left, since 2027-01-1",
            "generation 3    current   29b4a5a9dd6c  since 2027-01-1",
            "(2 min 5 s)",
            "label v1.2-3-g70e033f",
            "process 4242, 12.0 MiB, 0.41 s of CPU",
            "3 requests in flight",
            "problem: what is installed",
            "`portkeep doctor --system hello` says what to do",
        ] {
            assert!(text.contains(words), "`{words}` is missing in:\n{text}");
        }
        let line_of = |words: &str| shown.iter().position(|line| line.contains(words));
        assert!(line_of("current") < line_of("draining"), "{text}");
    }

    #[test]
    fn nothing_is_cut_off_in_a_narrow_terminal() {
        let words = |lines: Vec<String>| {
            let words = lines.join(" ");
            let words: Vec<_> = words.split_whitespace().map(str::to_owned).collect();
            words
        };
        let wide = words(shown(&app(), at(125), 1000));
        for columns in [40, 60, 72, COLUMNS] {
            let lines = shown(&app(), at(125), columns);
            for line in &lines {
                let longest = line.split_whitespace().map(|word| word.chars().count());
                // A word that is longer than all of it stays whole.
                assert!(
                    line.chars().count() <= columns || longest.max() > Some(columns - 24),
                    "{columns}: {line}"
                );
            }
            assert_eq!(words(lines), wide, "{columns}");
        }
    }

    #[test]
    fn a_closed_port_and_an_idle_app_say_so() {
        let mut app = app();
        app.port = "inactive".to_owned();
        app.generations.clear();
        let shown = shown(&app, at(0), COLUMNS).join("\n");
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
            "backend current drain findings generations lastHandover listen maintenance name port sockets"
        );
        assert_eq!(
            keys(&json["generations"][0]),
            "cpuNanoseconds digest drainingSince drainsUntil generation isHoldingPage label mainPid memoryBytes phase restarts since startedAt \
             status"
        );
        assert_eq!(keys(&json["sockets"][0]), "listen state unit");
        assert_eq!(keys(&json["findings"][0]), "code level what");
        assert_eq!(json["generations"][0]["phase"], "draining");
        assert_eq!(json["current"], 3);
    }
}
