//! Who may see what `portkeep dev` tells: pages of this app, in a browser on this machine.

use std::net::IpAddr;

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, Request};

use crate::Peer;

/// The host that a request names, if the request comes from this machine and means this machine.
///
/// A page from elsewhere can make its own name resolve to this machine and read what it gets (DNS
/// rebinding); the name gives it away.
pub(super) fn local_host<B>(request: &Request<B>) -> Option<&str> {
    if !is_local(request) {
        return None;
    }
    let host = match request.headers().get(HOST) {
        Some(host) => host.to_str().ok()?,
        // HTTP/2 has it in the address.
        None => request.uri().authority()?.as_str(),
    };
    names_this_machine(host).then_some(host)
}

/// Whether a request comes from this machine.
pub(super) fn is_local<B>(request: &Request<B>) -> bool {
    Peer::of(request.extensions()).is_some_and(|peer| {
        peer.address()
            .is_none_or(|address| is_loopback(address.ip()))
    })
}

/// Whether a request for `portkeep dev` comes from a page of this very host.
pub(super) fn is_own_page(headers: &HeaderMap, host: &str) -> bool {
    let origin_fits = match headers.get(ORIGIN) {
        None => true,
        Some(origin) => origin
            .to_str()
            .ok()
            .and_then(|origin| origin.split_once("://"))
            .is_some_and(|(_, of)| of.eq_ignore_ascii_case(host)),
    };
    // Says it for scripts of other pages too, which have no `Origin`.
    let site_fits = match headers.get("sec-fetch-site") {
        None => true,
        Some(site) => site == "same-origin" || site == "none",
    };
    origin_fits && site_fits
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

fn names_this_machine(host: &str) -> bool {
    let (name, port) = match host.rfind(':') {
        Some(colon) if !host[colon..].contains(']') => (&host[..colon], &host[colon + 1..]),
        _ => (host, ""),
    };
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    let name = name.to_ascii_lowercase();
    let bare = name
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(&name);
    match bare.parse::<IpAddr>() {
        Ok(ip) => is_loopback(ip),
        // Browsers resolve these to this machine without asking anybody.
        Err(_) => {
            (name == "localhost" || name.ends_with(".localhost"))
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.')
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_names_of_this_machine_pass() {
        for good in [
            "localhost",
            "LOCALHOST:8080",
            "app.localhost:80",
            "127.0.0.1:8080",
            "127.1.2.3",
            "[::1]:8080",
            "[::1]",
        ] {
            assert!(names_this_machine(good), "{good}");
        }
        for bad in [
            "example.com",
            "localhost.example.com",
            "127.0.0.1.example.com:8080",
            "0.0.0.0:8080",
            "192.168.1.2:8080",
            "evil\"><.localhost",
            "localhost:80\"",
            "",
        ] {
            assert!(!names_this_machine(bad), "{bad}");
        }
    }

    #[test]
    fn other_pages_may_not_ask() {
        let asks = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            is_own_page(&headers, "localhost:8080")
        };
        assert!(is_own_page(&HeaderMap::new(), "localhost:8080"));
        assert!(asks("origin", "http://localhost:8080"));
        assert!(asks("sec-fetch-site", "same-origin"));
        assert!(!asks("origin", "http://localhost:3000"));
        assert!(!asks("origin", "http://evil.example"));
        assert!(!asks("origin", "null"));
        assert!(!asks("sec-fetch-site", "cross-site"));
        assert!(!asks("sec-fetch-site", "same-site"));
    }
}
