//! What serving through portkeep costs when nothing is reloaded: requests a second, the 99th percentile
//! and processor time of `portkeep::serve` beside `axum::serve`, with the same app in the same program.
//!
//! `tests/bench/throughput/run [ROUNDS [SECONDS]]` builds it and writes RESULTS.md. `tests/bench/throughput/instructions`
//! counts what a request costs, and writes INSTRUCTIONS.md.
#![allow(clippy::unwrap_used, reason = "a measurement that fails is none")]

mod count;
mod load;
mod machine;
mod requests;
mod server;
mod table;

use std::process::ExitCode;
use std::time::Duration;

use load::Load;
use server::Running;
use table::Row;

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["serve", kind] => server::serve(server::Kind::named(kind)),
        ["measure", rounds, seconds] => measure(
            rounds.parse().unwrap(),
            Duration::from_secs(seconds.parse().unwrap()),
        ),
        ["count", ref others @ ..] if count::compare(others) => {}
        ["count", ..] => return ExitCode::FAILURE,
        _ => panic!("usage: throughput measure ROUNDS SECONDS, or throughput count [OTHER_BUILD…]"),
    }
    ExitCode::SUCCESS
}

/// All serve all the time; the load goes to one after the other, and who is first changes, so that whatever else this machine
/// does hits all of them.
fn measure(rounds: usize, time: Duration) {
    println!("{}", machine::description(rounds, time));
    println!("{}", table::HEAD);
    for load in Load::ALL {
        let kinds = load.servers();
        let servers: Vec<_> = kinds.iter().copied().map(Running::start).collect();
        let mut samples = vec![Vec::new(); kinds.len()];
        for round in 0..=rounds {
            for turn in 0..kinds.len() {
                let which = (turn + round) % kinds.len();
                let server = &servers[which];
                let before = server.processor_time();
                let mut sample = load.run(server.address(), time);
                sample.processor = server.processor_time() - before;
                assert_eq!(sample.failed, 0, "{:?}, {load:?}", server.kind());
                // The first round warms up.
                if round > 0 {
                    eprintln!("{load:?}, round {round}, {:?}: {sample:?}", server.kind());
                    samples[which].push(sample);
                }
            }
        }
        let (axum, others) = samples.split_last().unwrap();
        for (kind, samples) in kinds.iter().zip(others) {
            println!("{}", Row::new(load, *kind, [samples, axum]));
        }
    }
}
