//! What `portkeep dev` says: one line an event.

use std::cell::Cell;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use portkeep_engine::{Generation, Outcome};
use portkeep_spec::AppName;

use super::project::url;
use super::session::{Event, Session};

/// Writes to the terminal. Colours go where a terminal shows them, and nowhere else.
#[derive(Debug)]
pub(crate) struct Report {
    name: AppName,
    /// The newest generation whose handover was shown.
    shown: Cell<Option<Generation>>,
}

const DIM: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();

impl Report {
    pub(crate) fn new(name: AppName) -> Self {
        Self {
            name,
            shown: Cell::new(None),
        }
    }

    pub(crate) fn line(&self, text: &str) {
        anstream::println!("{DIM}portkeep{DIM:#} {}: {text}", self.name);
    }

    pub(crate) fn opened(&self, session: &Session) {
        for notice in session.notices() {
            self.line(notice);
        }
        for listen in &session.spec().listen {
            self.line(&format!(
                "{GOOD}{}{GOOD:#} is open; {}",
                url(listen),
                session.who_holds()
            ));
        }
    }

    pub(crate) fn building(&self, reason: Option<&str>) {
        match reason {
            None => self.line("building"),
            Some(path) => self.line(&format!("{path} changed, building")),
        }
    }

    pub(crate) fn built(&self, took: Duration) {
        self.line(&format!("built in {}", seconds(took)));
    }

    pub(crate) fn build_failed(&self, took: Duration, serves: Option<Generation>) {
        let meanwhile = match serves {
            Some(generation) => format!("generation {generation} serves on"),
            None => "nothing serves yet, connections wait".to_owned(),
        };
        self.line(&format!(
            "{BAD}the build failed{BAD:#} after {}; {meanwhile}",
            seconds(took)
        ));
    }

    /// Tells how a handover ended. True if the app serves what was built.
    pub(crate) fn handed_over(&self, result: &anyhow::Result<Outcome>) -> bool {
        match result {
            Ok(Outcome::HandedOver(record)) => {
                let generation = record.generation.unwrap_or(Generation(0));
                // The history may have been quicker to tell.
                if self.shown.replace(record.generation) == record.generation {
                    return record.reason.is_none();
                }
                match &record.reason {
                    None => {
                        let (ready, all) = (
                            record.steps.start_milliseconds,
                            record.steps.total_milliseconds,
                        );
                        self.line(&format!(
                            "{GOOD}generation {generation} serves{GOOD:#}, READY in {ready:.0} ms, handed over in {all:.0} ms"
                        ));
                        true
                    }
                    Some(reason) => {
                        self.line(&format!(
                            "{BAD}the new version did not start{BAD:#}: {reason}"
                        ));
                        self.line(&format!(
                            "generation {generation} serves the last good version"
                        ));
                        false
                    }
                }
            }
            Ok(Outcome::Unchanged(generation)) => {
                self.line(&format!(
                    "nothing changed, generation {generation} serves on"
                ));
                true
            }
            Ok(Outcome::KnownBad(digest)) => {
                self.line(&format!(
                    "{BAD}release {digest} failed before{BAD:#} and did not change"
                ));
                false
            }
            Ok(other) => {
                self.line(&format!("{other:?}"));
                true
            }
            Err(error) => {
                self.line(&format!(
                    "{BAD}the new version did not take over{BAD:#}: {error:#}"
                ));
                false
            }
        }
    }

    pub(crate) fn session_event(&self, event: &Event) {
        match event {
            Event::Line(generation, line) => {
                anstream::println!("{DIM}{generation:>4} |{DIM:#} {line}");
            }
            Event::Note(text) => self.line(text),
            Event::Gone(generation, why) => {
                self.line(&format!(
                    "{BAD}generation {generation} is gone{BAD:#}: {why}"
                ));
            }
            Event::Rested(generation) => self.line(&format!(
                "generation {generation} has ended; the next connection starts it again"
            )),
            Event::Recorded(record) if record.generation > self.shown.get() => {
                self.handed_over(&Ok(Outcome::HandedOver(record.clone())));
            }
            // Whoever asked for what was done already has been told so.
            Event::Ended(Ok(Outcome::Unchanged(_))) => {}
            Event::Ended(result) => {
                self.handed_over(result);
            }
            Event::Asked(_) | Event::Output | Event::Recorded(_) => {}
        }
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}
