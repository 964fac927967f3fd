//! `portkeep dev` with apps that open their port themselves: when the port changes hands, and who has it.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use support::session::Session;

/// Opens its port itself, and finishes what it has before it ends: `/stream` has an end when the file `finish` is there.
const APP: &str = r#"use std::io::{ErrorKind, Read, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

const VERSION: &str = "one";
static STOP: AtomicBool = AtomicBool::new(false);
static OPEN: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" {
    fn signal(number: i32, handler: extern "C" fn(i32)) -> usize;
    fn poll(all: *mut Wanted, count: u64, timeout: i32) -> i32;
}

#[repr(C)]
struct Wanted(i32, i16, i16);

extern "C" fn stop(_: i32) {
    STOP.store(true, SeqCst);
}

fn main() {
    unsafe { signal(15, stop) };
    let listener = std::net::TcpListener::bind("HERE").unwrap();
    listener.set_nonblocking(true).unwrap();
    while !STOP.load(SeqCst) {
        match listener.accept() {
            Ok((mut stream, _)) => {
                OPEN.fetch_add(1, SeqCst);
                std::thread::spawn(move || {
                    stream.set_nonblocking(false).unwrap();
                    let mut request = [0; 1024];
                    let length = stream.read(&mut request).unwrap_or(0);
                    let _ = write!(stream, "HTTP/1.0 200 OK\r\n\r\n{VERSION}");
                    let is_stream = request[..length].starts_with(b"GET /stream");
                    while is_stream && !std::path::Path::new("finish").exists() {
                        std::thread::sleep(Duration::from_millis(5));
                    }
                    drop(stream);
                    OPEN.fetch_sub(1, SeqCst);
                });
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let mut wanted = Wanted(std::os::fd::AsRawFd::as_raw_fd(&listener), 1, 0);
                unsafe { poll(&mut wanted, 1, 20) };
            }
            Err(error) => panic!("{error}"),
        }
    }
    // release
    drop(listener);
    while OPEN.load(SeqCst) > 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
}
"#;

const MANIFEST: &str =
    "[package]\nname = \"hello\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n";

fn start(app: &str) -> Session {
    let files = [("hello/Cargo.toml", MANIFEST), ("hello/src/main.rs", app)];
    let session = Session::start_self_binding(&files, &[]);
    session.expect_answer("one");
    // The app answers before anybody knows: an edit would overtake its start.
    let url = format!(
        "http://{} is open; the app opened it itself",
        session.address()
    );
    session.wait("it says where", || session.log().contains(&url));
    session
}

/// Asks for a stream, and reads the beginning of it.
fn stream(session: &Session) -> TcpStream {
    let mut stream = TcpStream::connect(session.address()).unwrap();
    stream.write_all(b"GET /stream HTTP/1.0\r\n\r\n").unwrap();
    stream.read_exact(&mut [0; 22]).unwrap();
    stream
}

/// Whether the other side still has it.
fn is_open(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let read = stream.read(&mut [0; 1]);
    read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}

#[test]
fn the_port_changes_hands_as_soon_as_it_is_free_and_what_is_open_is_finished() {
    let session = start(APP);
    let mut stream = stream(&session);
    session.edit("hello/src/main.rs", "one", "two");
    session.expect_answer("two");
    assert!(is_open(&mut stream), "{}", session.log());
    session.expect_said("generation 1 finished and ended", || {
        session.write("finish", "");
    });
    let log = session.end().log();
    assert_eq!(log.matches("is open; the app").count(), 1, "{log}");
}

#[test]
fn who_keeps_the_port_is_told_of_and_ended_soon() {
    let app = APP.replace("    // release\n    drop(listener);\n", "");
    let session = start(&app);
    let _stream = stream(&session);
    let told = format!(
        "generation 1 was told to end and still listens at {}",
        session.address()
    );
    session.expect_said(&told, || {
        session.edit("hello/src/main.rs", "one", "two");
    });
    session.expect_answer("two");
}

#[test]
fn what_a_killed_session_left_running_is_ended_and_named() {
    let session = start(APP).kill_and_start_again(&[]);
    session.edit("hello/src/main.rs", "one", "two");
    session.expect_answer("two");
    let log = session.end().log();
    assert!(log.contains("ended generation 1 (process "), "{log}");
}

#[test]
fn a_stranger_who_has_the_port_is_named_and_what_served_returns_when_it_is_gone() {
    let session = start(APP);
    // The app gives the port up, and somebody else takes it.
    let address = session.address();
    session.edit(
        "hello/src/main.rs",
        "HERE".replace("HERE", &address.to_string()).as_str(),
        "127.0.0.1:0",
    );
    session.wait("the port is free", || TcpListener::bind(address).is_ok());
    session.wait_for_rest();
    let stranger = TcpListener::bind(address).unwrap();
    let named = format!("{address} is held by process {}", std::process::id());
    session.expect_said(&named, || {
        session.edit("hello/src/main.rs", "127.0.0.1:0", &address.to_string());
    });
    drop(stranger);
    session.edit("hello/src/main.rs", "one", "two");
    session.expect_answer("two");
}
