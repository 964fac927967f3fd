//! What serving through portkeep costs when nothing is reloaded: requests a second, the 99th percentile
//! and processor time of `portkeep::serve` beside `axum::serve`, with the same app in the same program.
//!
//! `tests/bench/throughput/run [ROUNDS [SECONDS]]` builds it and writes RESULTS.md. `tests/bench/throughput/instructions`
//! counts what a request costs, and writes INSTRUCTIONS.md.
#![allow(clippy::unwrap_used, reason = "a measurement that fails is none")]

mod count;
mod load;
mod machine;
mod server;
mod table;

use std::process::ExitCode;
use std::time::Duration;

use load::Load;
use server::{Kind, Running};
use table::Row;

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["serve", kind, address] => server::serve(Kind::named(kind), address),
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

/// Both serve all the time; the load goes to one after the other, and who is first alternates, so that
/// whatever else this machine does hits both.
fn measure(rounds: usize, time: Duration) {
    let servers = Kind::BOTH.map(Running::start);
    println!("{}", machine::description(rounds, time));
    println!("{}", table::HEAD);
    for load in Load::ALL {
        let mut samples = [Vec::new(), Vec::new()];
        for round in 0..=rounds {
            let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
            for which in order {
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
        println!("{}", Row::new(load, &samples));
    }
}
