//! The holding page: what a generation answers that is no release of the app.
//!
//! It says nothing of the app: neither its name nor why it cannot serve. Whoever may know finds that in the journal.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, VARY};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::Full;
use portkeep_spec::contract;
use tower_service::Service;

/// When clients are to ask again. A release that can serve takes over within about a second of its appearance.
const RETRY: Duration = Duration::from_secs(5);

const TEXT: &str = "This service is not available right now. Please try again in a few seconds.\n";

const HTML: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{refresh}
<title>Not available right now</title>
<style>
:root { color-scheme: light dark; }
body { margin: 0; min-height: 100vh; display: grid; place-content: center; padding: 1rem; font: 1.125rem/1.5 system-ui, sans-serif; }
h1 { margin: 0; font-size: 1.5rem; }
p { margin: .5rem 0 0; }
</style>
</head>
<body>
<main>
<h1>Not available right now</h1>
<p>This page tries again by itself in a few seconds.</p>
</main>
</body>
</html>
"#;

/// How the page tries again, also where a policy in front of it allows no script.
const REFRESH: &str = r#"<meta http-equiv="refresh" content="5">"#;

/// The same under `portkeep dev`, whose own script loads the page again when there is something to see, and loses nothing
/// that is folded, dismissed or scrolled until then. Where that script is not, as in a browser elsewhere, or with none, it
/// tries again as ever.
const REFRESH_IN_DEVELOPMENT: &str = r#"<noscript><meta http-equiv="refresh" content="5"></noscript>
<script>setTimeout(() => window["portkeep-dev"] || location.reload(), 5000);</script>"#;

pub(super) async fn run(sockets: Vec<String>) -> anyhow::Result<()> {
    let server = sockets
        .into_iter()
        .fold(portkeep::Server::new(), portkeep::Server::socket);
    let refresh = match std::env::var_os(contract::PORTKEEP_DEV) {
        Some(_) => REFRESH_IN_DEVELOPMENT,
        None => REFRESH,
    };
    server.serve(Page::new(refresh)).await?;
    Ok(())
}

#[derive(Clone)]
struct Page {
    html: Bytes,
}

impl Page {
    fn new(refresh: &str) -> Self {
        Self {
            html: HTML.replace("{refresh}", refresh).into(),
        }
    }

    fn answer(&self, headers: &HeaderMap) -> Response<Full<Bytes>> {
        let (kind, body) = if wants_html(headers) {
            ("text/html; charset=utf-8", self.html.clone())
        } else {
            (
                "text/plain; charset=utf-8",
                Bytes::from_static(TEXT.as_bytes()),
            )
        };
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(RETRY_AFTER, HeaderValue::from(RETRY.as_secs()));
        // Nobody is to remember it.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(VARY, HeaderValue::from_static("accept"));
        response
    }
}

impl<B> Service<Request<B>> for Page {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(self.answer(request.headers())))
    }
}

/// Browsers name HTML; programs take anything, and are better off with text.
fn wants_html(headers: &HeaderMap) -> bool {
    let ranges = headers
        .get_all(ACCEPT)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    ranges.into_iter().any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_html = parts
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case("text/html"));
        is_html && !parts.any(is_zero_quality)
    })
}

fn is_zero_quality(parameter: &str) -> bool {
    parameter
        .split_once('=')
        .is_some_and(|(name, value)| name.eq_ignore_ascii_case("q") && value.parse() == Ok(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(accept: Option<&str>) -> String {
        let mut headers = HeaderMap::new();
        if let Some(accept) = accept {
            headers.insert(ACCEPT, accept.parse().expect("a header"));
        }
        let response = Page::new(REFRESH).answer(&headers);
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[RETRY_AFTER], "5");
        let kind = response.headers()[CONTENT_TYPE].to_str().expect("text");
        kind.split(';').next().unwrap_or_default().to_owned()
    }

    #[test]
    fn in_development_only_a_page_without_our_script_tries_again_by_itself() {
        let page = |refresh: &str| String::from_utf8(Page::new(refresh).html.into()).expect("text");
        let meta = "<meta http-equiv=\"refresh\" content=\"5\">";
        assert!(page(REFRESH).contains(&format!("\n{meta}\n")));
        assert!(!page(REFRESH).contains("script"));
        let developed = page(REFRESH_IN_DEVELOPMENT);
        assert!(developed.contains(&format!("<noscript>{meta}</noscript>")));
        assert_eq!(developed.matches(meta).count(), 1);
        assert!(developed.contains("window[\"portkeep-dev\"] ||"));
    }

    #[test]
    fn only_who_names_html_gets_it() {
        for accept in [
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "TEXT/HTML;level=1",
            "application/json, text/html;q=0.1",
        ] {
            assert_eq!(kind(Some(accept)), "text/html", "{accept}");
        }
        for accept in [
            None,
            Some("*/*"),
            Some("application/json"),
            Some("text/html;q=0"),
            Some("text/html;q=0.000, */*"),
        ] {
            assert_eq!(kind(accept), "text/plain", "{accept:?}");
        }
    }
}
