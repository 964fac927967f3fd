//! Body of a request that reports when the app waits for it.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Request;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;

use super::Arriving;

pin_project! {
    /// hyper's body, observed if somebody asks for that.
    pub(super) struct Watched {
        #[pin]
        body: Incoming,
        arriving: Option<Arriving>,
        waits: bool,
    }

    impl PinnedDrop for Watched {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(arriving) = this.arriving.as_ref().filter(|_| *this.waits) {
                arriving.0.goes_on(false);
            }
        }
    }
}

pub(super) fn watched(mut request: Request<Incoming>) -> Request<Watched> {
    let arriving = request.extensions_mut().remove::<Arriving>();
    request.map(|body| Watched {
        body,
        arriving,
        waits: false,
    })
}

impl Body for Watched {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.project();
        let polled = this.body.poll_frame(cx);
        if let Some(Arriving(awaits)) = this.arriving {
            if polled.is_pending() && !*this.waits {
                awaits.waits();
            } else if polled.is_ready() && *this.waits {
                awaits.goes_on(true);
            }
            *this.waits = polled.is_pending();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
