mod random;

use super::super::frames::{HEAD, put};
use super::*;

/// A block that says that there is no table, and one that says nothing of it.
const EMPTY: &[u8] = b"\x20\x82\x86\x84";
const PLAIN: &[u8] = b"\x82\x86\x84";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    put(&mut bytes, kind, flags, stream, payload);
    bytes
}

impl Follower {
    /// Something that keeps what was promised.
    #[track_caller]
    fn hears(&mut self, bytes: &[u8]) {
        self.read(bytes).unwrap();
    }
}

/// Both sides have said and acknowledged their settings.
fn introduced() -> Follower {
    let mut it = Follower::new();
    it.hears(PREFACE);
    it.hears(&frame(SETTINGS, 0, 0, b"\0\x04\0\x01\0\0"));
    it.wrote(&frame(SETTINGS, 0, 0, b"\0\x03\0\0\0\x64"));
    it.wrote(&frame(SETTINGS, ACK, 0, b""));
    it.hears(&frame(SETTINGS, ACK, 0, b""));
    it
}

/// One that had a request and could move.
fn quiet() -> Follower {
    let mut it = introduced();
    it.hears(&frame(HEADERS, END_STREAM | END_HEADERS, 1, EMPTY));
    it.wrote(&frame(HEADERS, END_STREAM | END_HEADERS, 1, b"\x88"));
    assert!(it.state().is_some());
    it
}

/// Whether it could move after these frames of the client (`true`) and the server.
fn moves_after(frames: &[(bool, Vec<u8>)]) -> bool {
    let mut it = quiet();
    for (client, bytes) in frames {
        match client {
            true => it.hears(bytes),
            false => it.wrote(bytes),
        }
    }
    it.state().is_some()
}

#[test]
fn it_does_not_move_before_the_client_has_said_that_it_has_no_table() {
    let mut it = introduced();
    assert_eq!(it.state(), None);
    it.hears(&frame(HEADERS, END_STREAM | END_HEADERS, 1, PLAIN));
    it.wrote(&frame(HEADERS, END_STREAM | END_HEADERS, 1, b"\x88"));
    assert_eq!(it.state(), None);
    assert!(!it.is_certain());
    it.hears(&frame(HEADERS, END_STREAM | END_HEADERS, 3, EMPTY));
    it.wrote(&frame(HEADERS, END_STREAM | END_HEADERS, 3, b"\x88"));
    let state = it.state().unwrap();
    assert_eq!(state.last, 3);
    assert_eq!(state.ours.get(3), Some(100));
    assert_eq!(state.theirs.get(4), Some(1 << 16));
    // It may say so before it acknowledges, as long as it does both.
    let mut it = Follower::new();
    it.hears(PREFACE);
    it.hears(&frame(SETTINGS, 0, 0, b""));
    it.wrote(&frame(SETTINGS, 0, 0, b""));
    it.wrote(&frame(SETTINGS, ACK, 0, b""));
    it.hears(&frame(HEADERS, END_STREAM | END_HEADERS, 1, EMPTY));
    it.wrote(&frame(HEADERS, END_STREAM | END_HEADERS, 1, b"\x88"));
    assert_eq!(it.state(), None);
    assert!(it.is_certain());
    it.hears(&frame(SETTINGS, ACK, 0, b""));
    assert!(it.state().is_some());
}

/// The server tells the client how large its table may be, and the client acknowledges that.
fn told(it: &mut Follower, size: u32) {
    let payload = [&[0, 1][..], &size.to_be_bytes()].concat();
    it.wrote(&frame(SETTINGS, 0, 0, &payload));
    it.hears(&frame(SETTINGS, ACK, 0, b""));
}

#[test]
fn a_client_that_has_acknowledged_an_empty_table_has_to_say_so() {
    let asked = |block: &[u8]| frame(HEADERS, END_STREAM | END_HEADERS, 3, block);
    let begin = || {
        let mut it = introduced();
        it.hears(&frame(HEADERS, END_STREAM | END_HEADERS, 1, PLAIN));
        it.wrote(&frame(HEADERS, END_STREAM | END_HEADERS, 1, b"\x88"));
        assert_eq!((it.state(), it.table_to_tell(true)), (None, Some(0)));
        assert_eq!(it.table_to_tell(false), None);
        told(&mut it, 0);
        assert_eq!(
            (it.table_to_tell(true), it.table_to_tell(false)),
            (None, None)
        );
        it
    };
    let it = begin();
    let state = it.state().unwrap();
    assert!(!state.said);
    // What it says here or where it goes on.
    for mut it in [begin(), Follower::resumed(&state)] {
        assert_eq!(it.read(&asked(EMPTY)), Ok(()));
        assert_eq!((it.is_busy(), it.last()), (true, 3));
        // Now it may keep something again, and says when it does.
        assert_eq!(it.table_to_tell(false), Some(4096));
        told(&mut it, 4096);
        it.wrote(&frame(HEADERS, END_STREAM | END_HEADERS, 3, b"\x88"));
        assert!(it.state().unwrap().said);
        it.hears(&frame(
            HEADERS,
            END_STREAM | END_HEADERS,
            5,
            b"\x3f\xe1\x1f\x82",
        ));
        it.wrote(&frame(HEADERS, END_STREAM | END_HEADERS, 5, b"\x88"));
        assert_eq!((it.state(), it.table_to_tell(true)), (None, Some(0)));
    }
    // A block that does not say so is understood where its table is. Elsewhere nothing of it may be read, nor does its
    // stream count.
    for block in [PLAIN, b"\xbe", b"\x3f\xe1\x1f\x20\x82"] {
        for bytes in [asked(block), padded(block)] {
            let mut it = begin();
            it.hears(&bytes);
            assert_eq!((it.is_busy(), it.last()), (true, 3));
            assert_eq!(
                (it.table_to_tell(true), it.table_to_tell(false)),
                match block.ends_with(b"\x20\x82") {
                    true => (None, Some(4096)),
                    false => (None, None),
                }
            );
            let mut it = Follower::resumed(&state);
            assert_eq!(it.read(&bytes), Err(BrokenPromise));
            assert_eq!(it.read(&bytes), Err(BrokenPromise));
            assert_eq!((it.state(), it.last()), (None, 1));
            assert!(it.is_over());
        }
    }
}

/// With a priority and padding that look like something else.
fn padded(block: &[u8]) -> Vec<u8> {
    let payload = [&[3][..], &[0x20; 5], block, &[0x20; 3]].concat();
    frame(
        HEADERS,
        END_STREAM | END_HEADERS | PADDED | PRIORITY,
        3,
        &payload,
    )
}

/// Between two frames of the server's, when it waits for no other acknowledgement.
#[test]
fn the_table_is_not_spoken_of_in_between() {
    for (bytes, may) in [
        (frame(HEADERS, END_HEADERS, 1, b"\x88"), true),
        (frame(HEADERS, 0, 1, b"\x88"), false),
        (frame(DATA, 0, 1, b"a part")[..12].to_vec(), false),
        (frame(SETTINGS, 0, 0, b""), false),
        (frame(PING, 0, 0, &[0; 8]), true),
        (frame(GOAWAY, 0, 0, &[0; 8]), false),
    ] {
        let mut it = introduced();
        it.hears(&frame(HEADERS, END_STREAM | END_HEADERS, 1, PLAIN));
        it.wrote(&bytes);
        assert_eq!(it.table_to_tell(true).is_some(), may, "{bytes:x?}");
    }
    let mut it = Follower::new();
    assert_eq!(it.table_to_tell(true), None);
    it.hears(PREFACE);
    it.wrote(&frame(SETTINGS, 0, 0, b""));
    assert_eq!(it.table_to_tell(true), None);
}

#[test]
fn what_is_going_on_keeps_it() {
    let head = |flags| (true, frame(HEADERS, flags, 3, PLAIN));
    let answer = |flags| (false, frame(HEADERS, flags, 3, b"\x88"));
    let ends = END_STREAM | END_HEADERS;
    for (moves, frames) in [
        (false, vec![head(ends)]),
        (false, vec![head(ends), answer(END_HEADERS)]),
        (
            true,
            vec![
                head(ends),
                answer(END_HEADERS),
                (false, frame(DATA, END_STREAM, 3, b"answer")),
            ],
        ),
        // The answer is there before the request.
        (false, vec![head(END_HEADERS), answer(ends)]),
        (
            true,
            vec![
                head(END_HEADERS),
                answer(ends),
                (true, frame(DATA, END_STREAM | PADDED, 3, b"\x01ab")),
            ],
        ),
        (
            true,
            vec![
                head(END_HEADERS),
                answer(ends),
                (false, frame(RST_STREAM, 0, 3, &[0; 4])),
            ],
        ),
        (
            true,
            vec![head(END_HEADERS), (true, frame(RST_STREAM, 0, 3, &[0; 4]))],
        ),
        // What ends the request is in two frames, and the second one is not there.
        (
            false,
            vec![head(END_HEADERS), answer(ends), head(END_STREAM)],
        ),
        (
            true,
            vec![
                head(END_HEADERS),
                answer(ends),
                head(END_STREAM),
                (true, frame(CONTINUATION, END_HEADERS, 3, PLAIN)),
            ],
        ),
        // The same of the answer.
        (false, vec![head(ends), answer(END_STREAM)]),
        (
            true,
            vec![
                head(ends),
                answer(END_STREAM),
                (false, frame(CONTINUATION, END_HEADERS, 3, b"")),
            ],
        ),
    ] {
        assert_eq!(moves_after(&frames), moves, "{frames:?}");
    }
}

#[test]
fn what_waits_for_an_answer_keeps_it() {
    let ping = |flags| frame(PING, flags, 0, &[7; 8]);
    let settings = |flags| frame(SETTINGS, flags, 0, b"");
    for ask in [true, false] {
        for frame in [ping, settings] {
            assert!(!moves_after(&[(ask, frame(0))]));
            assert!(moves_after(&[(ask, frame(0)), (!ask, frame(ACK))]));
            // An answer to nothing is none to what comes later.
            let stray = [(!ask, frame(ACK)), (ask, frame(0))];
            assert!(!moves_after(&stray));
        }
    }
}

#[test]
fn whoever_says_that_it_ends_keeps_it_for_good() {
    for client in [true, false] {
        let mut it = quiet();
        let goaway = frame(GOAWAY, 0, 0, &[0; 8]);
        match client {
            true => it.hears(&goaway),
            false => it.wrote(&goaway),
        }
        assert_eq!(it.state(), None);
        assert!(it.is_over());
    }
    assert!(!moves_after(&[(
        false,
        frame(PUSH_PROMISE, END_HEADERS, 1, &[0; 5])
    )]));
}

#[test]
fn windows_are_counted() {
    let mut it = quiet();
    it.hears(&frame(WINDOW_UPDATE, 0, 0, &1000_u32.to_be_bytes()));
    // Of a stream, and with the bit that says nothing.
    it.hears(&frame(WINDOW_UPDATE, 0, 1, &7_u32.to_be_bytes()));
    it.wrote(&frame(WINDOW_UPDATE, 0, 0, &0x8000_0005_u32.to_be_bytes()));
    it.hears(&frame(HEADERS, END_HEADERS, 3, PLAIN));
    // Padding counts.
    it.hears(&frame(DATA, END_STREAM | PADDED, 3, &[9; 30]));
    it.wrote(&frame(HEADERS, END_HEADERS, 3, b"\x88"));
    it.wrote(&frame(DATA, END_STREAM, 3, &[0; 70]));
    // Late, for a stream that is over.
    it.hears(&frame(DATA, 0, 3, &[0; 5]));
    let state = it.state().unwrap();
    assert_eq!(state.send_window, FIRST_WINDOW + 1000 - 70);
    assert_eq!(state.receive_window, FIRST_WINDOW + 5 - 35);
    // A window that cannot be.
    it.hears(&frame(WINDOW_UPDATE, 0, 0, &MOST_WINDOW.to_be_bytes()));
    assert_eq!(it.state(), None);
}

#[test]
fn fields_are_found_behind_padding_and_priority() {
    for (flags, payload) in [
        (0, EMPTY.to_vec()),
        (PADDED, [b"\x02", EMPTY, b"\0\0"].concat()),
        (PRIORITY, [b"\0\0\0\0\x10", EMPTY].concat()),
        (
            PADDED | PRIORITY,
            [b"\x01\0\0\0\0\x10", EMPTY, b"\0"].concat(),
        ),
    ] {
        for piece in 1..12 {
            let mut it = introduced();
            let head = frame(HEADERS, END_STREAM | END_HEADERS | flags, 1, &payload);
            for piece in head.chunks(piece) {
                it.hears(piece);
            }
            it.wrote(&frame(HEADERS, END_STREAM | END_HEADERS, 1, b"\x88"));
            assert!(it.state().is_some(), "{flags:x} in pieces of {piece}");
        }
    }
    // Padding alone says nothing, whatever it is.
    let mut it = introduced();
    it.hears(&frame(
        HEADERS,
        END_STREAM | END_HEADERS | PADDED,
        1,
        b"\x03\x20\x20\x20",
    ));
    it.wrote(&frame(HEADERS, END_STREAM | END_HEADERS, 1, b"\x88"));
    assert_eq!(it.state(), None);
    // In the second frame, behind a first that is empty.
    let mut it = introduced();
    it.hears(&frame(HEADERS, END_STREAM, 1, b""));
    it.hears(&frame(CONTINUATION, END_HEADERS, 1, EMPTY));
    it.wrote(&frame(HEADERS, END_STREAM | END_HEADERS, 1, b"\x88"));
    assert!(it.state().is_some());
}

#[test]
fn half_a_frame_is_there_to_be_read_again() {
    let next = frame(HEADERS, END_STREAM | END_HEADERS, 3, PLAIN);
    for length in 0..next.len() {
        for piece in 1..=length.max(1) {
            let mut it = quiet();
            for piece in next[..length].chunks(piece) {
                it.hears(piece);
            }
            assert!(it.state().is_some());
            assert_eq!(it.unread(), &next[..length]);
        }
    }
    // A body of a stream that is open is not kept, and what is not kept keeps the connection.
    let mut it = quiet();
    it.hears(&frame(HEADERS, END_HEADERS, 3, PLAIN));
    let body = frame(DATA, 0, 3, &[0; 20]);
    it.hears(&body[..HEAD + 5]);
    it.wrote(&frame(RST_STREAM, 0, 3, &[0; 4]));
    assert_eq!(it.cut_off(), 1);
    assert_eq!(it.state(), None);
    it.hears(&body[HEAD + 5..]);
    assert!(it.state().is_some());
    assert_eq!(it.unread(), b"");
    // Half a frame of the server is never left.
    let mut it = quiet();
    it.wrote(&frame(PING, ACK, 0, &[0; 8])[..12]);
    assert_eq!(it.state(), None);
}

#[test]
fn it_goes_on_where_it_was() {
    let state = quiet().state().unwrap();
    let mut it = Follower::resumed(&state);
    assert_eq!(it.state(), Some(state));
    it.hears(&frame(HEADERS, END_STREAM | END_HEADERS, 1, PLAIN));
    assert!(it.state().is_some(), "it had this stream");
    it.hears(&frame(HEADERS, END_STREAM | END_HEADERS, 3, PLAIN));
    assert_eq!(it.state(), None);
}
