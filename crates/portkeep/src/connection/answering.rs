//! The app as hyper's service: counts requests, and announces the end of the connection in every
//! answer that is given while the server drains.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::CONNECTION;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::Body;
use hyper::body::Incoming;

use super::body::AnswerBody;
use super::in_flight::InFlight;
use super::probe::Probe;
use super::upload::Upload;
use crate::BoxError;
use crate::app::{Answered, Arriving, ErasedApp};
use crate::drain::{Phase, count};

pub(super) struct Answering {
    app: ErasedApp,
    probe: Arc<Probe>,
}

impl Answering {
    pub(super) fn new(app: ErasedApp, probe: Arc<Probe>) -> Self {
        Self { app, probe }
    }
}

impl hyper::service::Service<Request<Incoming>> for Answering {
    type Response = Response<AnswerBody>;
    type Error = BoxError;
    type Future = Answer;

    fn call(&self, mut request: Request<Incoming>) -> Answer {
        self.probe.introduce(request.extensions_mut());
        #[cfg(all(feature = "dev", any(debug_assertions, feature = "dev-in-release")))]
        request
            .extensions_mut()
            .insert(super::Entrance(Arc::clone(&self.probe.listener)));
        let connect = request.method() == Method::CONNECT;
        let http1 = request.version() < Version::HTTP_2;
        let with_body = !request.body().is_end_stream();
        let upload = with_body.then(|| Upload::new(&self.probe));
        if let Some(upload) = &upload {
            let awaits = Arriving(Arc::clone(upload) as _);
            request.extensions_mut().insert(awaits);
        }
        Answer {
            closable: http1 && !connect,
            tunnel: !http1 && connect,
            in_flight: Some(InFlight::new(&self.probe, upload, !http1)),
            answered: self.app.answer(request),
        }
    }
}

/// The answer to one request.
pub(super) struct Answer {
    closable: bool,
    /// If it succeeds, what comes after the answer is the app's.
    tunnel: bool,
    /// Until there is an answer.
    in_flight: Option<InFlight>,
    answered: Answered,
}

impl Future for Answer {
    type Output = Result<Response<AnswerBody>, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut response = ready!(self.answered.as_mut().poll(cx))?;
        let Some(mut in_flight) = self.in_flight.take() else {
            unreachable!("a future that is over is not polled")
        };
        in_flight.handler_ended();
        let probe = in_flight.probe();
        if probe.shared.phases.current() > Phase::Serving {
            count(&probe.shared.counts.answered);
        }
        if self.closable && probe.is_last() {
            announce_close(&mut response);
        }
        let in_flight = if self.tunnel && response.status().is_success() {
            in_flight.become_tunnel();
            None
        } else {
            Some(in_flight)
        };
        Poll::Ready(Ok(response.map(|body| AnswerBody::new(body, in_flight))))
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
