//! Terminal's view of the status: one line for each notice. It decides nothing.

use std::fmt::Display;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use portkeep_contract::development::{Refusal, host_name};
use portkeep_engine::Generation;
use portkeep_spec::{Address, AppName};

use crate::change::Changed;
use crate::effect::{Level, Notice, RewrittenFile, Serving, Step};
use crate::event::Work;
use crate::project::{OWN, url_of_app};
use crate::screen::Line;

const DIM: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// The help for keys.
const KEYS: &str = "keys: r reload   b rebuild   o open   l log level   q quit";

fn good(words: impl Display) -> Line {
    Line::styled(GOOD, words)
}

fn bad(words: impl Display) -> Line {
    Line::styled(BAD, words)
}

/// The lines of a notice; none for some.
pub(crate) fn lines(name: &AppName, notice: &Notice) -> Vec<Line> {
    let ours = |words: Line| Line::styled(DIM, "portkeep") + format!(" {name}: ") + words;
    match notice {
        Notice::Line(generation, line) => {
            let number = Line::styled(DIM, format_args!("{generation:>4} |"));
            vec![number + " " + Line::in_colour(line)]
        }
        Notice::FellBack { generation, reason } => vec![
            ours(bad("the new version did not start") + format!(": {reason}")),
            ours(format!("generation {generation} serves the last good version").into()),
        ],
        Notice::OpenedByApp(addresses) => {
            let opened = |address| good(url_of_app(address)) + " is open; the app opened it itself";
            addresses.iter().map(opened).map(ours).collect()
        }
        _ => of_project(notice)
            .or_else(|| of_round(notice))
            .or_else(|| of_handover(notice))
            .or_else(|| of_generation(notice))
            .or_else(|| of_session(name, notice))
            .map(ours)
            .into_iter()
            .collect(),
    }
}

fn of_project(notice: &Notice) -> Option<Line> {
    Some(match notice {
        Notice::Project(words) | Notice::Trouble(words) => words.clone().into(),
        Notice::Open { address, holder } => good(address) + format!(" is open; {holder}"),
        Notice::Keys => KEYS.into(),
        Notice::BeginsWithDev => format!(
            "the first builds use the profile dev, which is built already; {OWN} is built behind them"
        )
        .into(),
        Notice::BuiltBehind => format!(
            "{OWN} builds from now on, in a directory of its own: no build waits for rust-analyzer or `cargo check`"
        )
        .into(),
        Notice::Files(_, Changed::Nothing) => return None,
        Notice::Files(names, Changed::Styles) => {
            format!("{names} changed, pages take the new styles").into()
        }
        Notice::Files(names, Changed::Pages) => format!("{names} changed, pages reload").into(),
        Notice::WaitsForKey(names) => format!("{names} changed; b builds").into(),
        Notice::RewrittenFile(file) => rewritten(file).into(),
        _ => return None,
    })
}

fn rewritten(file: &RewrittenFile) -> String {
    let RewrittenFile {
        name,
        rounds,
        is_input,
        pattern,
    } = file;
    let what = if *is_input {
        "it is built to its end from now on, and then again"
    } else {
        "from now on that does not count while it is built"
    };
    format!(
        "{name} changed during {rounds} builds in a row: {what}. If nobody edits it, the build, a check or the app writes it: \
         `--ignore '{pattern}'` leaves it out"
    )
}

fn of_round(notice: &Notice) -> Option<Line> {
    Some(match notice {
        Notice::Building(None) => "building".into(),
        Notice::Building(Some(what)) => format!("{what} changed, building").into(),
        Notice::Built(took) => format!("built in {}", seconds(*took)).into(),
        Notice::BuildFailed(took, serves) => failed("the build", *took, *serves),
        Notice::Checking(check) => format!("checking: {check}").into(),
        Notice::CheckPassed(check, took) => format!("{check} passed in {}", seconds(*took)).into(),
        Notice::CheckFailed(check, took, serves) => failed(check, *took, *serves),
        Notice::CouldNot(error, serves) => bad(error) + format!("; {}", meanwhile(*serves)),
        Notice::Superseded(serves) => format!(
            "newer sources overtake the version that starts; {}",
            meanwhile(*serves)
        )
        .into(),
        Notice::GivenUp => "the start that was overtaken is given up".into(),
        _ => return None,
    })
}

fn of_handover(notice: &Notice) -> Option<Line> {
    Some(match notice {
        Notice::Serves {
            generation,
            ready,
            total,
        } => {
            let (ready, total) = (milliseconds(*ready), milliseconds(*total));
            good(format_args!("generation {generation} serves"))
                + format!(", READY in {ready} ms, handed over in {total} ms")
        }
        Notice::Unchanged(Work::Nothing, generation) => {
            format!("nothing to build, generation {generation} serves on").into()
        }
        Notice::Unchanged(Work::Something, generation) => {
            format!("the same as before, generation {generation} serves on").into()
        }
        Notice::NotOfRelease(files, generation) => format!(
            "{files} changed and is no part of what runs, generation {generation} serves on: name it in `files` in \
             portkeep.json, and a change of it starts a new version"
        )
        .into(),
        Notice::KnownBad(digest) => {
            bad(format_args!("release {digest} failed before")) + " and did not change"
        }
        Notice::NothingServes(step, reason) => nothing_serves(*step, reason),
        Notice::DidNotTakeOver(why) => bad("the new version did not take over") + format!(": {why}"),
        Notice::InMaintenance => "in maintenance, and its page answers (503)".into(),
        Notice::Answered(what) => what.clone().into(),
        Notice::RequestsDoNotWait => {
            "--while-building hold does nothing here: requests wait only in apps with the server library and its feature `dev`, \
             built with debug assertions, and not behind TLS of their own"
                .into()
        }
        _ => return None,
    })
}

/// Why a holding page answers instead of the app; `reason` is from the handover.
fn nothing_serves(step: Step, reason: &str) -> Line {
    match step {
        Step::Making => "nothing serves before the first build is done: pages show how far it is, other clients are answered \
                         503 and told to ask again"
            .into(),
        Step::NotMade => {
            "nothing serves before a build is good: pages show what failed, other clients are answered 503"
                .into()
        }
        Step::Started => bad("nothing can serve yet") + format!(": {reason}"),
    }
}

fn of_generation(notice: &Notice) -> Option<Line> {
    Some(match notice {
        Notice::LinesLost(count) => {
            format!("{count} lines of the app are not shown: it writes faster than they can be")
                .into()
        }
        Notice::HoldsPort {
            generation,
            addresses,
            limit,
        } => holds_port(*generation, addresses, *limit).into(),
        Notice::Gone(generation, why) => {
            bad(format_args!("generation {generation} is gone")) + format!(": {why}")
        }
        Notice::Rested(generation) => {
            format!("generation {generation} has ended; the next connection starts it again").into()
        }
        Notice::Restarted(generation, why) => {
            format!("generation {generation} is started again: {why}").into()
        }
        // An app with the server library has reported what it answered, moved and cut.
        Notice::Drained(generation, said) if said.starts_with("drained") => {
            format!("generation {generation} {said}").into()
        }
        Notice::Drained(generation, _) => {
            format!("generation {generation} finished and ended").into()
        }
        Notice::Cut(generation, said) => {
            let said = match said.as_str() {
                "" => String::new(),
                said => format!("; it said last: {said}"),
            };
            format!("generation {generation} did not finish in time and was ended{said}").into()
        }
        Notice::Level(level) => {
            let what = match level {
                Level::All => "everything",
                Level::Warnings => "warnings and errors",
                Level::Errors => "errors only",
            };
            format!("of the app's log: {what}").into()
        }
        _ => return None,
    })
}

fn holds_port(generation: Generation, addresses: &[Address], limit: Duration) -> String {
    let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    let addresses = addresses.join(" and ");
    match limit {
        Duration::ZERO => format!(
            "generation {generation} is ended: its connections keep {addresses} in use, and the new version cannot listen there"
        ),
        limit => format!(
            "generation {generation} was told to end and still listens at {addresses}, where the new version will: it is \
             ended after {}",
            seconds(limit)
        ),
    }
}

fn of_session(name: &AppName, notice: &Notice) -> Option<Line> {
    Some(match notice {
        Notice::Compressed(path) => format!(
            "{path} came compressed though a plain page was asked for, as may others: such pages do not reload by themselves"
        )
        .into(),
        Notice::NotUnderstood(understanding) => bad(understanding),
        Notice::Refused(why, whose) => refused(*why, whose).into(),
        Notice::Detached => format!(
            "detached; `portkeep status --user` shows it, `portkeep uninstall --user {name}` ends it"
        )
        .into(),
        Notice::Stopping => "stopping".into(),
        _ => return None,
    })
}

/// Why pages get no script, and the remedy.
fn refused(why: Refusal, whose: &str) -> String {
    let name = host_name(whose).unwrap_or("HOST");
    let at = match whose {
        "" => String::new(),
        whose => format!(" at {whose}"),
    };
    match why {
        Refusal::Host => format!(
            "pages{at} get no script and do not reload by themselves: this machine is not called so; if it is by you, \
             `--allow-host {name}` lets them"
        ),
        Refusal::Peer => format!(
            "pages{at} get no script and do not reload by themselves: they are asked for from elsewhere, or through Docker or \
             a proxy; `--allow-host {name}` lets them, and everybody who can reach the port"
        ),
        Refusal::Page => format!(
            "a page{at} asks for this app's script, and gets none; if that is this app behind a proxy, let the proxy hand on \
             the header `Host`, and use `--allow-host {name}`"
        ),
        Refusal::Sandbox => format!(
            "{whose} does not reload by itself: its Content-Security-Policy has `sandbox` without allow-scripts and \
             allow-same-origin"
        ),
    }
}

fn failed(what: &str, took: Duration, serves: Serving) -> Line {
    let (took, meanwhile) = (seconds(took), meanwhile(serves));
    bad(format_args!("{what} failed")) + format!(" after {took}; {meanwhile}")
}

fn meanwhile(serves: Serving) -> String {
    match serves {
        Some(generation) => format!("generation {generation} serves on"),
        None => "nothing serves yet".to_owned(),
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.0}", duration.as_secs_f64() * 1e3)
}
