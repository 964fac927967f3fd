//! The app with the additions of `portkeep dev`.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use portkeep_contract::development::{PREFIX, Refusal, SCRIPT};
use tower_service::Service;

use super::body::DevBody;
use super::channel::Channel;
use super::document::Kind;
use super::inject::Injector;
use super::queued_request::{self, Verdict};
use super::script::{Content, Load, Script};
use super::{document, forward, guard};
use crate::acceptor::Acceptor;
use crate::app::{ErasedApp, ErasedBody};
use crate::connection::ListenerName;
use crate::{BoxError, ShutdownToken};

/// For programs whose request has waited for the longest allowed time.
const STILL_BUILDING: &str =
    "The new version is still being built. Please try again in a second.\n";

/// An app whose pages `portkeep dev` extends.
#[derive(Clone)]
pub(crate) struct Layer {
    app: ErasedApp,
    channel: Option<Arc<Channel>>,
    /// Whether requests may have to wait for a build.
    holds: bool,
    token: ShutdownToken,
}

impl Layer {
    /// `token` ends answers that would hold up a drain. `acceptor` is that of the connections: a request that came through
    /// one cannot be forwarded to a listener that expects the same, so it does not wait.
    pub(crate) fn new(app: ErasedApp, token: ShutdownToken, acceptor: Option<&Acceptor>) -> Self {
        Self::told_by(Channel::from_env(), app, token, acceptor)
    }

    fn told_by(
        channel: Option<Channel>,
        app: ErasedApp,
        token: ShutdownToken,
        acceptor: Option<&Acceptor>,
    ) -> Self {
        Self {
            app,
            holds: acceptor.is_none() && channel.as_ref().is_some_and(|channel| channel.holds),
            channel: channel.map(Arc::new),
            token,
        }
    }

    /// Announces to `portkeep dev` the version of the protocol, and whether requests wait.
    pub(crate) fn announce(&self) -> impl Future<Output = ()> + Send + use<> {
        let (channel, holds) = (self.open_channel(), self.holds);
        async move {
            if let Some(channel) = channel {
                channel.announce(holds).await;
            }
        }
    }

    fn open_channel(&self) -> Option<Arc<Channel>> {
        self.channel.clone().filter(|channel| channel.is_open())
    }
}

impl Service<Request<Incoming>> for Layer {
    type Response = Response<DevBody>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<DevBody>, BoxError>> + Send>>;

    /// The app's own readiness is part of its answer.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Incoming>) -> Self::Future {
        let Some(channel) = self.open_channel() else {
            let answer = self.app.answer(request);
            return Box::pin(async { Ok(unchanged(answer.await?)) });
        };
        let waited = queued_request::take_waited(request.headers_mut());
        if let Some(asked) = request.uri().path().strip_prefix(PREFIX) {
            let is_allowed = request.method() == Method::GET && may_ask(&channel, asked, &request);
            let (asked, token) = (asked.to_owned(), self.token.clone());
            return Box::pin(async move {
                Ok(if is_allowed {
                    ask(&channel, &asked, &token).await
                } else {
                    say(
                        StatusCode::FORBIDDEN,
                        "only for pages of this app, on this machine",
                    )
                })
            });
        }
        let host = match guard::trusted_host(&request, &channel.allowed) {
            Ok(host) => Ok(host.to_owned()),
            Err((why, host)) => Err((why, host.to_owned())),
        };
        let load = document::load(&request);
        let (page_for, refused) = match (host, load) {
            (Ok(host), Some(load)) => (Some((host, load)), None),
            (Err(refused), Some(_)) => (None, Some(refused)),
            (_, None) => (None, None),
        };
        if page_for.is_some() {
            document::ask_whole_and_plain(request.headers_mut());
        }
        let waits = self.holds && queued_request::may_wait(&request);
        if page_for.is_none() && !waits {
            let answer = self.app.answer(request);
            return Box::pin(async move { Ok(left(answer.await?, refused, channel)) });
        }
        let app = self.app.clone();
        Box::pin(async move {
            if waits {
                let begun = Instant::now();
                let listener = request.extensions().get().cloned();
                let ListenerName(listener) = listener.unwrap_or_else(|| ListenerName("".into()));
                match queued_request::wait(&channel, &listener, waited).await {
                    Verdict::Serve => {}
                    Verdict::Forward(address) => {
                        let waited = waited + begun.elapsed();
                        let response = forward::forward(request, &address, waited).await?;
                        return Ok(response.map(|body| DevBody::Forwarded { body }));
                    }
                    Verdict::Page(text) => return Ok(still_building(text, page_for, &channel)),
                }
            }
            let Some((host, load)) = page_for else {
                return Ok(left(app.answer(request).await?, refused, channel));
            };
            let script = Script {
                host,
                load,
                content: Content::App,
                // Before the app reads what it makes the page from.
                made_of: channel.made_of().await,
            };
            let path = request.uri().path().to_owned();
            let answer = app.answer(request).await?;
            let (parts, body) = answer.into_parts();
            match document::kind_of(&parts) {
                Kind::Page => {}
                Kind::Compressed => {
                    channel.tell_compressed(&path);
                    return Ok(unchanged(Response::from_parts(parts, body)));
                }
                Kind::Sandboxed => {
                    channel.tell_refused(Refusal::Sandbox, &path);
                    return Ok(unchanged(Response::from_parts(parts, body)));
                }
                Kind::Other => return Ok(unchanged(Response::from_parts(parts, body))),
            }
            let tag = script.tag(&parts.headers, channel.generation);
            let mut page = Response::from_parts(parts, DevBody::page(body, tag));
            document::adapt(page.headers_mut());
            Ok(page)
        })
    }
}

/// An unchanged answer of the app.
fn unchanged(response: Response<ErasedBody>) -> Response<DevBody> {
    response.map(|body| DevBody::App { body })
}

/// An answer that gets no script. If it is a page, that is reported.
fn left(
    response: Response<ErasedBody>,
    refused: Option<(Refusal, String)>,
    channel: Arc<Channel>,
) -> Response<DevBody> {
    let (parts, body) = response.into_parts();
    if let Some((why, host)) = refused
        && document::kind_of(&parts) != Kind::Other
    {
        channel.tell_refused(why, &host);
    }
    unchanged(Response::from_parts(parts, body))
}

/// Whether a request below [`PREFIX`] is from a page that may ask. Reports a script that may not.
fn may_ask<B>(channel: &Arc<Channel>, asked: &str, request: &Request<B>) -> bool {
    let refused = match guard::trusted_host(request, &channel.allowed) {
        Ok(host) if guard::is_own_page(request.headers(), host) => None,
        Ok(_) => Some((Refusal::Page, guard::page_host(request.headers()))),
        Err((why, host)) => Some((why, host.to_owned())),
    };
    if let (Some((why, host)), SCRIPT) = (&refused, asked) {
        Arc::clone(channel).tell_refused(*why, host);
    }
    refused.is_none()
}

/// The answer to a request that has waited for the longest allowed time.
fn still_building(
    text: Bytes,
    page_for: Option<(String, Load)>,
    channel: &Channel,
) -> Response<DevBody> {
    let mut response = match page_for {
        Some((host, load)) => {
            let script = Script {
                host,
                load,
                content: Content::Waiting,
                made_of: None,
            };
            let mut injector = Injector::new(script.tag(&HeaderMap::new(), channel.generation));
            let start = injector.push(&text);
            let page = [start, injector.finish()].concat();
            let mut response = say(StatusCode::SERVICE_UNAVAILABLE, page);
            let html = HeaderValue::from_static("text/html; charset=utf-8");
            response.headers_mut().insert(CONTENT_TYPE, html);
            response
        }
        // Programs get text.
        None => say(StatusCode::SERVICE_UNAVAILABLE, STILL_BUILDING),
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

async fn ask(channel: &Channel, asked: &str, token: &ShutdownToken) -> Response<DevBody> {
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
    response.map(|()| DevBody::StreamedBody { pieces })
}

fn say(status: StatusCode, text: impl Into<Bytes>) -> Response<DevBody> {
    let mut response = Response::new(DevBody::text(text));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests;
