//! The app as hyper's service: counts requests, and announces the end of the connection in every answer while the server
//! drains.

use std::pin::Pin;
use std::sync::Arc;
#[cfg(feature = "http2")]
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
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
#[cfg(feature = "http2")]
use crate::app::ErasedBody;
use crate::app::{Answered, Arriving, ErasedApp};
use crate::drain::{Phase, count};

pub(super) struct Answering {
    app: ErasedApp,
    probe: Arc<Probe>,
    /// The length of the first answer, if the first request is the prologue's.
    #[cfg(feature = "http2")]
    first: AtomicU32,
}

/// The first request is a client's, like all others.
#[cfg(feature = "http2")]
const NONE: u32 = u32::MAX;

impl Answering {
    pub(super) fn new(app: ErasedApp, probe: Arc<Probe>) -> Self {
        Self {
            app,
            probe,
            #[cfg(feature = "http2")]
            first: AtomicU32::new(NONE),
        }
    }

    /// What is observed of its connection.
    #[cfg(feature = "http2")]
    pub(super) fn probe(&self) -> Arc<Probe> {
        Arc::clone(&self.probe)
    }

    /// The first request is not for the app: its answer has this many bytes, whatever they are.
    #[cfg(feature = "http2")]
    pub(super) fn begin_with(&mut self, length: u32) {
        *self.first.get_mut() = length;
    }
}

impl hyper::service::Service<Request<Incoming>> for Answering {
    type Response = Response<AnswerBody>;
    type Error = BoxError;
    type Future = Answer;

    fn call(&self, mut request: Request<Incoming>) -> Answer {
        #[cfg(feature = "http2")]
        if self.first.load(Relaxed) != NONE {
            let length = self.first.swap(NONE, Relaxed);
            return Answer::of_no_request(length as usize);
        }
        self.probe.introduce(request.extensions_mut());
        #[cfg(all(feature = "dev", any(debug_assertions, feature = "dev-in-release")))]
        request
            .extensions_mut()
            .insert(super::ListenerName(Arc::clone(&self.probe.listener)));
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

#[cfg(feature = "http2")]
impl Answer {
    fn of_no_request(length: usize) -> Self {
        let body = ErasedBody::new(Zeros(length));
        Self {
            closable: false,
            tunnel: false,
            in_flight: None,
            answered: Box::pin(std::future::ready(Ok(Response::new(body)))),
        }
    }
}

/// This many bytes.
#[cfg(feature = "http2")]
struct Zeros(usize);

#[cfg(feature = "http2")]
impl Body for Zeros {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, Self::Error>>> {
        let length = std::mem::take(&mut self.0);
        let data = (length > 0).then(|| Ok(http_body::Frame::data(vec![0; length].into())));
        Poll::Ready(data)
    }

    fn is_end_stream(&self) -> bool {
        self.0 == 0
    }
}

/// The answer to one request.
pub(super) struct Answer {
    closable: bool,
    /// Whether the connection belongs to the app after a successful answer.
    tunnel: bool,
    /// The request, until it is answered. None for the prologue's.
    in_flight: Option<InFlight>,
    answered: Answered,
}

impl Future for Answer {
    type Output = Result<Response<AnswerBody>, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let handler = this.answered.as_mut();
        let answered = match &mut this.in_flight {
            Some(in_flight) => in_flight.run(|| handler.poll(cx)),
            None => handler.poll(cx),
        };
        let mut response = ready!(answered)?;
        let Some(mut in_flight) = self.in_flight.take() else {
            return Poll::Ready(Ok(response.map(|body| AnswerBody::new(body, None))));
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

/// hyper reads this header too, and closes the connection after the answer.
fn announce_close<B>(response: &mut Response<B>) {
    // After a protocol switch the connection lives on; its `Connection: upgrade` has to stay.
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
}
