//! Body of an answer. It keeps its request in flight until it is sent.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::in_flight::InFlight;
use crate::BoxError;
use crate::app::ErasedBody;

pin_project! {
    /// hyper drops it after taking the last of it.
    pub(super) struct AnswerBody {
        #[pin]
        body: ErasedBody,
        in_flight: Option<InFlight>,
    }
}

impl AnswerBody {
    #[inline]
    pub(super) fn new(body: ErasedBody, in_flight: Option<InFlight>) -> Self {
        Self { body, in_flight }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BoxError;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        if let Some(in_flight) = this.in_flight {
            in_flight.asked();
        }
        let polled = this.body.poll_frame(cx);
        if let (Poll::Ready(Some(_)), Some(in_flight)) = (&polled, this.in_flight) {
            in_flight.gives();
        }
        polled
    }

    #[inline]
    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    #[inline]
    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
