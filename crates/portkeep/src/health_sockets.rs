//! Health sockets that were passed to this process.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tower_service::Service;

use crate::accept::accept;
use crate::app::ErasedApp;
use crate::drain::{Phase, Shared};
use crate::drain_files::DrainFiles;
use crate::health::Source;
use crate::limits::Limits;
use crate::listen::{ListenError, Listener, Sockets, Stream, passed_as};
use crate::moving::departures;
use crate::sweeper::sweep;
use crate::task::{self, Boxed};
use crate::{Error, ShutdownToken};

/// Names of the passed sockets, by protocol.
const HTTP: &str = "portkeep-health";
const AGENT: &str = "portkeep-agent-check";

/// How long a client may take, and how many may ask at the same time.
const TIME: Duration = Duration::from_secs(5);
const MOST: usize = 256;
/// How long clients that have asked may take at the end.
const GOODBYE: Duration = Duration::from_secs(1);
/// The pause after a connection that could not be accepted.
const PAUSE: Duration = Duration::from_millis(100);

/// Health sockets that are not answered yet.
#[derive(Debug)]
pub(crate) struct HealthSockets {
    http: Vec<Listener>,
    agent: Vec<Listener>,
}

/// Health sockets that are answered.
pub(crate) struct Answered {
    closing: ShutdownToken,
    shared: Arc<Shared>,
    /// Number of accepted connections.
    came: Arc<AtomicU64>,
    tasks: JoinSet<()>,
}

impl HealthSockets {
    /// Takes them from the passed sockets, so that the app is not served there.
    pub(crate) fn open() -> Result<Self, ListenError> {
        Ok(Self {
            http: passed_as(HTTP)?,
            agent: passed_as(AGENT)?,
        })
    }

    fn is_empty(&self) -> bool {
        self.http.is_empty() && self.agent.is_empty()
    }

    pub(crate) fn answer(self, source: &Arc<dyn Source>) -> Answered {
        let limits = Limits::new().head(TIME).idle(TIME).body(TIME).answer(TIME);
        let shared = Shared::new(Duration::ZERO, departures().0).limited(limits, MOST);
        let shared = Arc::new(shared);
        let closing = ShutdownToken::new();
        let came = Arc::new(AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        if !self.http.is_empty() {
            let sweeping = sweep(Arc::clone(&shared), None, DrainFiles::default());
            tasks.spawn(task::boxed(async {
                sweeping.await;
            }));
        }
        for listener in self.http {
            let app = ErasedApp::new(Page {
                source: Arc::clone(source),
                came: Arc::clone(&came),
            });
            let accepting = accept(listener, app, Arc::clone(&shared), closing.clone());
            tasks.spawn(task::boxed(async {
                accepting.await;
            }));
        }
        for listener in self.agent {
            let (source, came) = (Arc::clone(source), Arc::clone(&came));
            let speaking = speak(listener, source, came, closing.clone());
            tasks.spawn(task::boxed(speaking));
        }
        Answered {
            closing,
            shared,
            came,
            tasks,
        }
    }
}

impl Answered {
    /// Accepts nobody else, and answers those that have asked.
    pub(crate) async fn close(mut self) {
        self.closing.start();
        self.shared.phases.advance(Phase::Draining);
        // The sweep never ends.
        let _ = timeout(GOODBYE, self.shared.all_closed()).await;
        self.tasks.abort_all();
        while self.tasks.join_next().await.is_some() {}
    }

    /// Waits until nobody has asked for `time`; at most twice as long.
    async fn idle_for(&self, time: Duration) {
        let mut last = None;
        loop {
            let now = self.came.load(Ordering::Relaxed);
            if last == Some(now) && self.shared.live() == 0 {
                return;
            }
            last = Some(now);
            sleep(time).await;
        }
    }
}

/// Answers the health sockets that were passed to this process, and nothing else, until nobody has asked for `idle`.
///
/// # Errors
/// If there is none, or one cannot be taken.
#[doc(hidden)]
pub async fn answer_alone(source: Arc<dyn Source>, idle: Duration) -> Result<(), Error> {
    let doors = HealthSockets::open()?;
    if doors.is_empty() {
        return Err(Error::Listen(ListenError::NothingToServe {
            passed: Sockets::from_env()?.passed(),
        }));
    }
    crate::ready().map_err(Error::Notify)?;
    let answered = doors.answer(&source);
    answered.idle_for(idle).await;
    answered.close().await;
    Ok(())
}

/// Sends the report to each client, whatever it sends.
async fn speak(
    listener: Listener,
    source: Arc<dyn Source>,
    came: Arc<AtomicU64>,
    closing: ShutdownToken,
) {
    let mut closed = std::pin::pin!(closing.started());
    let mut telling = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = closed.as_mut() => break,
            // Clients that are done.
            Some(_) = telling.join_next() => continue,
            accepted = listener.accept(), if telling.len() < MOST => accepted,
        };
        match accepted {
            Ok(stream) => {
                came.fetch_add(1, Ordering::Relaxed);
                let source = Arc::clone(&source);
                telling.spawn(task::boxed(async move {
                    let _ = timeout(TIME, tell(stream, source)).await;
                }));
            }
            Err(error) => {
                tracing::debug!(%listener, %error, "whoever asked was not accepted");
                sleep(PAUSE).await;
            }
        }
    }
    while telling.join_next().await.is_some() {}
}

async fn tell(mut stream: Stream, source: Arc<dyn Source>) -> std::io::Result<()> {
    let line = source.ask().await.agent();
    stream.write_all(line.as_bytes()).await?;
    stream.shutdown().await
}

/// The report over HTTP.
#[derive(Clone)]
struct Page {
    source: Arc<dyn Source>,
    came: Arc<AtomicU64>,
}

impl Service<Request<Incoming>> for Page {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Boxed<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        self.came.fetch_add(1, Ordering::Relaxed);
        let source = Arc::clone(&self.source);
        task::boxed(async move {
            let is_asked = matches!(*request.method(), Method::GET | Method::HEAD);
            let (status, text) = match is_asked {
                true => source.ask().await.http(request.uri().path()),
                false => (StatusCode::METHOD_NOT_ALLOWED, String::new()),
            };
            let mut response = Response::new(text);
            *response.status_mut() = status;
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            if request.version() < Version::HTTP_2 {
                // The client asks the next generation next time.
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response)
        })
    }
}
