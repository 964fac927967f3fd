//! Recognises requests for a page, and answers that are one.

use http::header::{
    ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LENGTH,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
    RANGE, TRANSFER_ENCODING,
};
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};

use super::script::Load;

/// How a browser loads a document into a tab; nothing if the request is for something else.
pub(super) fn load<B>(request: &Request<B>) -> Option<Load> {
    let headers = request.headers();
    let destination = headers.get("sec-fetch-dest");
    let mode = headers.get("sec-fetch-mode");
    // A service worker that forwards a tab's request keeps the mode, which no script can choose.
    let is_handed_on =
        destination.is_some_and(|to| to == "empty") && mode.is_some_and(|mode| mode == "navigate");
    let is_document = is_handed_on || destination.is_some_and(|to| to == "document");
    let load = match *request.method() {
        Method::GET if is_document || destination.is_none() => Load::Get,
        // A form that a tab sends says so; one that a script sends differs only in that.
        Method::POST if is_document => Load::Post,
        _ => return None,
    };
    (!headers.contains_key(RANGE) && contains(headers, ACCEPT, "text/html")).then_some(load)
}

/// Asks for an uncompressed page: it stays on this machine, and is changed. An app that compresses has to check the
/// client's wish anyhow. And asks for the whole page: a cached one may be from before it had a script.
pub(super) fn ask_whole_and_plain(headers: &mut HeaderMap) {
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.remove(IF_NONE_MATCH);
    headers.remove(IF_MODIFIED_SINCE);
}

/// Kind of an answer to a tab.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A page that can be changed.
    Page,
    /// A page that cannot, because the app compressed it although it was asked not to.
    Compressed,
    /// A page whose scripts may not run, or may not ask their origin.
    Sandboxed,
    /// Anything else.
    Other,
}

/// The kind of an answer.
pub(super) fn kind_of(parts: &Parts) -> Kind {
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
    let is_plain = headers
        .get(CONTENT_ENCODING)
        .is_none_or(|encoding| encoding == "identity");
    let has_body = !parts.status.is_informational()
        && ![
            StatusCode::NO_CONTENT,
            StatusCode::RESET_CONTENT,
            StatusCode::PARTIAL_CONTENT,
            StatusCode::NOT_MODIFIED,
        ]
        .contains(&parts.status);
    let is_page = is_html
        && has_body
        && !kind.contains("utf-16")
        && !contains(headers, CONTENT_DISPOSITION, "attachment");
    match (is_page, is_plain) {
        (true, true) if is_sandboxed(headers) => Kind::Sandboxed,
        (true, true) => Kind::Page,
        (true, false) => Kind::Compressed,
        (false, _) => Kind::Other,
    }
}

/// Whether the page's policy gives it an origin of its own, which may not ask, or forbids its scripts.
fn is_sandboxed(headers: &HeaderMap) -> bool {
    let policies = headers.get_all(CONTENT_SECURITY_POLICY).iter();
    policies
        .filter_map(|policies| policies.to_str().ok())
        .flat_map(|policies| policies.split([';', ',']))
        .filter_map(|directive| {
            let mut words = directive.split_ascii_whitespace();
            let is_sandbox = words.next()?.eq_ignore_ascii_case("sandbox");
            is_sandbox.then(|| words.map(str::to_ascii_lowercase).collect::<Vec<_>>())
        })
        .any(|allowed| {
            ["allow-scripts", "allow-same-origin"]
                .iter()
                .any(|needed| !allowed.iter().any(|one| one == needed))
        })
}

/// Removes headers that are wrong for a changed page, and forbids caching. With its validators, a browser would show the
/// page of an old generation, script and all, when the app answers "not modified"; and a script of the app that fetches the
/// page has to get it unchanged.
pub(super) fn adapt(headers: &mut HeaderMap) {
    for name in [CONTENT_LENGTH, TRANSFER_ENCODING, ETAG, LAST_MODIFIED] {
        headers.remove(name);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
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

    type Header = (&'static str, &'static str);

    fn asked(method: Method, headers: &[Header]) -> Option<Load> {
        let mut request = Request::new(());
        *request.method_mut() = method;
        for (name, value) in headers {
            request
                .headers_mut()
                .append(*name, HeaderValue::from_static(value));
        }
        load(&request)
    }

    fn kind(status: u16, headers: &[Header]) -> Kind {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        kind_of(&response.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn what_a_tab_shows_is_a_page_and_what_a_script_fetches_is_not() {
        let accept = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
        let document = ("sec-fetch-dest", "document");
        let script = ("sec-fetch-dest", "empty");
        let get = |headers: &[Header]| asked(Method::GET, headers);
        assert_eq!(get(&[accept]), Some(Load::Get));
        assert_eq!(get(&[accept, document]), Some(Load::Get));
        assert_eq!(get(&[accept, script]), None);
        let mode = |mode: &'static str| ("sec-fetch-mode", mode);
        assert_eq!(get(&[accept, script, mode("navigate")]), Some(Load::Get));
        assert_eq!(get(&[accept, script, mode("cors")]), None);
        assert_eq!(
            get(&[accept, ("sec-fetch-dest", "iframe"), mode("navigate")]),
            None
        );
        assert_eq!(get(&[accept, ("range", "bytes=0-1")]), None);
        assert_eq!(get(&[("accept", "*/*")]), None, "curl and fetch()");
        let post = |headers: &[Header]| asked(Method::POST, headers);
        assert_eq!(post(&[accept, document]), Some(Load::Post));
        assert_eq!(post(&[accept, script]), None);
        assert_eq!(post(&[accept]), None);
        assert_eq!(asked(Method::PUT, &[accept, document]), None);
    }

    #[test]
    fn only_html_that_is_there_as_it_is_can_be_written_into() {
        let html = ("content-type", "text/html; charset=utf-8");
        assert_eq!(kind(200, &[html]), Kind::Page);
        assert_eq!(kind(404, &[("content-type", "TEXT/HTML")]), Kind::Page);
        let gzip = ("content-encoding", "gzip");
        assert_eq!(kind(200, &[html, gzip]), Kind::Compressed);
        let policy = |policy| kind(200, &[html, ("content-security-policy", policy)]);
        for sandboxed in [
            "sandbox",
            "default-src 'self'; SANDBOX allow-scripts",
            "sandbox allow-same-origin",
            "sandbox allow-scripts allow-same-origin, sandbox",
        ] {
            assert_eq!(policy(sandboxed), Kind::Sandboxed, "{sandboxed}");
        }
        for open in [
            "sandbox allow-scripts allow-same-origin",
            "default-src sandbox",
        ] {
            assert_eq!(policy(open), Kind::Page, "{open}");
        }
        for (status, headers) in [
            (200, &[html, ("content-disposition", "attachment")][..]),
            (304, &[html]),
            (206, &[html]),
            (200, &[("content-type", "text/html; charset=utf-16")]),
            (200, &[("content-type", "application/json"), gzip]),
            (200, &[]),
        ] {
            assert_eq!(kind(status, headers), Kind::Other, "{status} {headers:?}");
        }
    }
}
