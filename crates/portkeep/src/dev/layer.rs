//! The app with what `portkeep dev` adds.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::{CACHE_CONTROL, CONTENT_TYPE, UPGRADE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tower_service::Service;

use super::body::DevBody;
use super::channel::{Channel, PREFIX};
use super::hold::{self, Verdict};
use super::{document, forward, guard};
use crate::app::App;
use crate::{BoxError, ShutdownToken};

/// For programs that waited as long as they may.
const STILL_BUILDING: &str =
    "The new version is still being built. Please try again in a second.\n";

/// An app that lets `portkeep dev` into its pages.
#[derive(Clone)]
pub(crate) struct Layer<A> {
    app: A,
    channel: Option<Arc<Channel>>,
    token: ShutdownToken,
}

type Answer<A> = Response<DevBody<<A as App>::ResponseBody>>;

impl<A: App> Layer<A> {
    /// `token` ends what would hold up a drain.
    pub(crate) fn new(app: A, token: ShutdownToken) -> Self {
        Self {
            app,
            channel: Channel::from_env().map(Arc::new),
            token,
        }
    }

    fn open_channel(&self) -> Option<Arc<Channel>> {
        self.channel.clone().filter(|channel| channel.is_open())
    }
}

impl<A: App> Service<Request<Incoming>> for Layer<A> {
    type Response = Answer<A>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Answer<A>, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.app.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<Incoming>) -> Self::Future {
        let Some(channel) = self.open_channel() else {
            let answer = self.app.call(request);
            return Box::pin(async { Ok(unchanged(answer.await.map_err(Into::into)?)) });
        };
        let host = guard::local_host(&request).map(str::to_owned);
        if let Some(asked) = request.uri().path().strip_prefix(PREFIX) {
            let allowed = request.method() == Method::GET
                && host
                    .as_deref()
                    .is_some_and(|host| guard::is_own_page(request.headers(), host));
            let (asked, token) = (asked.to_owned(), self.token.clone());
            return Box::pin(async move {
                Ok(if allowed {
                    ask(&channel, &asked, &token).await
                } else {
                    say(
                        StatusCode::FORBIDDEN,
                        "only for pages of this app, on this machine",
                    )
                })
            });
        }
        let page_for = host.filter(|_| document::is_asked_for(&request));
        if page_for.is_some() {
            document::ask_plain(&mut request);
        }
        // A switch of protocols cannot be forwarded.
        if channel.holds && !request.headers().contains_key(UPGRADE) {
            // The clone may not be ready, the one that was asked is.
            let clone = self.app.clone();
            let mut app = std::mem::replace(&mut self.app, clone);
            return Box::pin(async move {
                match hold::wait(&channel).await {
                    Verdict::Serve => {}
                    Verdict::Forward(address) => {
                        let response = forward::forward(request, &address).await?;
                        return Ok(response.map(|body| DevBody::Forwarded { body }));
                    }
                    Verdict::Page(text) => {
                        let mut page = if page_for.is_some() {
                            let mut page = say(StatusCode::SERVICE_UNAVAILABLE, text);
                            let html = HeaderValue::from_static("text/html; charset=utf-8");
                            page.headers_mut().insert(CONTENT_TYPE, html);
                            page
                        } else {
                            // Programs are better off with text.
                            say(StatusCode::SERVICE_UNAVAILABLE, STILL_BUILDING)
                        };
                        page.headers_mut()
                            .insert("retry-after", HeaderValue::from_static("1"));
                        return Ok(into_page(page, page_for, &channel));
                    }
                }
                let answer = app.call(request).await.map_err(Into::into)?;
                Ok(into_page(unchanged(answer), page_for, &channel))
            });
        }
        let answer = self.app.call(request);
        Box::pin(async move {
            let answer = unchanged(answer.await.map_err(Into::into)?);
            Ok(into_page(answer, page_for, &channel))
        })
    }
}

/// An answer of the app as it is.
fn unchanged<B>(response: Response<B>) -> Response<DevBody<B>> {
    response.map(|body| DevBody::App { body })
}

/// Writes the script into an answer that is a page, and was asked for as one.
fn into_page<B>(
    response: Response<DevBody<B>>,
    page_for: Option<String>,
    channel: &Channel,
) -> Response<DevBody<B>> {
    let Some(host) = page_for else {
        return response;
    };
    let (mut parts, body) = response.into_parts();
    if !document::is_page(&parts) {
        return Response::from_parts(parts, body);
    }
    let tag = document::tag(&parts.headers, &host, &channel.generation);
    let body = match body {
        DevBody::App { body } => DevBody::page(body, tag),
        DevBody::Text { text } => {
            let mut whole = super::inject::Injector::new(tag);
            let start = whole.push(&text);
            DevBody::text([start, whole.finish()].concat())
        }
        other => other,
    };
    document::adapt(&mut parts.headers);
    Response::from_parts(parts, body)
}

async fn ask<B>(channel: &Channel, asked: &str, token: &ShutdownToken) -> Response<DevBody<B>> {
    let Ok(answer) = channel.ask(asked).await else {
        return say(
            StatusCode::SERVICE_UNAVAILABLE,
            "portkeep dev does not answer",
        );
    };
    let mut response = Response::new(());
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, answer.kind.clone());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        "x-content-type-options",
        HeaderValue::from_static("nosniff"),
    );
    let pieces = answer.into_body(token);
    response.map(|()| DevBody::Pieces { pieces })
}

fn say<B>(status: StatusCode, text: impl Into<bytes::Bytes>) -> Response<DevBody<B>> {
    let mut response = Response::new(DevBody::text(text));
    *response.status_mut() = status;
    response
}
