//! HTTP/2 by prior knowledge: two-step GOAWAY, open streams are served.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::manager::{Setup, listener};
use crate::probe;

pub(crate) async fn connect(
    address: SocketAddr,
) -> (
    SendRequest<Empty<Bytes>>,
    tokio::task::JoinHandle<hyper::Result<()>>,
) {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (send, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    (send, tokio::spawn(connection))
}

pub(crate) fn request(path: &str) -> http::Request<Empty<Bytes>> {
    let uri = format!("http://test{path}");
    http::Request::builder()
        .uri(uri)
        .body(Empty::new())
        .unwrap()
}

#[tokio::test]
async fn open_streams_are_served_then_the_connection_ends() {
    let (listener, address) = listener();
    let mut process = Setup::http(&listener).start_ready();
    let (mut send, connection) = connect(address).await;
    let slow: Vec<_> = (0..5)
        .map(|_| send.send_request(request("/slow/800")))
        .collect();
    // The streams are open when this one, which came later, is answered.
    send.send_request(request("/")).await.unwrap();
    process.drain();
    for answer in slow {
        let answer = answer.await.unwrap();
        // Has no meaning in HTTP/2.
        assert!(!answer.headers().contains_key("connection"));
        assert_eq!(
            answer.into_body().collect().await.unwrap().to_bytes(),
            "slow"
        );
    }
    connection.await.unwrap().unwrap();
    assert!(
        process
            .report()
            .contains("5 answered, 0 moved, 0 idle closed, nothing cut")
    );
}

#[tokio::test]
async fn the_deadline_cuts_streams() {
    let (listener, address) = listener();
    let mut process = Setup::http(&listener).set(probe::DRAIN, 300).start_ready();
    let (mut send, _connection) = connect(address).await;
    let slow = send.send_request(request("/slow/60000"));
    send.send_request(request("/")).await.unwrap();
    process.drain();
    assert!(slow.await.is_err());
    assert!(process.report().contains("cut 1: 1 HTTP/2"));
}

/// Type, flags, stream, payload.
pub(crate) type Frame = (u8, u8, u32, Vec<u8>);

fn read_frame(socket: &mut TcpStream) -> io::Result<Frame> {
    let mut head = [0; 9];
    socket.read_exact(&mut head)?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; length as usize];
    socket.read_exact(&mut payload)?;
    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
    Ok((head[3], head[4], stream, payload))
}

pub(crate) fn read_until(socket: &mut TcpStream, kind: u8) -> Frame {
    try_read_until(socket, kind).unwrap()
}

/// An error if the connection ends before.
pub(crate) fn try_read_until(socket: &mut TcpStream, kind: u8) -> io::Result<Frame> {
    loop {
        let frame = read_frame(socket)?;
        if frame.0 == kind {
            return Ok(frame);
        }
    }
}

const HEADERS: u8 = 1;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;

/// A connection whose handshake is over.
pub(crate) fn raw(address: SocketAddr) -> TcpStream {
    let mut socket = TcpStream::connect(address).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    // The preface in two parts: neither says HTTP/2 alone.
    socket.write_all(b"PRI * HTT").unwrap();
    socket.write_all(b"P/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    socket
        .write_all(&[0, 0, 0, SETTINGS, 0, 0, 0, 0, 0])
        .unwrap();
    read_until(&mut socket, SETTINGS);
    socket
        .write_all(&[0, 0, 0, SETTINGS, 1, 0, 0, 0, 0])
        .unwrap();
    // A ping of our own: when it is answered, the handshake is over.
    socket
        .write_all(&[0, 0, 8, PING, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8])
        .unwrap();
    read_until(&mut socket, PING);
    socket
}

#[test]
fn goaway_comes_in_two_steps() {
    let (listener, address) = listener();
    let mut process = Setup::http(&listener).start_ready();
    let mut socket = raw(address);
    process.drain();
    let first = read_until(&mut socket, GOAWAY).3;
    assert_eq!(first[..8], [0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    let (_, _, _, ping) = read_until(&mut socket, PING);
    let mut pong = vec![0, 0, 8, PING, 1, 0, 0, 0, 0];
    pong.extend(ping);
    socket.write_all(&pong).unwrap();
    let second = read_until(&mut socket, GOAWAY).3;
    assert_eq!(second[..8], [0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(socket.read(&mut [0; 1]).unwrap(), 0);
    assert!(process.report().contains("nothing cut"));
}

/// Clients answer a ping before they send what is queued. What they began before they heard of the
/// end comes right behind the answer, and is served.
#[test]
fn a_request_right_behind_the_pong_is_answered() {
    let (listener, address) = listener();
    let mut process = Setup::http(&listener).start_ready();
    let mut socket = raw(address);
    process.drain();
    read_until(&mut socket, GOAWAY);
    let (_, _, _, ping) = read_until(&mut socket, PING);
    let pong = [vec![0, 0, 8, PING, 1, 0, 0, 0, 0], ping].concat();
    // GET http://test/ on stream 1.
    let block = [0x82, 0x86, 0x84, 0x41, 4, b't', b'e', b's', b't'];
    let request = [&[0, 0, 9, HEADERS, 5, 0, 0, 0, 1], &block[..]].concat();
    socket.write_all(&[pong, request].concat()).unwrap();
    let (_, _, stream, block) = read_until(&mut socket, HEADERS);
    assert_eq!((stream, block[0]), (1, 0x88), "status 200");
    let last = read_until(&mut socket, GOAWAY).3;
    assert_eq!(last[..8], [0, 0, 0, 1, 0, 0, 0, 0]);
    drop(socket);
    assert!(
        process
            .report()
            .contains("1 answered, 0 moved, 0 idle closed, nothing cut")
    );
}

/// A pooled client as users of hyper and reqwest have it. At a GOAWAY it opens a new connection for
/// requests that it has not begun to send; it never sends one twice.
///
/// It has one thread. With more, hyper's client can learn of a GOAWAY on one thread while it begins a
/// request on another, and reports that as failed, whatever the server does (hyper 1.12,
/// `proto/h2/client.rs`: the request is lost with the error).
#[tokio::test]
async fn a_pooled_client_loses_nothing() {
    let (listener, address) = listener();
    let mut current = Setup::http(&listener).start_ready();
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http();
    let end = Instant::now() + Duration::from_secs(6);
    let tasks: Vec<_> = (0..50)
        .map(|number| {
            let client = client.clone();
            let path = if number % 5 == 0 { "slow/20" } else { "" };
            let uri: http::Uri = format!("http://{address}/{path}").parse().unwrap();
            tokio::spawn(async move {
                let (mut answers, mut failures) = (0, Vec::new());
                while Instant::now() < end {
                    match ask(&client, uri.clone()).await {
                        Ok(()) => answers += 1,
                        Err(error) => failures.push(format!("{error:?}")),
                    }
                }
                (answers, failures)
            })
        })
        .collect();
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(450)).await;
        let next = Setup::http(&listener).start_ready();
        let mut old = std::mem::replace(&mut current, next);
        let report = tokio::task::spawn_blocking(move || {
            old.drain();
            old.report()
        });
        let report = report.await.unwrap();
        assert!(report.contains("nothing cut"), "{report}");
    }
    let (mut answers, mut failures) = (0, Vec::new());
    for task in tasks {
        let (more, failed) = task.await.unwrap();
        answers += more;
        failures.extend(failed);
    }
    println!(
        "measured: HTTP/2, pooled client, 10 handovers: {answers} answers, {} failed",
        failures.len()
    );
    assert_eq!(failures, Vec::<String>::new());
    // Load at all: a busy machine answers fewer.
    assert!(answers > 200, "{answers}");
}

async fn ask<C>(
    client: &Client<C, Empty<Bytes>>,
    uri: http::Uri,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
where
    C: hyper_util::client::legacy::connect::Connect + Clone + Send + Sync + 'static,
{
    let answer = client.get(uri).await?;
    if answer.status() != 200 || answer.version() != http::Version::HTTP_2 {
        return Err(format!("{answer:?}").into());
    }
    answer.into_body().collect().await?;
    Ok(())
}
