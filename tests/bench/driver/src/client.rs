//! A client that tells what it saw: at a fixed rate, without a retry.
//!
//! Each of its connections asks at moments that are fixed before the run. A request that could not be sent in time,
//! because the one before was still waiting, counts from the moment at which it should have been sent; so a stall is seen
//! by all requests that fell into it.

mod connection;
mod report;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub(crate) use connection::{Failure, fetch, fetch_over};
pub(crate) use report::Report;
pub(crate) use tls::Tls;

use connection::{Connection, Sent};

/// Longer than the kernel's fourth attempt to connect.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// How connections are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.1, many requests on each.
    KeepAlive,
    /// HTTP/1.1, a new one for each request.
    Close,
    /// HTTP/2 by prior knowledge; a connection that was told GOAWAY is left.
    Http2,
    /// As [`KeepAlive`](Self::KeepAlive), over TLS 1.3.
    Tls,
}

impl Protocol {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::KeepAlive => "keep-alive",
            Self::Close => "close",
            Self::Http2 => "http2",
            Self::Tls => "tls keep-alive",
        }
    }
}

/// What is sent.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    pub(crate) protocol: Protocol,
    /// With [`Protocol::Tls`].
    pub(crate) tls: Option<Tls>,
    pub(crate) connections: u32,
    /// Requests a second, over all connections.
    pub(crate) rate: u32,
}

/// A load under way.
pub(crate) struct Running {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Report>,
}

impl Load {
    /// Starts it in a thread of its own.
    pub(crate) fn start(self) -> anyhow::Result<Running> {
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let thread = thread::spawn(move || runtime.block_on(self.run(told)));
        Ok(Running { stop, thread })
    }

    async fn run(self, stop: Arc<AtomicBool>) -> Report {
        let start = Instant::now();
        let workers: Vec<_> = (0..self.connections)
            .map(|worker| tokio::spawn(self.clone().work(worker, start, stop.clone())))
            .collect();
        let mut report = Report::default();
        for worker in workers {
            if let Ok(part) = worker.await {
                report.add(part);
            }
        }
        report.finish(start, Instant::now());
        report
    }

    async fn work(self, worker: u32, start: Instant, stop: Arc<AtomicBool>) -> Report {
        let interval = Duration::from_secs(1) * self.connections / self.rate;
        let mut due = start + interval * worker / self.connections;
        let mut report = Report::default();
        let mut connection = Connection::new(self.address, self.protocol, self.tls);
        while !stop.load(Ordering::Relaxed) {
            tokio::time::sleep_until(due.into()).await;
            let sent = tokio::time::timeout(TIMEOUT, connection.request("/")).await;
            let sent = sent.unwrap_or_else(|_| {
                connection.drop_it();
                Sent::failed(Failure::TimedOut)
            });
            report.record(due, Instant::now(), sent);
            due += interval;
        }
        report.closed += connection.closed();
        report
    }
}

impl Running {
    /// Ends it, and tells what it saw.
    pub(crate) fn finish(self) -> anyhow::Result<Report> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread
            .join()
            .map_err(|_| anyhow::anyhow!("the client panicked"))
    }
}
