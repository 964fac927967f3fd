//! A tool that serves, for the rows.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::client::{Failure, Tls, fetch, fetch_over};
use crate::place::{Kind, Place};
use crate::tool::{Running, Tool};

/// What all rows need to know.
pub(crate) struct Bench {
    /// Apps live below it.
    pub(crate) root: PathBuf,
    /// The programs of the benchmark.
    pub(crate) programs: PathBuf,
    /// A short run, which shows that everything works rather than how well.
    pub(crate) quick: bool,
    /// Reloads under load.
    pub(crate) reloads: u32,
}

/// A tool with its app; dropping it ends both.
pub(crate) struct Serving<'tool> {
    tool: &'tool dyn Tool,
    pub(crate) place: Place,
    pub(crate) running: Option<Box<dyn Running>>,
}

impl Bench {
    /// Starts a tool, and does not wait for it.
    pub(crate) fn start<'tool>(
        &self,
        tool: &'tool dyn Tool,
        name: &str,
        start: Duration,
    ) -> anyhow::Result<Serving<'tool>> {
        self.start_at(tool, Place::new(&self.root, &self.programs, name, start)?)
    }

    fn start_at<'tool>(
        &self,
        tool: &'tool dyn Tool,
        place: Place,
    ) -> anyhow::Result<Serving<'tool>> {
        tool.publish(&place, "v0", Kind::Good)?;
        let running = tool.start(&place)?;
        Ok(Serving {
            tool,
            place,
            running: Some(running),
        })
    }

    /// Starts a tool, and waits until its app answers.
    pub(crate) fn serve<'tool>(
        &self,
        tool: &'tool dyn Tool,
        start: Duration,
    ) -> anyhow::Result<Serving<'tool>> {
        served(self.start(tool, "bench-app", start)?, start)
    }

    /// The same, of an app that serves TLS.
    pub(crate) fn serve_tls<'tool>(
        &self,
        tool: &'tool dyn Tool,
        start: Duration,
    ) -> anyhow::Result<Serving<'tool>> {
        let mut place = Place::new(&self.root, &self.programs, "bench-app", start)?;
        place.tls = Some(Tls::new(&place.directory)?);
        served(self.start_at(tool, place)?, start)
    }
}

/// Waits until it serves.
fn served(serving: Serving<'_>, start: Duration) -> anyhow::Result<Serving<'_>> {
    serving.wait_for("v0", start + Duration::from_secs(15))?;
    // A tool may still be about to finish its start.
    sleep(Duration::from_millis(300));
    Ok(serving)
}

impl Serving<'_> {
    pub(crate) fn publish(&self, version: &str, kind: Kind) -> anyhow::Result<()> {
        self.tool.publish(&self.place, version, kind)
    }

    /// Asks for a reload; what the tool says to it.
    pub(crate) fn reload(&mut self) -> anyhow::Result<()> {
        self.running
            .as_mut()
            .map_or(Ok(()), |running| running.reload())
    }

    fn ask(&self) -> Result<String, Failure> {
        let asking = fetch_over(self.place.address, "/", self.place.tls.clone());
        wait_on(asking).unwrap_or(Err(Failure::Other))
    }

    /// Waits until a version answers; returns how long that took.
    pub(crate) fn wait_for(&self, version: &str, longest: Duration) -> anyhow::Result<Duration> {
        self.wait_asking(version, longest, Duration::from_millis(1))
    }

    /// The same, with a pause between two questions: beside a load that must not notice.
    pub(crate) fn wait_asking(
        &self,
        version: &str,
        longest: Duration,
        every: Duration,
    ) -> anyhow::Result<Duration> {
        let start = Instant::now();
        let mut last = None;
        while start.elapsed() < longest {
            last = match self.ask() {
                Ok(answered) if answered == version => return Ok(start.elapsed()),
                other => Some(other),
            };
            sleep(every);
        }
        bail!("{version} did not answer within {longest:?}; the last answer was {last:?}")
    }
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
        }
    }
}

thread_local! {
    static RUNTIME: RefCell<Option<tokio::runtime::Runtime>> = const { RefCell::new(None) };
}

/// One request on a connection of its own: the version that answered.
pub(crate) fn ask(address: SocketAddr) -> Result<String, Failure> {
    wait_on(fetch(address, "/")).unwrap_or(Err(Failure::Other))
}

/// Runs a future on this thread; nothing if there can be no runtime.
pub(crate) fn wait_on<T>(future: impl Future<Output = T>) -> Option<T> {
    RUNTIME.with_borrow_mut(|runtime| {
        if runtime.is_none() {
            *runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .ok();
        }
        runtime.as_ref().map(|runtime| runtime.block_on(future))
    })
}
