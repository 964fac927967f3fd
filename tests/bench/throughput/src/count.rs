//! What a request costs, counted and not timed: the same on every machine, whatever else it does.
//!
//! Each server runs twice under each tool, with more requests the second time. The difference is what the requests
//! cost, without the start and the end.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use crate::requests::{CONNECTIONS, Requests};
use crate::server::{Kind, Passed};

/// Requests on each of them, in the first run and in the second one.
const ROUNDS: [usize; 2] = [40, 120];

/// What portkeep may cost: instructions beside axum, and allocations more than axum. Each stream of HTTP/2 is a task, which is
/// boxed.
const MOST_INSTRUCTIONS: f64 = 1.15;
const MOST_ALLOCATIONS: f64 = 3.0;

/// A server, which another build of this program may have.
struct Server {
    name: String,
    program: PathBuf,
    kind: Kind,
}

/// Of one request.
#[derive(Debug, Clone)]
struct Cost {
    instructions: f64,
    allocations: f64,
    allocated: f64,
    calls: BTreeMap<String, f64>,
}

#[derive(Debug, Clone, Copy)]
enum Tool {
    Instructions,
    Allocations,
    Calls,
}

/// Prints what all servers cost, and portkeep in `others`: programs that are other builds of this one. Whether
/// portkeep costs no more than it may.
pub(crate) fn compare(others: &[&str]) -> bool {
    println!("| | | instructions | beside axum | allocations | bytes allocated | system calls |");
    println!("|---|---|---|---|---|---|---|");
    let fine = Requests::ALL.map(|requests| compare_with(requests, others));
    fine.into_iter().all(|fine| fine)
}

fn compare_with(requests: Requests, others: &[&str]) -> bool {
    let own = std::env::current_exe().unwrap();
    let own = requests.servers().iter().map(|&kind| Server {
        name: kind.title().to_owned(),
        program: own.clone(),
        kind,
    });
    let others = others.iter().map(|other| Server {
        name: format!("`portkeep::serve` of {other}"),
        program: Path::new(other).to_owned(),
        kind: Kind::Portkeep,
    });
    let mut axum = None;
    let mut fine = true;
    for server in own.chain(others) {
        let cost = server.cost(requests);
        let axum = axum.get_or_insert_with(|| cost.clone());
        print_row(requests, &server.name, &cost, axum);
        if server.kind == Kind::Portkeep {
            fine &= is_allowed(requests, &cost, axum);
        }
    }
    fine
}

fn is_allowed(requests: Requests, cost: &Cost, axum: &Cost) -> bool {
    let mut fine = true;
    let mut demand = |fulfilled: bool, demand: &str| {
        if !fulfilled {
            eprintln!(
                "{}: portkeep takes more than it may: {demand}",
                requests.title()
            );
            fine = false;
        }
    };
    let ratio = cost.instructions / axum.instructions;
    // The tool makes handlers so slow that the server takes some of them for long, and sends their answers one by one.
    let is_distorted = requests == Requests::Streams;
    demand(
        ratio <= MOST_INSTRUCTIONS || is_distorted,
        &format!("{ratio:.3} of axum's instructions, where {MOST_INSTRUCTIONS} are allowed"),
    );
    let more = (cost.allocations - axum.allocations).round();
    demand(
        more <= MOST_ALLOCATIONS,
        &format!("{more} allocations more than axum, where {MOST_ALLOCATIONS} are allowed"),
    );
    let most = axum.per_request();
    let calls = cost.per_request();
    demand(
        calls
            .iter()
            .all(|(call, count)| most.get(call).is_some_and(|most| count <= most)),
        &format!(
            "system calls {:?}, where axum has {:?}",
            cost.calls, axum.calls
        ),
    );
    fine
}

fn print_row(requests: Requests, name: &str, cost: &Cost, axum: &Cost) {
    let calls: Vec<_> = cost
        .calls
        .iter()
        .map(|(call, count)| format!("{call} {count:.2}"))
        .collect();
    println!(
        "| {} | {name} | {:.0} | {:.3} | {:.2} | {:.0} | {} |",
        requests.title(),
        cost.instructions,
        cost.instructions / axum.instructions,
        cost.allocations,
        cost.allocated,
        calls.join(", "),
    );
}

impl Cost {
    /// The calls that each request makes. Others are made for many at once, how many is chance.
    fn per_request(&self) -> BTreeMap<&str, u64> {
        let calls = self.calls.iter();
        let rounded = calls.map(|(call, count)| (call.as_str(), count.round() as u64));
        rounded.filter(|(_, count)| *count > 0).collect()
    }
}

impl Server {
    fn cost(&self, requests: Requests) -> Cost {
        let instructions = self.count(Tool::Instructions, requests);
        let heap = self.count(Tool::Allocations, requests);
        Cost {
            instructions: instructions["instructions"],
            allocations: heap["allocations"],
            allocated: heap["bytes"],
            calls: self.count(Tool::Calls, requests),
        }
    }

    /// What the tool counts, for each request.
    fn count(&self, tool: Tool, requests: Requests) -> BTreeMap<String, f64> {
        eprintln!("{}, {}: {tool:?}", requests.title(), self.name);
        let [before, after] = ROUNDS.map(|rounds| self.run(tool, requests, rounds));
        let requests = (CONNECTIONS * (ROUNDS[1] - ROUNDS[0])) as f64;
        after
            .into_iter()
            .map(|(what, count)| {
                let more = count - before.get(&what).copied().unwrap_or(0.0);
                (what, more / requests)
            })
            // What is done once and again is not done for requests.
            .filter(|(_, count)| *count >= 0.005)
            .collect()
    }

    fn run(&self, tool: Tool, requests: Requests, rounds: usize) -> BTreeMap<String, f64> {
        let log = std::env::temp_dir().join(format!("portkeep-count-{}", std::process::id()));
        let mut command = tool.command(&log);
        let passed = Passed::to(&mut command);
        let child = command
            .arg(&self.program)
            .args(["serve", self.kind.name()])
            // Who works for whom is chance.
            .env("TOKIO_WORKER_THREADS", "1")
            .spawn();
        let child = child.unwrap_or_else(|error| panic!("cannot start {tool:?}: {error}"));
        let running = Running { tool, child };
        requests.make(passed.address(), rounds);
        drop(running);
        let said = fs::read_to_string(&log).unwrap();
        fs::remove_file(&log).unwrap();
        let counts = tool.counts(&said);
        counts.unwrap_or_else(|| panic!("what {tool:?} said cannot be read:\n{said}"))
    }
}

/// A tool with its server. Ends in a way that lets the tool say what it has counted.
struct Running {
    tool: Tool,
    child: Child,
}

impl Drop for Running {
    fn drop(&mut self) {
        let server = self.tool.server(&self.child);
        let _ = Command::new("kill").args(["-TERM", &server]).status();
        let _ = self.child.wait();
    }
}

impl Tool {
    fn command(self, log: &Path) -> Command {
        let log = log.display();
        let (program, arguments) = match self {
            Self::Instructions => {
                let quiet = ["--cache-sim=no", "--cachegrind-out-file=/dev/null"];
                ("valgrind", [&["--tool=cachegrind"], &quiet[..]].concat())
            }
            Self::Allocations => {
                let quiet = ["--leak-check=no", "--undef-value-errors=no"];
                ("valgrind", [&["--tool=memcheck"], &quiet[..]].concat())
            }
            Self::Calls => ("strace", vec!["--follow-forks", "--summary-only"]),
        };
        let mut command = Command::new(program);
        command.args(arguments).arg(match self {
            Self::Instructions | Self::Allocations => format!("--log-file={log}"),
            Self::Calls => format!("--output={log}"),
        });
        command
    }

    /// The process that serves.
    fn server(self, tool: &Child) -> String {
        let id = tool.id();
        match self {
            Self::Instructions | Self::Allocations => id.to_string(),
            Self::Calls => {
                let path = format!("/proc/{id}/task/{id}/children");
                let children = fs::read_to_string(path).unwrap_or_default();
                let first = children.split_whitespace().next();
                first.map_or_else(|| id.to_string(), str::to_owned)
            }
        }
    }

    fn counts(self, said: &str) -> Option<BTreeMap<String, f64>> {
        match self {
            Self::Instructions => {
                let count = number_after(said, "refs:")?;
                Some([("instructions".to_owned(), count)].into())
            }
            Self::Allocations => {
                let count = number_after(said, "total heap usage:")?;
                let bytes = number_after(said, "frees,")?;
                let counts = [("allocations", count), ("bytes", bytes)];
                Some(counts.map(|(what, count)| (what.to_owned(), count)).into())
            }
            Self::Calls => {
                // % time, seconds, microseconds a call, calls, perhaps errors, name
                let rows = said.lines().skip(2).filter(|line| !line.starts_with('-'));
                let rows = rows.map(|line| {
                    let words: Vec<_> = line.split_whitespace().collect();
                    Some(((*words.last()?).to_owned(), words.get(3)?.parse().ok()?))
                });
                let mut counts: BTreeMap<_, _> = rows.collect::<Option<_>>()?;
                counts.remove("total");
                Some(counts)
            }
        }
    }
}

/// As valgrind writes it, with commas.
fn number_after(text: &str, label: &str) -> Option<f64> {
    let words = text.split(label).nth(1)?;
    words
        .split_whitespace()
        .next()?
        .replace(',', "")
        .parse()
        .ok()
}
