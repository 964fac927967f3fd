//! Requests over HTTP/2, from a pooled client that follows GOAWAY.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// Load over HTTP/2 by prior knowledge, from tasks that share one pooled client.
///
/// It is hyper-util's, as most Rust programs have it: at a GOAWAY it opens a new connection for what it
/// has not begun to send, and sends nothing twice. It has one thread: with more, it can learn of a GOAWAY
/// on one while it begins a request on another, and reports that as failed, whatever the server does.
#[derive(Debug)]
pub struct Http2Load {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<Http2Report>>,
}

/// What became of it.
#[derive(Debug, Default)]
pub struct Http2Report {
    /// Requests that were answered.
    pub answers: u64,
    /// Why others were not.
    pub failures: Vec<String>,
    /// The longest an answer took.
    pub slowest: Duration,
}

impl Http2Load {
    /// Starts `tasks` that ask without a pause, for `duration`, and longer until [`Http2Load::finish`] ends it.
    #[must_use]
    pub fn start(address: SocketAddr, tasks: usize, duration: Duration) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&over);
        let thread = thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime starts")
                .block_on(load(address, tasks, Instant::now() + duration, &is_over))
        });
        let thread = Some(thread);
        Self { over, thread }
    }

    /// Whether it still sends.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.thread
            .as_ref()
            .is_some_and(|thread| !thread.is_finished())
    }

    /// Ends it, not before its time is over.
    #[must_use]
    pub fn finish(mut self) -> Http2Report {
        self.over.store(true, Ordering::SeqCst);
        let thread = self.thread.take().expect("it was started");
        thread.join().expect("the load ends")
    }
}

impl Drop for Http2Load {
    fn drop(&mut self) {
        // A failing test must not load the next one.
        self.over.store(true, Ordering::SeqCst);
    }
}

impl fmt::Display for Http2Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (answers, failed) = (self.answers, self.failures.len());
        write!(
            f,
            "{answers} requests, {failed} failed, slowest {:?}",
            self.slowest
        )
    }
}

impl Http2Report {
    /// Nothing failed, and enough was asked.
    #[track_caller]
    pub fn expect_lossless(&self, least: u64) {
        let (count, first) = (self.failures.len(), self.failures.first());
        assert_eq!(count, 0, "of {}; the first: {first:?}", self.answers);
        assert!(self.answers >= least, "only {} answers", self.answers);
    }
}

async fn load(
    address: SocketAddr,
    tasks: usize,
    end: Instant,
    over: &Arc<AtomicBool>,
) -> Http2Report {
    let client = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http();
    let tasks: Vec<_> = (0..tasks)
        .map(|_| tokio::spawn(one(client.clone(), address, end, Arc::clone(over))))
        .collect();
    let mut total = Http2Report::default();
    for task in tasks {
        let report = task.await.expect("a client ends");
        total.answers += report.answers;
        total.failures.extend(report.failures);
        total.slowest = total.slowest.max(report.slowest);
    }
    total
}

async fn one(
    client: Client<HttpConnector, Empty<Bytes>>,
    address: SocketAddr,
    end: Instant,
    over: Arc<AtomicBool>,
) -> Http2Report {
    let mut report = Http2Report::default();
    while Instant::now() < end || !over.load(Ordering::SeqCst) {
        let began = Instant::now();
        match ask(&client, address).await {
            Ok(()) => report.answers += 1,
            Err(error) => report.failures.push(format!("{error:?}")),
        }
        report.slowest = report.slowest.max(began.elapsed());
    }
    report
}

async fn ask(
    client: &Client<HttpConnector, Empty<Bytes>>,
    address: SocketAddr,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let answer = client.get(format!("http://{address}/").parse()?).await?;
    if answer.status() != 200 || answer.version() != axum::http::Version::HTTP_2 {
        return Err(format!("{answer:?}").into());
    }
    answer.into_body().collect().await?;
    Ok(())
}
