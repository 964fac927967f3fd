//! Row 1 of the benchmark, over TLS: what clients lose while versions change.
//!
//! As there: 50 connections that ask at fixed moments, without any retry; a request counts from the moment at which it was due.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use tokio_rustls::rustls::ClientConfig;

use crate::client::Client;
use crate::process::{Kind, Server, Sockets};
use crate::world::World;

const CONNECTIONS: u32 = 50;
/// Between the start of a version and the next reload.
const PAUSE: Duration = Duration::from_millis(50);
/// Within which it is seen whether the machine manages the rate.
const TRIAL: Duration = Duration::from_secs(3);
/// Longer than anything that comes at all.
const TIMEOUT: Duration = Duration::from_secs(30);

struct Report {
    requests: u64,
    failed: u64,
    closed: u64,
    times: Histogram<u64>,
}

impl Report {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            requests: 0,
            failed: 0,
            closed: 0,
            times: Histogram::new(3)?,
        })
    }
}

/// Under way in a thread of its own.
struct Running {
    over: Arc<AtomicBool>,
    thread: thread::JoinHandle<anyhow::Result<Report>>,
}

impl Running {
    fn start(address: SocketAddr, config: &Arc<ClientConfig>, rate: u32) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (told, config) = (Arc::clone(&over), Arc::clone(config));
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(load(address, config, rate, told))
        });
        Self { over, thread }
    }

    fn finish(self) -> anyhow::Result<Report> {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().ok().context("the client panicked")?
    }
}

async fn load(
    address: SocketAddr,
    config: Arc<ClientConfig>,
    rate: u32,
    over: Arc<AtomicBool>,
) -> anyhow::Result<Report> {
    let start = Instant::now();
    let workers = (0..CONNECTIONS).map(|worker| {
        let (config, over) = (Arc::clone(&config), Arc::clone(&over));
        tokio::spawn(async move {
            let interval = Duration::from_secs(1) * CONNECTIONS / rate;
            let mut due = start + interval * worker / CONNECTIONS;
            let mut report = Report::new()?;
            let mut kept: Option<Client> = None;
            while !over.load(Ordering::Relaxed) {
                tokio::time::sleep_until(due.into()).await;
                let asked = async {
                    let mut client = match kept.take() {
                        Some(client) => client,
                        None => Client::connect(address, &config).await?,
                    };
                    let goes_on = client.ask().await?;
                    Ok::<_, std::io::Error>(goes_on.then_some(client))
                };
                match tokio::time::timeout(TIMEOUT, asked).await {
                    Ok(Ok(client)) => {
                        report.closed += u64::from(client.is_none());
                        kept = client;
                    }
                    Ok(Err(_)) | Err(_) => {
                        report.failed += 1;
                        report.closed += 1;
                    }
                }
                report.requests += 1;
                let took = due.elapsed().as_micros();
                // Not `saturating_record`, which never lets the histogram grow.
                report
                    .times
                    .record(u64::try_from(took).unwrap_or(u64::MAX))?;
                due += interval;
            }
            anyhow::Ok(report)
        })
    });
    let mut all = Report::new()?;
    for worker in workers.collect::<Vec<_>>() {
        let report = worker.await??;
        all.requests += report.requests;
        all.failed += report.failed;
        all.closed += report.closed;
        all.times.add(report.times)?;
    }
    Ok(all)
}

pub(crate) fn measure(count: u32, rate: u32) -> anyhow::Result<()> {
    let world = World::new()?;
    let sockets = Sockets::open(&world)?;
    let mut server = Server::start(Kind::PortkeepS2n, &world, &sockets)?;
    let mut rate = rate;
    let load = |rate| Running::start(sockets.address, &world.client, rate);
    loop {
        let trial = load(rate);
        thread::sleep(TRIAL);
        let asked = trial.finish()?.requests as f64 / TRIAL.as_secs_f64();
        if asked > 0.9 * f64::from(rate) || rate <= 250 {
            break;
        }
        println!("{asked:.0} of {rate} requests a second without reloads: half of it is asked");
        rate /= 2;
    }
    let running = load(rate);
    thread::sleep(Duration::from_millis(500));
    let began = Instant::now();
    for _ in 0..count {
        let new = Server::start(Kind::PortkeepS2n, &world, &sockets)?;
        std::mem::replace(&mut server, new).drain()?;
        thread::sleep(PAUSE);
    }
    let took = began.elapsed();
    let report = running.finish()?;
    let millis = |quantile| report.times.value_at_quantile(quantile) as f64 / 1000.0;
    println!("| | failed | connections closed | slowest, ms | p99.9, ms | reloads | requests |");
    println!("|---|---|---|---|---|---|---|");
    println!(
        "| portkeep-s2n, TLS keep-alive, {rate} a second | {} | {} | {:.1} | {:.1} | {count} in {took:.1?} | {} |",
        report.failed,
        report.closed,
        report.times.max() as f64 / 1000.0,
        millis(0.999),
        report.requests,
    );
    ensure!(report.failed + report.closed == 0, "something was lost");
    Ok(())
}
