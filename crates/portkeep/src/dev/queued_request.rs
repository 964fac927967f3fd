//! Queued requests, which wait for the current build (`portkeep dev --while-building hold`).

use std::time::Duration;

use bytes::Bytes;
use http::header::UPGRADE;
use http::{HeaderMap, HeaderValue, Method, Request};

use super::channel::Channel;
use super::guard;

/// Header with the time that a request has waited before this generation got it, in milliseconds. An app never sees it.
const WAITED: &str = "portkeep-waited";

/// Decision about a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// This generation answers it.
    Serve,
    /// The generation that serves at this address now answers it.
    Forward(String),
    /// It has waited for the longest allowed time: a page says so.
    Page(Bytes),
}

/// Whether a request can wait. A protocol switch cannot be forwarded. A request of another machine must not be: it would
/// seem to come from this one.
pub(super) fn may_wait<B>(request: &Request<B>) -> bool {
    guard::is_local(request)
        && request.method() != Method::CONNECT
        && !request.headers().contains_key(UPGRADE)
}

/// Reads and removes the time that a request has waited. A client that forges it waits less.
pub(super) fn take_waited(headers: &mut HeaderMap) -> Duration {
    let waited = headers.remove(WAITED);
    let milliseconds = waited.and_then(|waited| waited.to_str().ok()?.parse().ok());
    Duration::from_millis(milliseconds.unwrap_or_default())
}

/// Adds the time that a request has waited, for the next generation that gets it.
pub(super) fn note_waited(headers: &mut HeaderMap, waited: Duration) {
    let milliseconds = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
    headers.insert(WAITED, HeaderValue::from(milliseconds));
}

/// Waits as long as `portkeep dev` lets a request wait that came through `listener` and has waited before. After any
/// failure, this generation answers it.
pub(super) async fn wait(channel: &Channel, listener: &str, waited: Duration) -> Verdict {
    let question = format!("hold {} {listener}", waited.as_millis());
    let Ok(answer) = channel.ask(&question).await else {
        return Verdict::Serve;
    };
    let is_page = answer.status.is_server_error();
    match answer.into_text().await {
        Ok(text) if is_page => Verdict::Page(text),
        Ok(text) => verdict(&text),
        Err(_) => Verdict::Serve,
    }
}

fn verdict(text: &[u8]) -> Verdict {
    let address = std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.trim().strip_prefix("forward "));
    match address {
        Some(address) => Verdict::Forward(address.to_owned()),
        None => Verdict::Serve,
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::extract::ConnectInfo;

    use super::*;

    #[test]
    fn what_is_not_understood_is_served() {
        assert_eq!(
            verdict(b"forward 127.0.0.1:80\n"),
            Verdict::Forward("127.0.0.1:80".into())
        );
        for text in [&b"serve"[..], b"", b"\xff"] {
            assert_eq!(verdict(text), Verdict::Serve);
        }
    }

    #[test]
    fn only_who_is_on_this_machine_waits() {
        let waits = |peer: [u8; 4], header: Option<&'static str>| {
            let mut request = Request::new(());
            let peer = SocketAddr::from((peer, 1000));
            request.extensions_mut().insert(ConnectInfo(peer));
            if let Some(name) = header {
                let value = HeaderValue::from_static("websocket");
                request.headers_mut().insert(name, value);
            }
            may_wait(&request)
        };
        assert!(waits([127, 0, 0, 1], None));
        assert!(!waits([192, 168, 1, 2], None));
        assert!(!waits([127, 0, 0, 1], Some("upgrade")));
        assert!(!may_wait(&Request::new(())), "nobody knows from where");
    }

    #[test]
    fn how_long_it_waited_is_told_to_the_next_and_not_to_the_app() {
        let mut headers = HeaderMap::new();
        assert_eq!(take_waited(&mut headers), Duration::ZERO);
        note_waited(&mut headers, Duration::from_millis(1500));
        note_waited(&mut headers, Duration::from_millis(2500));
        assert_eq!(take_waited(&mut headers), Duration::from_millis(2500));
        assert!(headers.is_empty());
        headers.insert(WAITED, HeaderValue::from_static("long"));
        assert_eq!(take_waited(&mut headers), Duration::ZERO);
        assert!(headers.is_empty());
    }
}
