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

use super::body::AnswerBody;
use super::in_flight::InFlight;
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
    type Response = Response<AnswerBody<A::ResponseBody>>;
    type Error = A::Error;
    type Future = Answer<A>;

    fn call(&self, mut request: Request<Incoming>) -> Answer<A> {
        self.probe.peer.introduce(request.extensions_mut());
        #[cfg(all(feature = "dev", any(debug_assertions, feature = "dev-in-release")))]
        request
            .extensions_mut()
            .insert(super::Entrance(Arc::clone(&self.probe.listener)));
        let connect = request.method() == Method::CONNECT;
        let http1 = request.version() < Version::HTTP_2;
        Answer {
            closable: http1 && !connect,
            tunnel: !http1 && connect,
            in_flight: Some(InFlight::new(&self.probe, !request.body().is_end_stream())),
            state: State::Waiting {
                app: self.app.clone(),
                request: Some(request),
            },
        }
    }
}

pin_project! {
    /// The answer to one request.
    pub(super) struct Answer<A: App> {
        closable: bool,
        // If it succeeds, what comes after the answer is the app's.
        tunnel: bool,
        // Until there is an answer.
        in_flight: Option<InFlight>,
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
    type Output = Result<Response<AnswerBody<A::ResponseBody>>, A::Error>;

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
                    let Some(mut in_flight) = this.in_flight.take() else {
                        unreachable!("a future that is over is not polled")
                    };
                    in_flight.handler_ended();
                    let probe = in_flight.probe();
                    if probe.shared.phases.current() > Phase::Serving {
                        count(&probe.shared.counts.answered);
                    }
                    if *this.closable && probe.draining() {
                        announce_close(&mut response);
                    }
                    let in_flight = if *this.tunnel && response.status().is_success() {
                        in_flight.become_tunnel();
                        None
                    } else {
                        Some(in_flight)
                    };
                    return Poll::Ready(Ok(response.map(|body| AnswerBody::new(body, in_flight))));
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
