//! Access control for answers of `portkeep dev`: only pages of this app, in a browser on this machine.

use std::net::IpAddr;

use http::header::{HOST, ORIGIN, REFERER};
use http::{HeaderMap, Request};
use portkeep_contract::development::{AllowedHost, Refusal, host_name};

use crate::Peer;

/// The host of a request, if its pages may have our script.
///
/// The request has to come from this machine and mean this machine: a page from elsewhere can make
/// its own name resolve to this machine and read what it gets (DNS rebinding); the name gives it
/// away. A host that the developer allowed is allowed from everywhere.
///
/// # Errors
/// Why not, and the host where it is one.
pub(super) fn trusted_host<'a, B>(
    request: &'a Request<B>,
    allowed: &[AllowedHost],
) -> Result<&'a str, (Refusal, &'a str)> {
    let host = match request.headers().get(HOST) {
        Some(host) => host.to_str().unwrap_or_default(),
        // HTTP/2 has it in the URI.
        None => request.uri().authority().map_or("", |host| host.as_str()),
    };
    let shown = host_name(host).map_or("", |_| host);
    if allowed.iter().any(|one| one.is(host)) {
        Ok(host)
    } else if !names_this_machine(host) {
        Err((Refusal::Host, shown))
    } else if !is_local(request) {
        Err((Refusal::Peer, shown))
    } else {
        Ok(host)
    }
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
    // It covers scripts of other pages too, which have no `Origin`.
    let site_fits = match headers.get("sec-fetch-site") {
        None => true,
        Some(site) => site == "same-origin" || site == "none",
    };
    origin_fits && site_fits
}

/// The host of the page that asks; empty if the request does not say.
pub(super) fn page_host(headers: &HeaderMap) -> String {
    let referer = headers.get(REFERER).and_then(|value| value.to_str().ok());
    let host = referer
        .and_then(|referer| referer.split_once("://"))
        .and_then(|(_, rest)| rest.split(['/', '?', '#']).next())
        .filter(|host| host_name(host).is_some());
    host.unwrap_or_default().to_owned()
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

fn names_this_machine(host: &str) -> bool {
    let Some(name) = host_name(host) else {
        return false;
    };
    let name = name.to_ascii_lowercase();
    match name.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(ip) => is_loopback(ip),
        // Browsers resolve these to this machine without a query.
        Err(_) => name == "localhost" || name.ends_with(".localhost"),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::extract::ConnectInfo;
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
    fn a_page_is_trusted_by_its_name_and_by_where_it_is_asked_for_unless_the_developer_allows_it() {
        let allowed: Vec<AllowedHost> = vec!["myapp.test".parse().unwrap()];
        let why = |peer: [u8; 4], host: &'static str| {
            let mut request = Request::new(());
            let peer = SocketAddr::from((peer, 1000));
            request.extensions_mut().insert(ConnectInfo(peer));
            let value = HeaderValue::from_static(host);
            request.headers_mut().insert(HOST, value);
            let of = |allowed: &[AllowedHost]| match trusted_host(&request, allowed) {
                Ok(host) => Ok(host.to_owned()),
                Err((why, host)) => Err((why, host.to_owned())),
            };
            (of(&[]), of(&allowed))
        };
        let (own, docker) = ([127, 0, 0, 1], [172, 17, 0, 1]);
        let refused = |why, host: &str| Err((why, host.to_owned()));
        assert_eq!(
            why(own, "localhost:1"),
            (Ok("localhost:1".to_owned()), Ok("localhost:1".to_owned()))
        );
        let peer = refused(Refusal::Peer, "localhost:1");
        assert_eq!(why(docker, "localhost:1"), (peer.clone(), peer));
        for peer in [own, docker] {
            assert_eq!(
                why(peer, "myapp.test:1"),
                (
                    refused(Refusal::Host, "myapp.test:1"),
                    Ok("myapp.test:1".to_owned())
                )
            );
        }
        let other = refused(Refusal::Host, "");
        assert_eq!(why(own, "a b\""), (other.clone(), other));
    }

    #[test]
    fn a_page_of_another_host_says_so() {
        let of = |referer: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(REFERER, HeaderValue::from_static(referer));
            page_host(&headers)
        };
        assert_eq!(of("http://myapp.test:81/a?b"), "myapp.test:81");
        for text in ["about:blank", "http://a\"b/", "http:///x", ""] {
            assert_eq!(of(text), "", "{text}");
        }
        assert_eq!(page_host(&HeaderMap::new()), "");
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
