//! Sockets by name, and errors that say what was passed.

use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};

use rustix::fs::{OFlags, fcntl_getfl};

use crate::client::{Client, get};
use crate::manager::{Process, Setup, listener};
use crate::probe;

fn error(mut process: Process) -> String {
    assert!(!process.exited().success());
    assert!(!process.has_notified("READY=1"));
    process.logged("ERROR ")
}

#[test]
fn a_missing_name_lists_what_was_passed() {
    let (listener, address) = listener();
    let process = Setup::http(&listener).set(probe::SOCKET, "admin").start();
    let error = error(process);
    assert!(error.contains("no socket \"admin\""), "{error}");
    assert!(
        error.contains(&format!("#0 \"http\" a TCP listener on {address}")),
        "{error}"
    );
}

#[test]
fn the_wrong_kind_says_what_it_is() {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let process = Setup::new()
        .socket("http", &udp)
        .set(probe::SOCKET, "http")
        .start();
    let error = error(process);
    assert!(
        error.contains("\"http\" is a UDP socket, not a TCP listener"),
        "{error}"
    );
}

#[test]
fn nothing_to_serve_is_an_error_not_a_port_of_its_own() {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let process = Setup::new().socket("metrics", &udp).start();
    let error = error(process);
    assert!(
        error.contains("none of the passed sockets can be served"),
        "{error}"
    );
    assert!(error.contains("#0 \"metrics\" a UDP socket"), "{error}");
}

#[test]
fn a_connected_socket_is_no_listener() {
    let (listener, address) = listener();
    let _client = std::net::TcpStream::connect(address).unwrap();
    let (connection, _) = listener.accept().unwrap();
    let error = error(Setup::new().socket("http", &connection).start());
    assert!(error.contains("Accept=yes"), "{error}");
}

#[test]
fn by_name_or_index_and_only_once() {
    let (tcp, _) = listener();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    for pid in ["$$", "unset", "''"] {
        let mut process = Setup::http(&tcp)
            .socket("metrics", &udp)
            .mode("sockets")
            .listen_pid(pid)
            .start();
        assert!(process.exited().success(), "{}", process.story());
        process.logged("LIST 2");
        process.logged("TCP Ok(())");
        process.logged("UDP Ok(())");
        assert!(process.logged("AGAIN Err").contains("(taken)"));
        assert!(process.logged("INDEX Err").contains("no socket #0"));
        // Other threads may be reading it.
        process.logged("ENV Some(\"2\")");
    }
}

#[test]
fn children_inherit_none_of_the_descriptors() {
    let (tcp, _) = listener();
    // No socket, which nobody takes.
    let (pipe, _other_end) = rustix::pipe::pipe().unwrap();
    let mut process = Setup::http(&tcp)
        .socket("other", &pipe)
        .mode("children")
        .start();
    assert!(process.exited().success(), "{}", process.story());
    process.logged("KIND Other");
    assert_eq!(process.logged("BEFORE "), "BEFORE true true");
    assert_eq!(process.logged("AFTER "), "AFTER false false");
}

/// A process that has the number of the one they were meant for.
#[test]
fn sockets_of_another_process_with_the_same_number_are_left_alone() {
    let (tcp, _) = listener();
    let mut process = Setup::http(&tcp)
        .set("LISTEN_PIDFDID", 1)
        .mode("sockets")
        .start();
    assert!(process.exited().success());
    // Kernels before 6.9 cannot tell, and no systemd sets it there.
    process.logged(if has_pidfs() { "LIST 0" } else { "LIST 1" });
}

/// Whether two pidfds have two inodes.
fn has_pidfs() -> bool {
    use rustix::process::{Pid, PidfdFlags, getpid, getppid, pidfd_open};
    let inode = |pid: Pid| {
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
        rustix::fs::fstat(pidfd).unwrap().st_ino
    };
    inode(getpid()) != inode(getppid().unwrap())
}

#[test]
fn sockets_of_another_process_are_left_alone() {
    let (tcp, _) = listener();
    let mut process = Setup::http(&tcp).mode("sockets").listen_pid("1").start();
    assert!(process.exited().success());
    process.logged("LIST 0");
    assert!(process.logged("TCP Err").contains("none were passed"));
}

#[test]
fn the_first_descriptor_may_be_another() {
    // #0 is descriptor 4, the second one that was passed here.
    let (tcp, _) = listener();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut process = Setup::new()
        .socket("http", &udp)
        .socket("ignored", &tcp)
        .set("LISTEN_FDS_FIRST_FD", 4)
        .mode("sockets")
        .start();
    assert!(process.exited().success());
    process.logged("TCP Ok(())");
}

#[test]
fn a_blocking_listener_is_made_non_blocking() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    assert!(!fcntl_getfl(&listener).unwrap().contains(OFlags::NONBLOCK));
    let address = listener.local_addr().unwrap();
    let process = Setup::http(&listener).start_ready();
    assert!(fcntl_getfl(&listener).unwrap().contains(OFlags::NONBLOCK));
    Client::connect(address).unwrap().get("/").unwrap();
    drop(process);
}

#[test]
fn tcp_and_unix_are_served_together() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("http.sock");
    let unix = UnixListener::bind(&path).unwrap();
    let (tcp, address) = listener();
    let process = Setup::http(&tcp).socket("local", &unix).start_ready();
    Client::connect(address).unwrap().get("/").unwrap();
    assert!(ask_unix(&path).starts_with("HTTP/1.1 200"));
    drop(process);
}

fn ask_unix(path: &std::path::Path) -> String {
    use std::io::{Read, Write};
    let mut stream = UnixStream::connect(path).unwrap();
    let request = get("/").replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn without_sockets_it_listens_where_the_variable_says() {
    let process = Setup::new()
        .set("PORTKEEP_LISTEN", "127.0.0.1:0")
        .start_ready();
    let status = process.notified("STATUS=serving on ").1;
    let address = status.rsplit(' ').next().unwrap().parse().unwrap();
    Client::connect(address).unwrap().get("/").unwrap();
}

#[test]
fn a_socket_file_that_was_left_behind_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("http.sock");
    drop(UnixListener::bind(&path).unwrap());
    let setup = || Setup::new().set("PORTKEEP_LISTEN", path.display());
    let process = setup().start_ready();
    assert!(ask_unix(&path).starts_with("HTTP/1.1 200"));
    // But not one that somebody serves.
    let taken = error(setup().start());
    assert!(taken.contains("cannot listen on"), "{taken}");
    drop(process);
    // Nor a file that is none of ours.
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "precious").unwrap();
    error(setup().start());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

/// Clients in the queue of a listener that this process bound have nobody else.
#[test]
fn the_queue_of_an_own_listener_is_served_to_its_end() {
    let mut process = Setup::new()
        .set("PORTKEEP_LISTEN", "127.0.0.1:0")
        .start_ready();
    let status = process.notified("STATUS=serving on ").1;
    let address = status.rsplit(' ').next().unwrap().parse().unwrap();
    // All threads are busy, so nothing is accepted; then the signal comes.
    let mut blocked: Vec<_> = (0..4).map(|_| Client::connect(address).unwrap()).collect();
    for client in &mut blocked {
        client.send(get("/block/500")).unwrap();
    }
    let mut queued: Vec<_> = (0..50).map(|_| Client::connect(address).unwrap()).collect();
    process.signal(rustix::process::Signal::TERM);
    for client in blocked.iter_mut().chain(&mut queued) {
        client.send(get("/")).unwrap();
    }
    for client in &mut queued {
        assert_eq!(client.answer().unwrap().status, 200);
    }
    drop((blocked, queued));
    process.report();
}

#[test]
fn too_many_open_files_end_nothing() {
    let (listener, address) = listener();
    let setup = Setup::http(&listener).open_files(40);
    let mut process = setup.set("PORTKEEP_LIMIT_CONNECTIONS", "off").start_ready();
    let many: Vec<_> = (0..60).map(|_| Client::connect(address).unwrap()).collect();
    assert!(
        process
            .logged("cannot accept, trying again")
            .contains("ERROR")
    );
    drop(many);
    for _ in 0..5 {
        Client::connect(address).unwrap().get("/").unwrap();
    }
    process.drain();
    assert!(process.report().contains("nothing cut"));
}
