//! Plan of a run, from the command line.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use portkeep_engine::Store;

use crate::exit::usage;

/// How the server is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Mode {
    /// Many HTTP/1.1 requests on each connection.
    KeepAlive,
    /// A new connection for each request.
    Close,
    /// HTTP/2 by prior knowledge, ten requests at a time on each connection.
    Http2,
    /// Messages that a WebSocket sends back.
    Websocket,
    /// Events that a server sends (SSE).
    Sse,
}

/// Where an answer tells its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum VersionIn {
    /// Nobody looks.
    Nowhere,
    /// In this header.
    Header(String),
    /// The body is the version.
    Body,
}

/// Who is asked for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// As it was written.
    pub(crate) url: String,
    /// Where to connect to.
    pub(crate) address: SocketAddr,
    /// The header `Host`.
    pub(crate) authority: String,
    /// Path and query.
    pub(crate) path: String,
}

/// All that a run needs to know.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) target: Target,
    pub(crate) mode: Mode,
    /// A command for the shell.
    pub(crate) reload: String,
    pub(crate) times: u32,
    /// From the start of one reload to the next; at least until its command has ended.
    pub(crate) every: Duration,
    /// Requests a second, over all connections.
    pub(crate) rate: u32,
    pub(crate) connections: u32,
    /// After so long an answer counts as none.
    pub(crate) timeout: Duration,
    /// How long what is seen after the command has ended still counts as "during" the reload.
    pub(crate) settle: Duration,
    pub(crate) version: VersionIn,
    /// The app whose releases are told, where the server is one.
    pub(crate) app: Option<Store>,
}

impl Target {
    /// An HTTP/1.1 request for it.
    pub(crate) fn get(&self) -> http::request::Builder {
        http::Request::get(&self.path).header(http::header::HOST, &self.authority)
    }

    /// Reads a URL and looks its host up, once: the time for that is nobody's here.
    pub(crate) async fn resolve(url: &str) -> anyhow::Result<Self> {
        let uri: hyper::Uri = url.parse().map_err(|error| {
            usage(format!(
                "{url:?} is not a URL: {error}; write it like http://127.0.0.1:8080/"
            ))
        })?;
        match uri.scheme_str() {
            Some("http" | "ws") => {}
            Some("https" | "wss") => {
                return Err(usage(
                    "TLS is not spoken here: prove the port behind it, with http:// or ws://",
                ));
            }
            _ => {
                return Err(usage(format!(
                    "{url:?} needs a scheme: write it like http://127.0.0.1:8080/"
                )));
            }
        }
        let authority = uri
            .authority()
            .ok_or_else(|| usage(format!("{url:?} names no host")))?;
        let host = authority.host().trim_matches(['[', ']']);
        let port = authority.port_u16().unwrap_or(80);
        let address = tokio::net::lookup_host((host, port))
            .await
            .with_context(|| format!("cannot look up {host}"))?
            .next()
            .with_context(|| format!("{host} has no address"))?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            url: url.to_owned(),
            address,
            authority: authority.as_str().to_owned(),
            path: path.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn urls() {
        let target = Target::resolve("http://127.0.0.1:8080/a?b=c")
            .await
            .unwrap();
        assert_eq!(target.address.to_string(), "127.0.0.1:8080");
        assert_eq!(
            (target.path.as_str(), target.authority.as_str()),
            ("/a?b=c", "127.0.0.1:8080")
        );
        let target = Target::resolve("ws://[::1]").await.unwrap();
        assert_eq!(
            (target.address.to_string().as_str(), target.path.as_str()),
            ("[::1]:80", "/")
        );
        for bad in [
            "",
            "127.0.0.1:80",
            "https://localhost",
            "ftp://a",
            "http://",
        ] {
            assert!(Target::resolve(bad).await.is_err(), "{bad}");
        }
    }
}
