//! A client as apps have it: hyper's.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderMap, HeaderValue, Request};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpSocket;
use tokio::time::{sleep, timeout};

use super::super::app::letters;
use super::app::{SAME, sum_of};
use super::{Sent, Totals};
use crate::seeded_random::SeededRandom;

/// Longer than any request takes.
const PATIENCE: Duration = Duration::from_secs(60);

type Body = http_body_util::combinators::BoxBody<Bytes, Infallible>;

async fn connect(address: SocketAddr, random: &mut SeededRandom) -> SendRequest<Body> {
    let socket = TcpSocket::new_v4().unwrap();
    if random.once_in(3) {
        socket.set_recv_buffer_size(4096).unwrap();
        socket.set_send_buffer_size(4096).unwrap();
    }
    let stream = socket.connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut builder = Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new());
    let windows = [1, 20_000, 65_535, 65_536, 200_000, 1 << 20, (1 << 31) - 1];
    let mut window = || windows[random.below(windows.len() as u64) as usize];
    builder.initial_stream_window_size(window().max(3000));
    builder.initial_connection_window_size(window().max(65_535));
    let tables = [0, 100, 1000, 4096, 65_536];
    builder.header_table_size(tables[random.below(tables.len() as u64) as usize]);
    if random.once_in(3) {
        builder.max_frame_size(16_384 + random.below(100_000) as u32);
    }
    if random.once_in(4) {
        builder.adaptive_window(true);
    }
    if random.once_in(4) {
        builder.keep_alive_interval(Duration::from_millis(1 + random.below(20)));
    }
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(async move {
        let _ = connection.await;
    });
    sender
}

/// One connection with some rounds of requests.
pub(super) async fn case(
    address: SocketAddr,
    number: u64,
    mut random: SeededRandom,
    totals: Arc<Totals>,
) -> Result<(), String> {
    let mut sender = connect(address, &mut random).await;
    let mut age = 0;
    for round in 0..2 + random.below(10) {
        let streams = if round < 2 { 1 } else { 1 + random.below(6) };
        let requests = (0..streams).map(|index| {
            let id = format!("l{number}.{round}.{index}");
            let random = SeededRandom::new(random.below(u64::MAX), index);
            ask(sender.clone(), id, random)
        });
        let requests: Vec<_> = requests.collect();
        totals
            .requests
            .fetch_add(streams, std::sync::atomic::Ordering::Relaxed);
        let answers = join_all(requests).await;
        let mut refused = false;
        for answer in answers {
            match answer {
                Ok(()) => {}
                Err(Failed::Refused) => refused = true,
                Err(Failed::Wrong(why)) => return Err(format!("{why} age {age}")),
            }
        }
        age += 1;
        if refused || sender.is_closed() {
            age = 0;
            // What was refused was not executed.
            totals.ended();
            sender = connect(address, &mut random).await;
        }
        if random.once_in(2) {
            sleep(Duration::from_micros(random.below(6000))).await;
        }
    }
    Ok(())
}

enum Failed {
    /// The connection has ended before it was asked.
    Refused,
    Wrong(String),
}

async fn ask(
    mut sender: SendRequest<Body>,
    id: String,
    mut random: SeededRandom,
) -> Result<(), Failed> {
    let wrong = |what: String| Failed::Wrong(format!("{id}: {what}"));
    let (method, path, body, expected) = request(&mut random);
    let request = Request::builder()
        .method(method)
        .uri(format!("http://test{path}"))
        .header("x-id", &id)
        .header("x-client", "the same in every request of this client")
        .body(body)
        .unwrap();
    if sender.ready().await.is_err() {
        return Err(Failed::Refused);
    }
    let asked = timeout(PATIENCE, sender.send_request(request)).await;
    let asked = asked.map_err(|_| wrong(format!("no answer to {path}")))?;
    let response = match asked {
        Ok(response) => response,
        // It says so of what it has not sent, and of what the server has not begun.
        Err(error) if error.is_canceled() || error.is_closed() || is_refused(&error) => {
            return Err(Failed::Refused);
        }
        Err(error) => return Err(wrong(format!("{path}: {error:?}"))),
    };
    let status = response.status();
    let header = |name| response.headers().get(name).map(HeaderValue::as_bytes);
    if (status, header("x-id")) != (http::StatusCode::OK, Some(id.as_bytes()))
        || header(SAME.0) != Some(SAME.1.as_bytes())
    {
        return Err(wrong(format!("{path}: {response:?}")));
    }
    let mut body = response.into_body();
    if random.once_in(10) {
        // Not to the end.
        let _ = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
        return Ok(());
    }
    let collected = timeout(PATIENCE, body.collect()).await;
    match collected.map_err(|_| wrong(format!("the answer to {path} has no end")))? {
        Ok(collected) => {
            let trailers = collected.trailers().cloned();
            let body = collected.to_bytes();
            if let Some(chunks) = path.strip_prefix("/stream/") {
                let trailer = trailers.and_then(|all| all.get("x-trailer").cloned());
                if trailer.as_ref().map(HeaderValue::as_bytes) != Some(chunks.as_bytes()) {
                    return Err(wrong(format!("{path}: trailer {trailer:?}")));
                }
            }
            match body == expected {
                true => Ok(()),
                false => Err(wrong(format!(
                    "{path}: {} bytes, not {}",
                    body.len(),
                    expected.len()
                ))),
            }
        }
        Err(error) => Err(wrong(format!("{path}: the answer breaks off: {error:?}"))),
    }
}

fn is_refused(error: &hyper::Error) -> bool {
    let text = format!("{error:?}");
    text.contains("REFUSED_STREAM") || text.contains("GoAway") && text.contains("NO_ERROR")
}

fn request(random: &mut SeededRandom) -> (&'static str, String, Body, Vec<u8>) {
    let size = random.size(200_000);
    match random.below(6) {
        0 => (
            "GET",
            format!("/fixed/{size}"),
            empty(),
            letters(size as usize),
        ),
        1 => (
            "GET",
            format!("/late/{}", random.below(4)),
            empty(),
            b"late".to_vec(),
        ),
        2 => {
            let chunks = random.below(6) as usize;
            (
                "GET",
                format!("/stream/{chunks}"),
                empty(),
                b"chunk".repeat(chunks),
            )
        }
        3 if random.once_in(4) => {
            // The server resets what nobody reads.
            let body = upload(letters(size as usize), None, random);
            ("POST", "/late/0".to_owned(), body, b"late".to_vec())
        }
        _ => {
            let trailer = random.once_in(3).then_some("of the request");
            let content = letters(size as usize);
            let expected = sum_of(&content, trailer).into_bytes();
            let body = upload(content, trailer, random);
            ("POST", "/sum".to_owned(), body, expected)
        }
    }
}

fn empty() -> Body {
    Empty::new().boxed()
}

fn upload(content: Vec<u8>, trailer: Option<&'static str>, random: &mut SeededRandom) -> Body {
    let (sender, body) = Sent::channel();
    let piece = 1 + random.below(30_000) as usize;
    let pause = random.once_in(3);
    tokio::spawn(async move {
        for piece in content.chunks(piece.max(content.len() / 50)) {
            if sender
                .send(Frame::data(Bytes::copy_from_slice(piece)))
                .await
                .is_err()
            {
                return;
            }
            if pause {
                sleep(Duration::from_micros(500)).await;
            }
        }
        if let Some(trailer) = trailer {
            let name = http::HeaderName::from_static("x-trailer");
            let trailers = HeaderMap::from_iter([(name, HeaderValue::from_static(trailer))]);
            let _ = sender.send(Frame::trailers(trailers)).await;
        }
    });
    body.boxed()
}
