//! Which answers are pages, and the script that such a page gets.

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LENGTH,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, LAST_MODIFIED, RANGE, TRANSFER_ENCODING,
};
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};

use super::channel::PREFIX;

/// Whether a browser asks for something to show in a tab, and not a script for a part of a page.
pub(super) fn is_asked_for<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    let is_document = match headers.get("sec-fetch-dest") {
        Some(destination) => destination == "document",
        None => true,
    };
    request.method() == Method::GET
        && is_document
        && !headers.contains_key(RANGE)
        && contains(headers, ACCEPT, "text/html")
}

/// Asks for a page that is not compressed: it goes over the loopback, and is to be written into.
/// An app that compresses has to ask for the client's wish anyhow.
pub(super) fn ask_plain<B>(request: &mut Request<B>) {
    request
        .headers_mut()
        .insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
}

/// Whether an answer is a page that can be written into.
pub(super) fn is_page(parts: &Parts) -> bool {
    let headers = &parts.headers;
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_ascii_lowercase();
    let is_html = kind
        .split(';')
        .next()
        .is_some_and(|kind| kind.trim() == "text/html");
    let is_plain = match headers.get(CONTENT_ENCODING) {
        None => true,
        Some(encoding) if encoding == "identity" => true,
        Some(encoding) => {
            tracing::debug!(
                ?encoding,
                "a page came compressed though none was asked for: it will not reload"
            );
            false
        }
    };
    let has_body = !parts.status.is_informational()
        && ![
            StatusCode::NO_CONTENT,
            StatusCode::RESET_CONTENT,
            StatusCode::PARTIAL_CONTENT,
            StatusCode::NOT_MODIFIED,
        ]
        .contains(&parts.status);
    is_html
        && is_plain
        && has_body
        && !kind.contains("utf-16")
        && !contains(headers, CONTENT_DISPOSITION, "attachment")
}

/// What no longer holds for a page that is written into. With its validators, a browser would
/// keep the page of an old generation, script and all, when the app says "not modified".
pub(super) fn adapt(headers: &mut HeaderMap) {
    for name in [CONTENT_LENGTH, TRANSFER_ENCODING, ETAG, LAST_MODIFIED] {
        headers.remove(name);
    }
}

/// The text that goes into a page.
pub(super) fn tag(headers: &HeaderMap, host: &str, generation: &str) -> Bytes {
    let nonce = nonce(headers).map_or_else(String::new, |nonce| format!(" nonce=\"{nonce}\""));
    // With the host, because a page may have a `<base>` of another.
    format!(
        "<script src=\"//{host}{PREFIX}dev.js\" data-generation=\"{generation}\" defer{nonce}></script>"
    )
    .into()
}

/// The nonce that the page's policy wants of scripts.
fn nonce(headers: &HeaderMap) -> Option<&str> {
    let policies = headers
        .get_all(CONTENT_SECURITY_POLICY)
        .iter()
        .filter_map(|policy| policy.to_str().ok());
    let directives: Vec<_> = policies
        .flat_map(|policy| policy.split([';', ',']))
        .collect();
    // The first of these that a policy has is the one that counts.
    ["script-src-elem", "script-src", "default-src"]
        .iter()
        .find_map(|wanted| {
            directives.iter().find_map(|directive| {
                let mut words = directive.split_ascii_whitespace();
                words
                    .next()
                    .filter(|name| name.eq_ignore_ascii_case(wanted))?;
                words.find_map(|word| {
                    let nonce = word.strip_prefix("'nonce-")?.strip_suffix('\'')?;
                    let is_nonce =
                        |byte: u8| byte.is_ascii_alphanumeric() || b"+/-_=".contains(&byte);
                    nonce.bytes().all(is_nonce).then_some(nonce)
                })
            })
        })
}

fn contains(headers: &HeaderMap, name: http::HeaderName, word: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.to_ascii_lowercase().contains(word))
}

#[cfg(test)]
mod tests {
    use http::Response;

    use super::*;

    fn asked(headers: &[(&'static str, &'static str)]) -> bool {
        let mut request = Request::new(());
        for (name, value) in headers {
            request
                .headers_mut()
                .append(*name, HeaderValue::from_static(value));
        }
        is_asked_for(&request)
    }

    fn page(status: u16, headers: &[(&'static str, &'static str)]) -> bool {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        is_page(&response.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn what_a_tab_shows_is_a_page_and_what_a_script_fetches_is_not() {
        let accept = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
        assert!(asked(&[accept]));
        assert!(asked(&[accept, ("sec-fetch-dest", "document")]));
        assert!(!asked(&[accept, ("sec-fetch-dest", "empty")]));
        assert!(!asked(&[accept, ("range", "bytes=0-1")]));
        assert!(!asked(&[("accept", "*/*")]), "curl and fetch()");
    }

    #[test]
    fn only_html_that_is_there_as_it_is_can_be_written_into() {
        let html = ("content-type", "text/html; charset=utf-8");
        assert!(page(200, &[html]));
        assert!(page(404, &[("content-type", "TEXT/HTML")]));
        assert!(!page(200, &[html, ("content-encoding", "gzip")]));
        assert!(!page(200, &[html, ("content-disposition", "attachment")]));
        assert!(!page(304, &[html]));
        assert!(!page(206, &[html]));
        assert!(!page(200, &[("content-type", "text/html; charset=utf-16")]));
        assert!(!page(200, &[("content-type", "application/json")]));
        assert!(!page(200, &[]));
    }

    #[test]
    fn the_nonce_is_that_of_the_directive_that_counts() {
        let of = |policy: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
            nonce(&headers).map(str::to_owned)
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            of("default-src 'self'; script-src 'nonce-aB+/3='"),
            some("aB+/3=")
        );
        assert_eq!(of("style-src 'nonce-x'; default-src 'nonce-y'"), some("y"));
        assert_eq!(
            of("script-src 'nonce-a' 'self'; script-src-elem 'nonce-b'"),
            some("b")
        );
        assert_eq!(of("script-src 'self'"), None);
        assert_eq!(of("script-src 'nonce-\"><b>'"), None);
    }
}
