//! Where moving is not possible, or goes wrong in the middle.

use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, accept, recv,
    send, socket_with,
};
use rustix::process::{Signal, Uid};

use super::{World, served_and_lost, who};
use crate::client::get;
use crate::manager::{PATIENCE, Setup, listener};

/// No next generation, or one without the library: the connection ends here, and hears of it.
#[test]
fn without_anybody_to_move_to_a_connection_ends_well() {
    let world = World::new();
    let mut old = world.start();
    let mut client = world.client();
    who(&mut client);
    old.drain();
    assert!(old.logged("cannot be moved").contains("timed out"));
    old.logged("end here");
    assert!(client.get("/").unwrap().close);
    client.ended().unwrap();
    drop(client);
    assert!(old.report().contains("0 moved, 0 idle closed, nothing cut"));
}

/// Where portkeep runs the app, the old generation knows that it is the last one, and does not ask:
/// asking would start the app again.
#[test]
fn the_last_generation_asks_nobody() {
    let world = World::new();
    let current = world.directory.path().join("current");
    std::os::unix::fs::symlink("generations/7", &current).unwrap();
    let mut old = world.setup().set("PORTKEEP_GENERATION", 7).start_ready();
    let mut client = world.client();
    who(&mut client);
    old.drain();
    old.logged("no next generation");
    old.logged("end here");
    assert!(client.get("/").unwrap().close);
    drop(client);
    old.report();
    // Nobody stands in the queue of the move socket.
    assert!(accept(&world.move_socket).is_err());
}

/// One that hangs has acknowledged nothing: all is still the old one's.
#[test]
fn a_next_generation_that_hangs_takes_nothing_along() {
    let world = World::new();
    let mut old = world.start();
    let mut clients = world.clients(20);
    let new = world.start();
    new.stop();
    old.drain();
    for client in &mut clients {
        let answer = client.get("/").unwrap();
        assert_eq!(answer.body, old.id().to_string());
    }
    drop(clients);
    assert!(old.report().contains("nothing cut"));
}

#[test]
fn a_next_generation_without_descriptors_leaves_the_rest() {
    let world = World::new();
    let mut old = world.start();
    let mut clients = world.clients(60);
    let new = world.setup().open_files(40);
    let new = new.set("PORTKEEP_LIMIT_CONNECTIONS", "off").start_ready();
    old.drain();
    old.logged("cannot have a connection");
    // Until all are where they stay.
    thread::sleep(Duration::from_millis(200));
    let (mut here, mut there) = (0, 0);
    for client in &mut clients {
        match client.get("/").unwrap() {
            answer if answer.body == new.id().to_string() => there += 1,
            answer => {
                assert!(answer.close);
                assert_eq!(answer.body, old.id().to_string());
                here += 1;
            }
        }
    }
    assert!(here > 10 && there > 5, "{here} here, {there} there");
    drop(clients);
    assert!(old.report().contains("nothing cut"));
}

/// A next generation as a test plays it: takes `connections`, acknowledges `acks`, and is gone.
fn play(world: &World, connections: usize, acks: u64) -> OwnedFd {
    let session = world.next_session();
    let mut bytes = vec![0; 70_000];
    let (hello, _) = recv(&session, &mut bytes[..], RecvFlags::empty()).unwrap();
    assert_eq!((hello, bytes[0], bytes[1]), (16, 1, 1));
    let answer = |kind: u8, number: u64| {
        let mut message = [0; 16];
        message[0] = 1;
        message[1] = kind;
        message[8..].copy_from_slice(&number.to_le_bytes());
        send(&session, &message, SendFlags::empty()).unwrap();
    };
    answer(2, 0);
    for number in 0..connections as u64 {
        let (length, _) = recv(&session, &mut bytes[..], RecvFlags::empty()).unwrap();
        assert!(length >= 16);
        if number < acks {
            answer(4, number);
        }
    }
    session
}

/// What it had acknowledged dies with it, and nothing else.
#[test]
fn a_next_generation_that_dies_takes_only_what_it_owned() {
    for (connections, acks) in [(0, 0), (1, 0), (1, 1), (20, 7), (64, 64)] {
        let world = World::new();
        let mut old = world.start();
        let mut clients = world.clients(100);
        old.signal(Signal::TERM);
        drop(play(&world, connections, acks));
        old.logged("cannot be moved");
        let owned = acks as usize;
        let found = served_and_lost(&mut clients, &old);
        assert_eq!(found, (100 - owned, owned), "{connections} sent");
        drop(clients);
        assert!(old.report().contains(&format!("{acks} moved")));
    }
}

/// An answer that this version does not know ends the session: what is not acknowledged stays.
#[test]
fn an_answer_of_another_version_in_the_middle_ends_the_session() {
    let world = World::new();
    let mut old = world.start();
    let mut clients = world.clients(100);
    old.signal(Signal::TERM);
    // The session ends with the message, not with the other side.
    let session = play(&world, 64, 7);
    let mut answer = [0; 16];
    (answer[0], answer[1], answer[8]) = (2, 4, 7);
    send(&session, &answer, SendFlags::empty()).unwrap();
    assert!(old.logged("cannot be moved").contains("version 2"));
    let mut served = 0;
    for client in &mut clients {
        if client
            .get("/")
            .is_ok_and(|answer| answer.body == old.id().to_string())
        {
            served += 1;
        }
    }
    // Its copies are closed here, with the process that this test is.
    assert_eq!(served, 93);
    drop(clients);
    assert!(old.report().contains("7 moved"));
}

#[test]
fn another_version_is_not_talked_to() {
    let world = World::new();
    let mut old = world.start();
    let mut client = world.client();
    who(&mut client);
    old.signal(Signal::TERM);
    let session = world.next_session();
    let mut bytes = [0; 64];
    recv(&session, &mut bytes[..], RecvFlags::empty()).unwrap();
    send(&session, &[2, 2, 0, 0], SendFlags::empty()).unwrap();
    assert!(old.logged("cannot be moved").contains("version 2"));
    old.logged("end here");
    assert!(client.get("/").unwrap().close);
    drop(client);
    old.report();
}

/// From the other side: an old generation of another version is told no, at once.
#[test]
fn another_version_is_refused() {
    let world = World::new();
    let new = world.start();
    let flags = SocketFlags::CLOEXEC;
    let session = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
    let address = SocketAddrUnix::new(world.directory.path().join("move")).unwrap();
    rustix::net::connect(&session, &address).unwrap();
    send(&session, &[9; 40], SendFlags::empty()).unwrap();
    let mut bytes = [0; 64];
    let (length, _) = recv(&session, &mut bytes[..], RecvFlags::empty()).unwrap();
    assert_eq!((length, bytes[1]), (16, 5));
    assert!(new.logged("was refused").contains("version 9"));
}

/// The socket is open to everybody, the session is not: another user is told no.
#[test]
fn another_user_is_refused() {
    if !rustix::process::geteuid().is_root() {
        println!("not run: only root can be somebody else");
        return;
    }
    let world = World::new();
    world.open_to_everybody();
    let new = world.start();
    let address = SocketAddrUnix::new(world.directory.path().join("move")).unwrap();
    let ask = move || {
        let flags = SocketFlags::CLOEXEC;
        let session = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        rustix::net::connect(&session, &address).unwrap();
        let hello = [1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        send(&session, &hello, SendFlags::NOSIGNAL).unwrap();
        let mut bytes = [0; 64];
        let (length, _) = recv(&session, &mut bytes[..], RecvFlags::empty()).unwrap();
        (length, bytes[1])
    };
    let stranger = thread::spawn(move || {
        // Of this thread, which ends with it.
        rustix::thread::set_thread_uid(Uid::from_raw(12345)).unwrap();
        ask()
    });
    assert_eq!(stranger.join().unwrap(), (16, 5), "it is told no");
    assert!(new.logged("was refused").contains("user 12345"));
}

/// A next generation of another user: its clients hear at once that the connection ends, as where none can move.
#[test]
fn connections_to_another_user_end_at_once_and_well() {
    if !rustix::process::geteuid().is_root() {
        println!("not run: only root can be somebody else");
        return;
    }
    let world = World::new();
    world.open_to_everybody();
    let mut old = world.start();
    let mut clients = world.clients(20);
    let mut busy = world.client();
    who(&mut busy);
    busy.send(get("/slow/300")).unwrap();
    let new = world.setup().user(12345).start_ready();
    old.drain();
    // It is told so, and has not waited until it gave up.
    assert!(old.logged("cannot be moved").contains("another user"));
    old.logged("end here");
    // Each has one more answer, which says that it is the last one, and its next connection is the new one's.
    for client in &mut clients {
        let answer = client.get("/").unwrap();
        assert_eq!(answer.body, old.id().to_string());
        assert!(answer.close);
        client.ended().unwrap();
        *client = world.client();
        assert_eq!(who(client), new.id());
    }
    assert!(busy.answer().unwrap().close);
    assert!(old.report().contains("0 moved"));
}

/// As libraries before this one refuse: without a word. It is asked for a while, and not until the drain is over.
#[test]
fn a_next_generation_that_takes_nobody_is_not_asked_for_long() {
    let world = World::new();
    let mut old = world.start();
    let mut client = world.client();
    who(&mut client);
    let began = old.drain();
    let accepted = std::iter::from_fn(|| {
        // Closed at once.
        let _ = accept(&world.move_socket);
        let decided = old.story().contains("end here");
        (!decided && began.elapsed() < PATIENCE).then_some(())
    });
    accepted.for_each(|()| thread::sleep(Duration::from_millis(1)));
    assert!(old.story().contains("end here"), "{}", old.story());
    assert!(client.get("/").unwrap().close);
    client.ended().unwrap();
    drop(client);
    assert!(old.report().contains("0 moved"));
}

/// Service managers drop what an app logs when it logs too much.
#[test]
fn who_is_refused_cannot_flood_the_log() {
    let world = World::new();
    let mut new = world.start();
    let address = SocketAddrUnix::new(world.directory.path().join("move")).unwrap();
    for _ in 0..2_000 {
        let flags = SocketFlags::CLOEXEC;
        let session = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        rustix::net::connect(&session, &address).unwrap();
        let _ = send(&session, b"nonsense", SendFlags::NOSIGNAL);
        // Until it is refused, so that none is counted as one that has gone by itself.
        let _ = recv(&session, &mut [0; 64][..], RecvFlags::empty());
    }
    new.logged("was refused");
    // What was not told is, at the end.
    new.drain();
    let report = new.report();
    assert!(report.contains("nothing cut"), "{report}");
    let lines = new.all_logged("was refused");
    let times = lines.iter().map(|line| {
        let times = line
            .split("times=")
            .nth(1)
            .and_then(|rest| rest.split(' ').next());
        times.unwrap().parse::<u32>().unwrap()
    });
    assert_eq!(times.sum::<u32>(), 2_000, "{lines:#?}");
    // One in ten seconds, however long this took.
    assert!(lines.len() < 10, "{lines:#?}");
}

/// A connection may only go where its listener is served.
#[test]
fn a_connection_does_not_move_to_another_listener() {
    let world = World::new();
    let mut old = world.start();
    let mut client = world.client();
    who(&mut client);
    let (other, _) = listener();
    let _new = Setup::new()
        .socket("admin", &other)
        .socket("portkeep-move", &world.move_socket)
        .start_ready();
    old.drain();
    old.logged("cannot have a connection");
    let answer = client.get("/").unwrap();
    assert_eq!(answer.body, old.id().to_string());
    assert!(answer.close);
    drop(client);
    assert!(old.report().contains("0 moved"));
}
