//! What each kind of HTTP/1 connection gets from a drain.

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use socket2::SockRef;

use crate::client::{Client, get};
use crate::manager::{Process, Setup, listener};
use crate::probe::{self, EARLY};

const LINGER: Duration = Duration::from_millis(300);

fn start() -> (Process, Client) {
    let (listener, address) = listener();
    let process = Setup::http(&listener)
        .set(probe::LINGER, LINGER.as_millis())
        .start_ready();
    let client = Client::connect(address).unwrap();
    (process, client)
}

/// Makes sure that the server has accepted the connection.
fn used(client: &mut Client) {
    assert!(!client.get("/").unwrap().close);
}

/// A second connection that was accepted: those before it in the queue were, too.
fn accepted(client: &Client) -> Client {
    let address = client.socket.get_ref().peer_addr().unwrap();
    let mut second = Client::connect(address).unwrap();
    used(&mut second);
    second
}

#[test]
fn an_accepted_connection_gets_its_first_answer() {
    let (mut process, mut client) = start();
    accepted(&client);
    process.drain();
    // Longer than idle connections are kept.
    thread::sleep(LINGER * 3);
    let answer = client.get("/").unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.close);
    client.ended().unwrap();
    drop(client);
    assert!(process.report().contains("1 answered"));
}

#[test]
fn a_first_request_in_two_halves_is_answered() {
    let (mut process, mut client) = start();
    client.send("GET / HTT").unwrap();
    accepted(&client);
    process.drain();
    thread::sleep(LINGER * 3);
    client.send("P/1.1\r\nHost: test\r\n\r\n").unwrap();
    assert!(client.answer().unwrap().close);
    client.ended().unwrap();
    drop(client);
    assert!(process.report().contains("nothing cut"));
}

#[test]
fn a_later_request_in_two_halves_is_answered() {
    let (mut process, mut client) = start();
    used(&mut client);
    process.drain();
    client.send("GET / HTT").unwrap();
    thread::sleep(LINGER * 3);
    client.send("P/1.1\r\nHost: test\r\n\r\n").unwrap();
    assert!(client.answer().unwrap().close);
    client.ended().unwrap();
    drop(client);
    assert!(process.report().contains("nothing cut"));
}

#[test]
fn a_running_request_is_answered() {
    let (mut process, mut client) = start();
    client.send(get("/slow/1000")).unwrap();
    accepted(&client);
    process.drain();
    let answer = client.answer().unwrap();
    assert_eq!(answer.body, "slow");
    assert!(answer.close);
    client.ended().unwrap();
    drop(client);
    assert!(process.report().contains("nothing cut"));
}

/// The running answer has promised keep-alive, so one more request has to be answered, even if
/// idle connections were closed long before the answer ended.
#[test]
fn an_answer_that_promised_keep_alive_keeps_the_promise() {
    let (mut process, mut client) = start();
    client.send(get("/stream/1000")).unwrap();
    let (_, close, _) = client.head().unwrap();
    assert!(!close);
    process.drain();
    while !client.chunk().unwrap().is_empty() {}
    // As a client does that goes on at once.
    let answer = client.get("/").unwrap();
    assert!(answer.close);
    client.ended().unwrap();
    drop(client);
    assert!(process.report().contains("nothing cut"));
}

#[test]
fn an_idle_connection_lingers_and_is_closed() {
    let (mut process, mut client) = start();
    used(&mut client);
    let began = process.drain();
    client.ended().unwrap();
    let took = began.elapsed();
    assert!(took >= LINGER - Duration::from_millis(50), "{took:?}");
    assert!(took < LINGER + Duration::from_secs(2), "{took:?}");
    assert!(process.report().contains("1 idle closed, nothing cut"));
}

#[test]
fn an_idle_connection_may_send_one_more_request() {
    let (mut process, mut client) = start();
    used(&mut client);
    process.drain();
    assert!(client.get("/").unwrap().close);
    client.ended().unwrap();
    drop(client);
    assert!(process.report().contains("0 idle closed, nothing cut"));
}

#[test]
fn pipelined_requests_do_not_destroy_the_last_answer() {
    let (mut process, mut client) = start();
    client.send(get("/slow/500")).unwrap();
    accepted(&client);
    process.drain();
    // More than hyper takes in while it is busy: the rest stays in the socket, unread.
    client.send(get("/").repeat(30_000)).unwrap();
    assert!(client.answer().unwrap().close);
    // End of file, not a reset.
    client.ended().unwrap();
    drop(client);
    process.report();
}

#[test]
fn a_big_answer_is_complete() {
    let (mut process, mut client) = start();
    client.send(get("/big")).unwrap();
    accepted(&client);
    process.drain();
    // The buffers of the socket are full long before.
    thread::sleep(LINGER * 2);
    assert_eq!(client.answer().unwrap().body.len(), 4 << 20);
    drop(client);
    process.report();
}

/// No drain here: closing after an answer to a request whose body nobody reads.
#[test]
fn an_unread_body_does_not_destroy_the_answer() {
    let (_process, mut client) = start();
    let size = 8 << 20;
    client
        .send(format!(
            "POST /ignore HTTP/1.1\r\nHost: test\r\nContent-Length: {size}\r\n\r\n"
        ))
        .unwrap();
    thread::sleep(Duration::from_millis(100));
    client.send(vec![b'x'; size]).unwrap();
    assert_eq!(client.answer().unwrap().body, "ignored");
}

#[test]
fn a_request_with_a_body_is_read_and_answered() {
    let (mut process, mut client) = start();
    client
        .send("POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhello")
        .unwrap();
    accepted(&client);
    process.drain();
    thread::sleep(LINGER * 2);
    client.send("world").unwrap();
    let answer = client.answer().unwrap();
    assert_eq!(answer.body, "10");
    assert!(answer.close);
    drop(client);
    process.report();
}

#[test]
fn an_endless_answer_hears_of_the_end() {
    let (mut process, mut client) = start();
    client.send(get("/until-shutdown")).unwrap();
    client.head().unwrap();
    assert_eq!(client.chunk().unwrap(), b"start ");
    process.drain();
    assert_eq!(client.chunk().unwrap(), b"bye");
    assert!(client.chunk().unwrap().is_empty());
    client.ended().unwrap();
    drop(client);
    assert!(process.report().contains("nothing cut"));
}

#[test]
fn an_upgraded_connection_is_waited_for() {
    let (mut process, mut client) = start();
    client
        .send("GET /upgrade HTTP/1.1\r\nHost: test\r\nConnection: upgrade\r\nUpgrade: test\r\n\r\n")
        .unwrap();
    assert_eq!(client.head().unwrap().0, 101);
    process.drain();
    thread::sleep(LINGER * 2);
    assert!(
        !process
            .notifications()
            .iter()
            .any(|(_, line)| line.contains("drained"))
    );
    drop(client);
    assert!(process.report().contains("nothing cut"));
}

#[test]
fn sigint_drains_too() {
    let (mut process, mut client) = start();
    used(&mut client);
    process.signal(Signal::INT);
    process.notified("STOPPING=1");
    assert!(client.get("/").unwrap().close);
    drop(client);
    process.report();
}

#[test]
fn without_connections_it_ends_at_once() {
    let (mut process, client) = start();
    drop(client);
    let began = Instant::now();
    process.drain();
    process.report();
    assert!(began.elapsed() < Duration::from_secs(3));
}

/// The app may end the server itself; a stop job that comes later is no second request to end.
#[test]
fn a_drain_that_the_app_began_survives_the_first_signal() {
    let (mut process, mut client) = start();
    used(&mut client);
    client.send(get("/slow/1500")).unwrap();
    accepted(&client).get("/shutdown").unwrap();
    process.logged("as the app asked");
    assert!(!process.has_notified("STOPPING=1"));
    process.drain();
    assert_eq!(client.answer().unwrap().body, "slow");
    drop(client);
    assert!(process.report().contains("nothing cut"));
}

/// One client that keeps its side open for ever holds up the end for a moment, not for ever.
#[test]
fn a_client_that_does_not_close_is_not_waited_for() {
    let (mut process, mut client) = start();
    used(&mut client);
    let began = process.drain();
    assert!(client.get("/").unwrap().close);
    client.ended().unwrap();
    assert!(process.report().contains("nothing cut"));
    let took = began.elapsed();
    assert!(took > Duration::from_secs(1), "{took:?}");
    assert!(took < Duration::from_secs(4), "{took:?}");
}

/// hyper parses the second request while the end of the first answer is still on its way out, and
/// by itself never looks at it again.
#[test]
fn a_request_that_comes_during_an_answer_is_not_forgotten() {
    let (listener, address) = listener();
    // Accepted connections inherit it: the answer has to wait in hyper, not in the kernel.
    SockRef::from(&listener).set_send_buffer_size(4096).unwrap();
    let _process = Setup::http(&listener).start_ready();
    let mut client = Client::connect_with_small_buffer(address).unwrap();
    client
        .send("POST /early HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhello")
        .unwrap();
    // The buffers are full.
    thread::sleep(LINGER);
    client.send(format!("world{}", get("/"))).unwrap();
    thread::sleep(LINGER);
    assert_eq!(client.answer().unwrap().body.len(), EARLY);
    assert_eq!(client.answer().unwrap().status, 200);
}
