//! Requests a second, processor time a request, and memory a connection, beside tokio-rustls.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::process::{Kind, Server, Sockets};
use crate::world::World;

/// Connections that ask one request after the other.
const BUSY: usize = 50;
/// Connections that have asked once.
const IDLE: usize = 1000;

struct Round {
    /// Requests a second.
    rate: f64,
    /// Of the server, for each request.
    micros: f64,
    /// For each idle connection.
    kib: f64,
}

pub(crate) fn measure(rounds: usize, time: Duration) -> anyhow::Result<()> {
    println!("| | requests/s | processor, µs a request | memory, KiB an idle connection |");
    println!("|---|---|---|---|");
    let mut ratios = [Vec::new(), Vec::new(), Vec::new()];
    for number in 0..rounds {
        let mut kinds = [Kind::TokioRustls, Kind::PortkeepS2n];
        // Each goes first as often.
        if number % 2 == 1 {
            kinds.reverse();
        }
        let mut both = Vec::new();
        for kind in kinds {
            let round = one(kind, time)?;
            let Round { rate, micros, kib } = round;
            println!("| {} | {rate:.0} | {micros:.1} | {kib:.1} |", kind.name());
            both.push((kind, round));
        }
        both.sort_by_key(|(kind, _)| *kind == Kind::PortkeepS2n);
        if let [(_, other), (_, own)] = &both[..] {
            ratios[0].push(own.rate / other.rate);
            ratios[1].push(own.micros / other.micros);
            ratios[2].push(own.kib / other.kib);
        }
    }
    let [rate, micros, kib] = ratios.map(median);
    println!(
        "| portkeep-s2n / tokio-rustls, median of {rounds} | {rate:.2} | {micros:.2} | {kib:.2} |"
    );
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn one(kind: Kind, time: Duration) -> anyhow::Result<Round> {
    let world = World::new()?;
    let sockets = Sockets::open(&world)?;
    let server = Server::start(kind, &world, &sockets)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let connect = || Client::connect(sockets.address, &world.client);
        // Whatever is made once.
        connect().await?.ask().await?;
        let before = server.memory()?;
        let mut idle = Vec::new();
        for _ in 0..IDLE {
            let mut client = connect().await?;
            client.ask().await?;
            idle.push(client);
        }
        let kib = (server.memory()?.saturating_sub(before)) as f64 / 1024.0 / IDLE as f64;
        drop(idle);

        let mut busy = Vec::new();
        for _ in 0..BUSY {
            busy.push(connect().await?);
        }
        let (began, used) = (Instant::now(), server.processor()?);
        let over = Arc::new(began + time);
        let busy = busy.into_iter().map(|mut client| {
            let over = Arc::clone(&over);
            tokio::spawn(async move {
                let mut answers = 0_u64;
                while Instant::now() < *over {
                    client.ask().await?;
                    answers += 1;
                }
                Ok::<_, std::io::Error>(answers)
            })
        });
        let mut answers = 0;
        for task in busy.collect::<Vec<_>>() {
            answers += task.await??;
        }
        let used = server.processor()?.saturating_sub(used);
        Ok(Round {
            rate: answers as f64 / began.elapsed().as_secs_f64(),
            micros: used.as_micros() as f64 / answers as f64,
            kib,
        })
    })
}
