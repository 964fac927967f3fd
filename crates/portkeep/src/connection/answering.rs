//! The app as hyper's service: counts requests, and announces the end of the connection in every
//! answer that is given while the server drains.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::CONNECTION;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::Body;
use hyper::body::Incoming;
use pin_project_lite::pin_project;

use super::probe::Probe;
use crate::app::App;
use crate::drain::{Phase, count};

pub(super) struct Answering<A> {
    app: A,
    probe: Arc<Probe>,
}

impl<A> Answering<A> {
    pub(super) fn new(app: A, probe: Arc<Probe>) -> Self {
        Self { app, probe }
    }
}

/// The app is never pinned.
impl<A> Unpin for Answering<A> {}

impl<A: App> hyper::service::Service<Request<Incoming>> for Answering<A> {
    type Response = Response<A::ResponseBody>;
    type Error = A::Error;
    type Future = Answer<A>;

    fn call(&self, mut request: Request<Incoming>) -> Answer<A> {
        request.extensions_mut().insert(self.probe.peer);
        self.probe.began(!request.body().is_end_stream());
        Answer {
            closable: request.version() < Version::HTTP_2 && request.method() != Method::CONNECT,
            running: Running(Arc::clone(&self.probe)),
            state: State::Waiting {
                app: self.app.clone(),
                request: Some(request),
            },
        }
    }
}

/// A handler that runs.
struct Running(Arc<Probe>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.handler_ended();
    }
}

pin_project! {
    /// The answer to one request.
    pub(super) struct Answer<A: App> {
        closable: bool,
        running: Running,
        #[pin]
        state: State<A>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<A: App> {
        /// Until the service has room for the request.
        Waiting { app: A, request: Option<Request<Incoming>> },
        Called { #[pin] future: A::Future },
    }
}

impl<A: App> Future for Answer<A> {
    type Output = Result<Response<A::ResponseBody>, A::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProjection::Waiting { app, request } => {
                    ready!(app.poll_ready(cx))?;
                    let Some(request) = request.take() else {
                        unreachable!("the request is taken when the state changes")
                    };
                    let future = app.call(request);
                    this.state.set(State::Called { future });
                }
                StateProjection::Called { future } => {
                    let mut response = ready!(future.poll(cx))?;
                    let probe = &this.running.0;
                    if probe.shared.phases.current() > Phase::Serving {
                        count(&probe.shared.counts.answered);
                    }
                    if *this.closable && probe.draining() {
                        announce_close(&mut response);
                    }
                    return Poll::Ready(Ok(response));
                }
            }
        }
    }
}

/// hyper reads this header too and closes the connection after the answer.
fn announce_close<B>(response: &mut Response<B>) {
    // A protocol switch lives on; its `Connection: upgrade` has to stay.
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
}
