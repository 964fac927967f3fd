//! HTTP/2: every limit ends a connection with GOAWAY.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;

use http_body_util::BodyExt;

use super::{SHORT, SHORT_TIME, report, server, short};
use crate::http2::{GOAWAY, PING, connect, raw, read_until, request};
use crate::manager::{PATIENCE, Setup, listener};
use crate::probe;

/// Reads the rest.
fn ended(mut socket: TcpStream) {
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).unwrap();
}

fn pong(ping: &[u8]) -> Vec<u8> {
    [&[0, 0, 8, PING, 1, 0, 0, 0, 0], ping].concat()
}

/// The client gets time to read the GOAWAY, and no more if it does not.
#[test]
fn one_without_a_stream_is_idle() {
    let (_listener, address, mut process) = server(&["IDLE"]);
    for answers in [true, false] {
        let mut socket = raw(address);
        read_until(&mut socket, GOAWAY);
        let (_, _, _, ping) = read_until(&mut socket, PING);
        if answers {
            socket.write_all(&pong(&ping)).unwrap();
        }
        ended(socket);
    }
    report(&mut process, "2: 2 idle");
}

#[test]
fn a_preface_alone_is_idle_and_a_part_of_it_is_no_head() {
    let (_listener, address, mut process) = server(&["IDLE", "HEAD"]);
    for sent in ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "PRI * HT"] {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.write_all(sent.as_bytes()).unwrap();
        ended(socket);
    }
    report(&mut process, "2: 1 idle 1 head");
}

#[test]
fn one_that_does_not_answer_a_ping_is_gone() {
    let (listener, address) = listener();
    let setup = short(Setup::http(&listener), &[]);
    let setup = setup.set("PORTKEEP_LIMIT_PING_USEC", 200_000);
    let mut process = setup.set("PORTKEEP_LIMIT_PONG_USEC", SHORT).start_ready();
    let mut socket = raw(address);
    for _ in 0..5 {
        let (_, _, _, ping) = read_until(&mut socket, PING);
        socket.write_all(&pong(&ping)).unwrap();
    }
    read_until(&mut socket, PING);
    read_until(&mut socket, GOAWAY);
    ended(socket);
    report(&mut process, "1: 1 ping");
}

/// A stream that waits for the app is not idle, nor is a quiet one. A stream that its client does not read is stuck.
#[tokio::test]
async fn streams_of_the_app_stay() {
    let (_listener, address, process) = server(&super::ALL);
    let (mut send, connection) = connect(address).await;
    let quiet = send.send_request(request("/quiet")).await.unwrap();
    let slow = send.send_request(request("/slow/3000")).await.unwrap();
    assert_eq!(slow.into_body().collect().await.unwrap().to_bytes(), "slow");
    tokio::time::sleep(2 * SHORT_TIME).await;
    send.send_request(request("/")).await.unwrap();
    drop(quiet);
    // Only now no stream is open.
    connection.await.unwrap().unwrap();
    process.notified("; limits ended 1: 1 idle");
}

#[test]
fn one_whose_streams_all_wait_for_it_ends() {
    let (_listener, address, mut process) = server(&["ANSWER"]);
    let mut socket = raw(address);
    // GET http://test/download on stream 1: more than the window has room for.
    let path = b"/download";
    let mut block = vec![0x82, 0x86, 0x41, 4, b't', b'e', b's', b't', 0x44, 9];
    block.extend(path);
    let head = [0, 0, u8::try_from(block.len()).unwrap(), 1, 5, 0, 0, 0, 1];
    socket.write_all(&[&head[..], &block].concat()).unwrap();
    read_until(&mut socket, GOAWAY);
    ended(socket);
    report(&mut process, "1: 1 answer");
}

#[tokio::test]
async fn one_that_is_too_old_finishes_its_streams() {
    let (listener, address) = listener();
    let setup = short(Setup::http(&listener), &[]).set("PORTKEEP_LIMIT_AGE_USEC", SHORT);
    let process = setup.set(probe::LINGER, 500).start_ready();
    let (mut send, connection) = connect(address).await;
    let slow = send.send_request(request("/slow/4000")).await.unwrap();
    assert_eq!(slow.into_body().collect().await.unwrap().to_bytes(), "slow");
    connection.await.unwrap().unwrap();
    process.notified("; limits ended 1: 1 age");
    thread::yield_now();
}
