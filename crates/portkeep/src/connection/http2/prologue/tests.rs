use super::super::frames::{HEAD, RST_STREAM};
use super::super::settings::Settings;
use super::*;

fn state() -> State {
    let mut ours = Settings::default();
    ours.set(HEADER_TABLE_SIZE, 0);
    let mut theirs = Settings::default();
    theirs.set(4, 100_000);
    State {
        last: 9,
        send_window: 65_000,
        receive_window: 1_000_000,
        said: true,
        ours,
        theirs,
    }
}

/// The kinds of what it says, with flags and streams.
fn said(prologue: &mut Prologue) -> Vec<(u8, u8, u32, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        let part = prologue.says(7);
        if part.is_empty() {
            break;
        }
        bytes.extend_from_slice(part);
    }
    let mut rest = bytes.strip_prefix(PREFACE).unwrap_or(&bytes);
    let mut frames = Frames::default();
    let (mut found, mut payload) = (Vec::new(), Vec::new());
    while let Some(step) = frames.step(&mut rest) {
        match step {
            Step::Begin(_) => {}
            Step::Payload(part) => payload.extend_from_slice(part),
            Step::End(head) => {
                found.push((
                    head.kind,
                    head.flags,
                    head.stream,
                    std::mem::take(&mut payload),
                ));
            }
        }
    }
    found
}

/// What a server says before the client's settings: its own, its window, and an answer of so many bytes.
fn first_part(window: u32, body: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    put(&mut bytes, SETTINGS, 0, 0, &state().ours.payload());
    put(&mut bytes, SETTINGS, ACK, 0, &[]);
    let more = window - FIRST_WINDOW;
    if more > 0 {
        put(&mut bytes, WINDOW_UPDATE, 0, 0, &more.to_be_bytes());
    }
    put(&mut bytes, HEADERS, END_HEADERS, 9, b"\x88");
    put(&mut bytes, DATA, END_STREAM, 9, &vec![0; body]);
    bytes
}

fn acks() -> Vec<u8> {
    let mut bytes = Vec::new();
    put(&mut bytes, SETTINGS, ACK, 0, &[]);
    put(&mut bytes, SETTINGS, ACK, 0, &[]);
    bytes
}

#[test]
fn each_side_has_its_turn() {
    for piece in 1..60 {
        let mut prologue = Prologue::new(state());
        let mut client = Vec::new();
        let kinds: Vec<_> = said(&mut prologue).iter().map(|frame| frame.0).collect();
        assert_eq!(kinds, [SETTINGS, SETTINGS, HEADERS]);
        for part in first_part(1 << 20, 535).chunks(piece) {
            prologue.hears(part, &mut client);
        }
        let settings = said(&mut prologue);
        assert_eq!(settings.len(), 2);
        assert_eq!(settings[0].3, b"\0\x01\0\0\0\0");
        assert_eq!(settings[1].3, b"\0\x01\0\0\x10\0\0\x04\0\x01\x86\xa0");
        // What is behind it is for the client.
        let bytes = [acks(), b"whatever".to_vec()].concat();
        for part in bytes.chunks(piece) {
            let over = prologue.is_over();
            if over {
                client.extend_from_slice(part);
            } else {
                prologue.hears(part, &mut client);
            }
        }
        assert!(prologue.is_over());
        let mut told = Vec::new();
        let more = (1 << 20) - 1_000_000_u32;
        put(&mut told, WINDOW_UPDATE, 0, 0, &more.to_be_bytes());
        told.extend_from_slice(b"whatever");
        assert_eq!(client, told);
    }
}

#[test]
fn windows_are_told_whatever_they_are() {
    for (send, ours, heard) in [
        (FIRST_WINDOW, FIRST_WINDOW, FIRST_WINDOW),
        (0, 10, FIRST_WINDOW),
        (1 << 30, 70_000, 70_000),
        (FIRST_WINDOW + 1, FIRST_WINDOW, 1 << 30),
    ] {
        let state = State {
            send_window: send,
            receive_window: ours,
            ..state()
        };
        let debt = FIRST_WINDOW.saturating_sub(send);
        assert_eq!(Prologue::debt(&state), debt);
        let mut prologue = Prologue::new(state);
        let mut client = Vec::new();
        said(&mut prologue);
        prologue.hears(&first_part(heard, debt as usize), &mut client);
        let updates: Vec<_> = said(&mut prologue)
            .into_iter()
            .filter(|frame| frame.0 == WINDOW_UPDATE)
            .map(|frame| u32::from_be_bytes(frame.3.try_into().unwrap()))
            .collect();
        let more = send.saturating_sub(FIRST_WINDOW);
        assert_eq!(updates, Vec::from_iter((more > 0).then_some(more)));
        prologue.hears(&acks(), &mut client);
        assert!(prologue.is_over());
        // Of 65,535 too, for which h2 sends none.
        let told = (heard > ours).then(|| (heard - ours).to_be_bytes());
        let found = client.get(HEAD..).map(|four| four.try_into().unwrap());
        assert_eq!(found, told, "{ours} of {heard}");
    }
}

#[test]
fn what_is_not_as_expected_ends_it() {
    let mut other = Vec::new();
    put(&mut other, SETTINGS, 0, 0, b"\0\x04\0\0\0\x01");
    let mut reset = first_part(1 << 20, 535);
    let data = reset.len() - 535 - HEAD;
    reset.truncate(data);
    put(&mut reset, RST_STREAM, 0, 9, &[0; 4]);
    let mut stranger = Vec::new();
    put(&mut stranger, HEADERS, END_HEADERS | END_STREAM, 2, b"\x88");
    for (bytes, why) in [
        (
            [other, first_part(1 << 20, 535)].concat(),
            Unexpected::Settings,
        ),
        (first_part(1 << 20, 534), Unexpected::Length),
        (reset, Unexpected::Frame(RST_STREAM)),
        (stranger, Unexpected::Frame(HEADERS)),
        (
            [first_part(999_999, 535), acks()].concat(),
            Unexpected::Window,
        ),
    ] {
        let mut prologue = Prologue::new(state());
        let mut client = Vec::new();
        said(&mut prologue);
        prologue.hears(&bytes, &mut client);
        prologue.hears(&acks(), &mut client);
        assert_eq!(prologue.failure(), Some(why));
        assert!(client.is_empty());
    }
}

#[test]
fn what_is_about_the_connection_itself_goes_to_the_client() {
    let mut prologue = Prologue::new(state());
    let mut ping = Vec::new();
    put(&mut ping, PING, 0, 0, &[1; 8]);
    put(&mut ping, GOAWAY, 0, 0, &[2; 8]);
    let mut client = Vec::new();
    for byte in [&ping[..], &first_part(1 << 20, 535)].concat() {
        prologue.hears(&[byte], &mut client);
    }
    assert_eq!(client, ping);
    assert_eq!(prologue.failure(), None);
}
