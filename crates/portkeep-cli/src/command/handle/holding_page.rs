//! Holding page: answers of a generation that runs no release of the app.
//!
//! It says nothing of the app: neither its name nor why it cannot serve. Whoever may know finds that in the journal. In
//! maintenance it says what a person wants it to.

use std::borrow::Cow;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, VARY};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::Full;
use portkeep::{HealthReport, Readiness, Source};
use portkeep_engine::maintenance::Maintenance;
use portkeep_spec::{contract, small_file};
use tower_service::Service;

const HTML: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{refresh}
<title>{title}</title>
<style>
:root { color-scheme: light dark; }
body { margin: 0; min-height: 100vh; display: grid; place-content: center; padding: 1rem; font: 1.125rem/1.5 system-ui, sans-serif; }
h1 { margin: 0; font-size: 1.5rem; }
p { margin: .5rem 0 0; }
</style>
</head>
<body>
<main>
<h1>{title}</h1>
<p>{text}</p>
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

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PageText {
    /// For programs.
    error: &'static str,
    title: &'static str,
    /// Anybody's words.
    text: Cow<'static, str>,
    /// When clients are to ask again.
    retry: Duration,
}

/// A release that can serve takes over within about a second of its appearance.
const UNAVAILABLE: PageText = PageText {
    error: "unavailable",
    title: "Not available right now",
    text: Cow::Borrowed("Please try again in a few seconds."),
    retry: Duration::from_secs(5),
};

/// Minutes, as a rule.
const MAINTENANCE: PageText = PageText {
    error: "maintenance",
    title: "Down for maintenance",
    text: Cow::Borrowed("Please try again in a few minutes."),
    retry: Duration::from_secs(30),
};

impl PageText {
    fn of(maintenance: Option<Maintenance>) -> Self {
        let Some(maintenance) = maintenance else {
            return UNAVAILABLE;
        };
        match maintenance.message() {
            Some(message) => Self {
                text: message.into(),
                ..MAINTENANCE
            },
            None => MAINTENANCE,
        }
    }
}

/// No message is as long, whatever its characters are.
const LONGEST_FILE: u64 = 64 << 10;

/// What the file says now. It is small, and in the kernel's cache.
fn maintenance(file: Option<&Path>) -> Option<Maintenance> {
    let text = small_file::read(file?, LONGEST_FILE).ok()?;
    serde_json::from_slice(&text).ok()
}

pub(super) async fn run(sockets: Vec<String>) -> anyhow::Result<()> {
    let server = sockets
        .into_iter()
        .fold(portkeep::Server::new(), portkeep::Server::socket);
    let refresh = match std::env::var_os(contract::PORTKEEP_DEV) {
        Some(_) => REFRESH_IN_DEVELOPMENT,
        None => REFRESH,
    };
    let maintenance = std::env::var_os(contract::PORTKEEP_MAINTENANCE).map(PathBuf::from);
    let health = Arc::new(PageHealth(maintenance.clone()));
    let page = Page {
        refresh,
        maintenance,
    };
    server.health_source(health).serve(page).await?;
    Ok(())
}

/// What the page tells load balancers, by the same file.
struct PageHealth(Option<PathBuf>);

impl PageHealth {
    fn tell(&self) -> HealthReport {
        let (readiness, reason) = match maintenance(self.0.as_deref()) {
            Some(_) => (Readiness::Maintenance, "somebody wants maintenance"),
            None => (Readiness::Down, "no release can serve"),
        };
        HealthReport {
            drained: portkeep::is_taken_out(),
            app: std::env::var(contract::PORTKEEP_NAME).ok(),
            ..HealthReport::new(readiness, reason.to_owned())
        }
    }
}

impl Source for PageHealth {
    fn ask(self: Arc<Self>) -> Pin<Box<dyn Future<Output = HealthReport> + Send>> {
        Box::pin(async move { self.tell() })
    }
}

#[derive(Clone)]
struct Page {
    refresh: &'static str,
    /// The file that is there as long as there is maintenance: it may begin and end while the page is shown.
    maintenance: Option<PathBuf>,
}

impl Page {
    fn answer(&self, headers: &HeaderMap) -> Response<Full<Bytes>> {
        let words = PageText::of(maintenance(self.maintenance.as_deref()));
        let kind = Kind::of(headers);
        let mut response = Response::new(Full::new(kind.body(&words, self.refresh).into()));
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind.name()));
        headers.insert(RETRY_AFTER, HeaderValue::from(words.retry.as_secs()));
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

/// How it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Html,
    Json,
    Text,
}

impl Kind {
    /// Browsers name HTML, some programs JSON. Others take anything, and are better off with text.
    fn of(headers: &HeaderMap) -> Self {
        if names(headers, "text/html") {
            Self::Html
        } else if names(headers, "application/json") {
            Self::Json
        } else {
            Self::Text
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Html => "text/html; charset=utf-8",
            Self::Json => "application/json",
            Self::Text => "text/plain; charset=utf-8",
        }
    }

    fn body(self, words: &PageText, refresh: &str) -> String {
        match self {
            // The words of others come last: nothing is replaced in them.
            Self::Html => HTML
                .replace("{refresh}", refresh)
                .replace("{title}", words.title)
                .replace("{text}", &escaped(&words.text)),
            Self::Json => {
                let told = serde_json::json!({ "error": words.error, "message": words.text });
                format!("{told}\n")
            }
            Self::Text => format!("{}. {}\n", words.title, words.text),
        }
    }
}

/// Text that is text in HTML, whatever is in it.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Whether a type is among those that are asked for by name.
fn names(headers: &HeaderMap, kind: &str) -> bool {
    let ranges = headers
        .get_all(ACCEPT)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    ranges.into_iter().any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_named = parts
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case(kind));
        is_named && !parts.any(is_zero_quality)
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

    fn page(maintenance: Option<&Path>) -> Page {
        Page {
            refresh: REFRESH,
            maintenance: maintenance.map(Path::to_owned),
        }
    }

    fn asking(accept: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(accept) = accept {
            headers.insert(ACCEPT, accept.parse().expect("a header"));
        }
        headers
    }

    fn kind(accept: Option<&str>) -> String {
        let response = page(None).answer(&asking(accept));
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[RETRY_AFTER], "5");
        let kind = response.headers()[CONTENT_TYPE].to_str().expect("text");
        kind.split(';').next().unwrap_or_default().to_owned()
    }

    #[test]
    fn in_development_only_a_page_without_our_script_tries_again_by_itself() {
        let page = |refresh: &str| Kind::Html.body(&UNAVAILABLE, refresh);
        let meta = "<meta http-equiv=\"refresh\" content=\"5\">";
        assert!(page(REFRESH).contains(&format!("\n{meta}\n")));
        assert!(!page(REFRESH).contains("script"));
        let developed = page(REFRESH_IN_DEVELOPMENT);
        assert!(developed.contains(&format!("<noscript>{meta}</noscript>")));
        assert_eq!(developed.matches(meta).count(), 1);
        assert!(developed.contains("window[\"portkeep-dev\"] ||"));
    }

    #[test]
    fn only_who_names_a_type_gets_it() {
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
            Some("text/html;q=0"),
            Some("text/html;q=0.000, */*"),
        ] {
            assert_eq!(kind(accept), "text/plain", "{accept:?}");
        }
        for accept in ["application/json", "application/json, */*;q=0.5"] {
            assert_eq!(kind(Some(accept)), "application/json", "{accept}");
        }
    }

    #[tokio::test]
    async fn in_maintenance_it_says_what_a_person_wants_and_no_more() {
        use http_body_util::BodyExt;

        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("maintenance.json");
        let page = page(Some(&file));
        let told = async |accept| {
            let response = page.answer(&asking(accept));
            assert_eq!(response.status(), 503);
            let retry = response.headers()[RETRY_AFTER].clone();
            let body = response.into_body().collect().await.expect("a body");
            let body = String::from_utf8(body.to_bytes().into()).expect("text");
            (retry.to_str().expect("a number").to_owned(), body)
        };
        let (retry, body) = told(None).await;
        assert_eq!(retry, "5", "{body}");
        let message = "<script>alert('{title}')</script> & \"soon\"";
        let maintenance =
            serde_json::json!({ "since": "2026-01-01T00:00:00Z", "message": message });
        std::fs::write(&file, maintenance.to_string()).expect("it can be written");
        let (retry, html) = told(Some("text/html")).await;
        assert_eq!(retry, "30");
        let escaped =
            "<p>&lt;script&gt;alert(&#39;{title}&#39;)&lt;/script&gt; &amp; &quot;soon&quot;</p>";
        assert!(html.contains(escaped), "{html}");
        assert!(!html.contains("<script"), "{html}");
        let (_, json) = told(Some("application/json")).await;
        let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        let expected = serde_json::json!({ "error": "maintenance", "message": message });
        assert_eq!(json, expected);
        assert!(told(None).await.1.contains(message));
        // What is no message is not told.
        let wrong = serde_json::json!({ "since": "2026-01-01T00:00:00Z", "message": "a\r\nb" });
        std::fs::write(&file, wrong.to_string()).expect("it can be written");
        assert_eq!(told(None).await.0, "5");
    }
}
