//! Detection on real processes.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::{Child, Command, Stdio};

use command_fds::{CommandFdExt, FdMapping};
use portkeep_spec::Address;
use tokio::time::timeout;

use super::process::{entries, socket, watches};
use super::table::{listening_tcp, listening_unix};
use super::*;

/// A python program that is passed a socket as descriptor 3; it has begun when this returns.
struct Program(Child);

impl Program {
    fn start(text: &str, passed: impl Into<OwnedFd>) -> Self {
        let mut command = Command::new("python3");
        command
            .args(["-c", text])
            .env("LISTEN_FDS", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mapping = FdMapping {
            parent_fd: passed.into(),
            child_fd: 3,
        };
        let mut child = command.fd_mappings(vec![mapping]).unwrap().spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        Self(child)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn local() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

/// Waits at `wait` for a listener of its own; then, when its standard input ends, at the one that it was passed.
fn in_turn(wait: &str, then: &str) -> Program {
    let text = format!(
        "import socket, sys, threading, select\n\
         other = socket.create_server(('127.0.0.1', 0))\n\
         passed = socket.socket(fileno=3)\n\
         threading.Thread(target=lambda: {wait}, daemon=True).start()\n\
         print('begun', flush=True)\n\
         sys.stdin.read()\n\
         {then}\n"
    );
    Program::start(&text, local())
}

#[tokio::test]
async fn who_listens_elsewhere_first_is_ready_when_it_takes_what_it_was_passed() {
    const POLL: &str = "p = select.poll(); p.register(3, select.POLLIN); p.poll()";
    for (wait, then) in [
        ("other.accept()", "passed.accept()"),
        (
            "select.select([other], [], [])",
            "select.select([3], [], [])",
        ),
        (
            "(lambda p: (p.register(other), p.poll()))(select.poll())",
            POLL,
        ),
        (
            "(lambda p: (p.register(other), p.poll()))(select.epoll())",
            "p = select.epoll(); p.register(3); p.poll()",
        ),
    ] {
        let mut program = in_turn(wait, then);
        let mut ready = std::pin::pin!(accepts(program.0.id()));
        let early = timeout(Duration::from_millis(300), &mut ready).await;
        assert!(
            early.is_err(),
            "it does not take what it was passed yet: {wait}"
        );
        // Its thread may need a moment.
        let until = Instant::now() + Duration::from_secs(30);
        while !socket_use(program.0.id()).binds_itself() {
            assert!(Instant::now() < until, "{wait}");
            tokio::time::sleep(LOOK).await;
        }
        drop(program.0.stdin.take());
        let ready = timeout(Duration::from_secs(30), ready).await;
        assert!(ready.unwrap(), "{then}");
        assert!(!socket_use(program.0.id()).binds_itself());
    }
}

#[tokio::test]
async fn a_passed_socket_for_datagrams_is_taken_by_who_receives() {
    const PROGRAM: &str = "import socket, sys\n\
         passed = socket.socket(fileno=3)\n\
         print('begun', flush=True)\n\
         passed.recvfrom(10)\n";
    let program = Program::start(PROGRAM, UdpSocket::bind("127.0.0.1:0").unwrap());
    let ready = timeout(Duration::from_secs(30), accepts(program.0.id())).await;
    assert!(ready.unwrap());
}

#[tokio::test]
async fn a_socket_that_nobody_accepts_from_is_no_sign() {
    let listener = local();
    let here = directory(std::process::id());
    let address = Address::Tcp(listener.local_addr().unwrap());
    let listening = table::listening(&here);
    let one = listening.iter().find(|one| one.address == address).unwrap();
    let takes = |inode| {
        let descriptors = Descriptors::of(here.clone()).unwrap();
        descriptors.takes(|one| one == inode)
    };
    // The test's runtime has an epoll, but without this socket in it.
    assert_eq!(takes(one.inode), Taking::No);
    assert!(!watches("tfd: 3 events: 19\n", &HashSet::from([999])));
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    assert_eq!(takes(one.inode), Taking::Yes);
    assert_eq!(
        still_listening(std::slice::from_ref(one)),
        std::slice::from_ref(one)
    );
    assert!(listening_at(std::process::id()).contains(one));
    // What listens elsewhere is no sign.
    assert_eq!(takes(0), Taking::No);
    drop(listener);
    assert_eq!(still_listening(std::slice::from_ref(one)), []);
}

#[test]
fn the_kernels_tables_are_read_as_they_are() {
    let tcp = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0000";
    let found = listening_tcp(tcp).unwrap();
    assert_eq!(found.inode, 4711);
    #[cfg(target_endian = "little")]
    assert_eq!(found.address.to_string(), "127.0.0.1:8080");
    assert_eq!(listening_tcp(&tcp.replace(" 0A ", " 01 ")), None);
    let six = tcp.replace("0100007F", "00000000000000000000000001000000");
    #[cfg(target_endian = "little")]
    assert_eq!(
        listening_tcp(&six).unwrap().address.to_string(),
        "[::1]:8080"
    );
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let _listener = UnixListener::bind(&path).unwrap();
    let table = fs::read_to_string("/proc/self/net/unix").unwrap();
    let line = table.lines().find(|line| line.ends_with("/s")).unwrap();
    assert_eq!(
        listening_unix(line).unwrap().address,
        Address::UnixStream(path)
    );
    assert_eq!(socket("socket:[17]"), Some(17));
    assert_eq!(socket("pipe:[17]"), None);
    assert!(!entries(&super::directory(std::process::id()).join("fd")).is_empty());
}
