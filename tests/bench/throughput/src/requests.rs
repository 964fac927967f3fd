//! The requests whose cost is counted: as many as are asked for, and nothing else.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::server::Kind;

pub(crate) const CONNECTIONS: usize = 50;
/// Requests at a time on a connection, where there are several.
const STREAMS: usize = 10;

const HTTP1: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
/// The end of the answer.
const ANSWER: &[u8] = b"Hello";

/// What a browser sends for each picture of a page.
const BROWSER: [(&str, &str); 15] = [
    (
        "accept",
        "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",
    ),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("accept-language", "en-GB,en;q=0.9,de;q=0.8"),
    ("cache-control", "no-cache"),
    (
        "cookie",
        "session=3f1c9d0e5b7a4c2f8e6d1a0b9c8d7e6f; theme=dark; consent=2026-11-01",
    ),
    ("dnt", "1"),
    ("pragma", "no-cache"),
    ("priority", "u=2, i"),
    (
        "referer",
        "https://www.example.org/articles/2026/how-a-connection-moves",
    ),
    (
        "sec-ch-ua",
        "\"Chromium\";v=\"142\", \"Not_A Brand\";v=\"99\"",
    ),
    ("sec-ch-ua-mobile", "?0"),
    ("sec-ch-ua-platform", "\"Linux\""),
    ("sec-fetch-dest", "image"),
    ("sec-fetch-mode", "no-cors"),
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    ),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Requests {
    Http1,
    /// Nothing but what has to be in a head.
    Http2,
    /// Ten at a time on each connection.
    Streams,
    /// With the head of a browser.
    Browser,
}

impl Requests {
    pub(crate) const ALL: [Self; 4] = [Self::Http1, Self::Http2, Self::Streams, Self::Browser];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP/1",
            Self::Http2 => "HTTP/2",
            Self::Streams => "HTTP/2, ten at a time",
            Self::Browser => "HTTP/2, a browser's head",
        }
    }

    /// Those that are compared.
    pub(crate) fn servers(self) -> &'static [Kind] {
        match self {
            Self::Http1 => &[Kind::Axum, Kind::Unlimited, Kind::Portkeep],
            Self::Http2 | Self::Streams | Self::Browser => {
                &[Kind::Axum, Kind::Still, Kind::Portkeep]
            }
        }
    }

    /// On all connections in turn, so that the server always has some to answer: the tools that count make it slow.
    pub(crate) fn make(self, address: SocketAddr, rounds: usize) {
        match self {
            Self::Http1 => http1(address, rounds),
            Self::Http2 => http2(address, rounds, 1, &[]),
            Self::Streams => http2(address, rounds / STREAMS, STREAMS, &[]),
            Self::Browser => http2(address, rounds, 1, &BROWSER),
        }
    }
}

fn http1(address: SocketAddr, rounds: usize) {
    let connect = |_| {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    };
    let mut connections: Vec<_> = (0..CONNECTIONS).map(connect).collect();
    for round in 0..=rounds {
        for connection in &mut connections {
            if round > 0 {
                receive(connection);
            }
            if round < rounds {
                connection.write_all(HTTP1).unwrap();
            }
        }
    }
}

fn receive(connection: &mut TcpStream) {
    let mut answer = Vec::new();
    while !answer.ends_with(ANSWER) {
        let mut bytes = [0; 4096];
        let length = connection.read(&mut bytes).unwrap();
        assert!(length > 0, "a connection was closed");
        answer.extend_from_slice(&bytes[..length]);
    }
}

#[tokio::main(flavor = "current_thread")]
async fn http2(address: SocketAddr, rounds: usize, streams: usize, head: &[(&str, &str)]) {
    let mut request = Request::get("http://www.example.org/");
    for (name, value) in head {
        request = request.header(*name, *value);
    }
    let request = request.body(Empty::<Bytes>::new()).unwrap();
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(connect(address).await);
    }
    let mut answers = Vec::new();
    for _ in 0..rounds {
        for connection in &mut connections {
            for _ in 0..streams {
                answers.push(connection.send_request(request.clone()));
            }
            // It is written before the next one.
            tokio::task::yield_now().await;
        }
        for answer in answers.drain(..) {
            let body = answer.await.unwrap().into_body().collect().await.unwrap();
            assert_eq!(body.to_bytes(), ANSWER);
        }
    }
}

/// With all that is said before the first request.
async fn connect(address: SocketAddr) -> SendRequest<Empty<Bytes>> {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender.ready().await.unwrap();
    sender
}
