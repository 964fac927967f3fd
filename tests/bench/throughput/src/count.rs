//! What a request costs, counted and not timed: the same on every machine, whatever else it does.
//!
//! Each server runs twice under each tool, with more requests the second time. The difference is what the requests
//! cost, without the start and the end.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use crate::server::{Kind, free_address, wait_for};

const CONNECTIONS: usize = 50;
/// Requests on each of them, in the first run and in the second one.
const ROUNDS: [usize; 2] = [40, 120];

/// What portkeep may cost: instructions beside axum, and allocations more than axum.
const MOST_INSTRUCTIONS: f64 = 1.15;
const MOST_ALLOCATIONS: f64 = 2.0;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
/// The end of the answer.
const ANSWER: &[u8] = b"Hello";

/// A server, which another build of this program may have.
struct Server {
    name: String,
    program: PathBuf,
    kind: Kind,
}

/// Of one request.
#[derive(Debug)]
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

/// Prints what both servers cost, and portkeep in `others`: programs that are other builds of this one. Whether
/// portkeep costs no more than it may.
pub(crate) fn compare(others: &[&str]) -> bool {
    let own = std::env::current_exe().unwrap();
    let of = |name: &str, program: &Path, kind| Server {
        name: name.to_owned(),
        program: program.to_owned(),
        kind,
    };
    let axum = of("`axum::serve`", &own, Kind::Axum).cost();
    let portkeep = of("`portkeep::serve`", &own, Kind::Portkeep);
    let others = others.iter().map(|other| {
        of(
            &format!("`portkeep::serve` of {other}"),
            Path::new(other),
            Kind::Portkeep,
        )
    });

    println!("| | instructions | beside axum | allocations | bytes allocated | system calls |");
    println!("|---|---|---|---|---|---|");
    print_row("`axum::serve`", &axum, &axum);
    let cost = portkeep.cost();
    print_row(&portkeep.name, &cost, &axum);
    for other in others {
        print_row(&other.name, &other.cost(), &axum);
    }

    let mut fine = true;
    let mut demand = |fulfilled: bool, demand: &str| {
        if !fulfilled {
            eprintln!("portkeep takes more than it may: {demand}");
            fine = false;
        }
    };
    let ratio = cost.instructions / axum.instructions;
    demand(
        ratio <= MOST_INSTRUCTIONS,
        &format!("{ratio:.3} of axum's instructions, where {MOST_INSTRUCTIONS} are allowed"),
    );
    let more = (cost.allocations - axum.allocations).round();
    demand(
        more <= MOST_ALLOCATIONS,
        &format!("{more} allocations more than axum, where {MOST_ALLOCATIONS} are allowed"),
    );
    demand(
        cost.per_request() == axum.per_request(),
        &format!(
            "system calls {:?}, where axum has {:?}",
            cost.calls, axum.calls
        ),
    );
    fine
}

fn print_row(name: &str, cost: &Cost, axum: &Cost) {
    let calls: Vec<_> = cost
        .calls
        .iter()
        .map(|(call, count)| format!("{call} {count:.2}"))
        .collect();
    println!(
        "| {name} | {:.0} | {:.3} | {:.2} | {:.0} | {} |",
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
    fn cost(&self) -> Cost {
        let instructions = self.count(Tool::Instructions);
        let heap = self.count(Tool::Allocations);
        Cost {
            instructions: instructions["instructions"],
            allocations: heap["allocations"],
            allocated: heap["bytes"],
            calls: self.count(Tool::Calls),
        }
    }

    /// What the tool counts, for each request.
    fn count(&self, tool: Tool) -> BTreeMap<String, f64> {
        eprintln!("{}: {tool:?}", self.name);
        let [before, after] = ROUNDS.map(|rounds| self.run(tool, rounds));
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

    fn run(&self, tool: Tool, rounds: usize) -> BTreeMap<String, f64> {
        let log = std::env::temp_dir().join(format!("portkeep-count-{}", std::process::id()));
        let address = free_address();
        let command = tool
            .command(&log)
            .arg(&self.program)
            .args(["serve", self.kind.name(), &address.to_string()])
            .env_remove("PORTKEEP_LISTEN")
            .env_remove("LISTEN_FDS")
            // Who works for whom is chance.
            .env("TOKIO_WORKER_THREADS", "1")
            .spawn();
        let child = command.unwrap_or_else(|error| panic!("cannot start {tool:?}: {error}"));
        let running = Running { tool, child };
        wait_for(address, self.kind);
        load(address, rounds);
        drop(running);
        let said = fs::read_to_string(&log).unwrap();
        fs::remove_file(&log).unwrap();
        let counts = tool.counts(&said);
        counts.unwrap_or_else(|| panic!("what {tool:?} said cannot be read:\n{said}"))
    }
}

/// Requests on all connections in turn, so that the server always has some to answer: those tools make it slow.
fn load(address: SocketAddr, rounds: usize) {
    let connect = |_| {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    };
    let mut connections: Vec<_> = (0..CONNECTIONS).map(connect).collect();
    for round in 0..=rounds {
        for connection in &mut connections {
            if round > 0 {
                receive(connection);
            }
            if round < rounds {
                connection.write_all(REQUEST).unwrap();
            }
        }
    }
}

fn receive(connection: &mut TcpStream) {
    let mut answer = Vec::new();
    while !answer.ends_with(ANSWER) {
        let mut bytes = [0; 4096];
        let length = connection.read(&mut bytes).unwrap();
        assert!(length > 0, "a connection was closed");
        answer.extend_from_slice(&bytes[..length]);
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
