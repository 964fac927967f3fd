//! Prologue of a moved HTTP/2 connection: frames that bring a new h2 to the state of the old one. Pure: bytes in, bytes out.
//!
//! The page of the module `http2` says why each line of it is there.

use super::follower::FIRST_WINDOW;
use super::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, Head, PING, PREFACE,
    SETTINGS, Step, WINDOW_UPDATE, put,
};
use super::settings::{HEADER_TABLE_SIZE, Settings, USUAL_TABLE_SIZE};
use super::state::State;

/// `GET /` with the scheme `http`, after an update of the table size to 0.
const REQUEST: &[u8] = b"\x20\x82\x84\x86";
/// Number of SETTINGS that the new h2 is sent first, and acknowledges.
const FIRST_ACKS: u32 = 1;
const ALL_ACKS: u32 = 3;

/// Talks to a new h2 in the client's place.
#[derive(Debug)]
pub(super) struct Prologue {
    state: State,
    part: Part,
    /// Bytes for the server to read, and how many of them it has read.
    says: Vec<u8>,
    said: usize,
    frames: Frames,
    payload: Vec<u8>,
    heard: Heard,
    /// Whether the current frame passes, because it is not for the prologue.
    passes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// The request that is not the client's.
    Request,
    /// The client's settings.
    Settings,
    Over,
    Failed(Unexpected),
}

/// What the new h2 has sent.
#[derive(Debug)]
struct Heard {
    settings: Settings,
    acks: u32,
    window: i64,
    body: i64,
    answered: bool,
}

/// Why a connection cannot be resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unexpected {
    #[error("the server announces other settings")]
    Settings,
    #[error("the server's window is smaller")]
    Window,
    #[error("the server has sent too much or too little")]
    Length,
    #[error("the server has sent a frame of kind {0}")]
    Frame(u8),
}

impl Prologue {
    pub(super) fn new(state: State) -> Self {
        let mut says = PREFACE.to_vec();
        put(&mut says, SETTINGS, 0, 0, &[]);
        put(&mut says, SETTINGS, ACK, 0, &[]);
        put(
            &mut says,
            HEADERS,
            END_STREAM | END_HEADERS,
            state.last,
            REQUEST,
        );
        Self {
            state,
            part: Part::Request,
            says,
            said: 0,
            frames: Frames::default(),
            payload: Vec::new(),
            heard: Heard {
                settings: Settings::default(),
                acks: 0,
                window: FIRST_WINDOW.into(),
                body: 0,
                answered: false,
            },
            passes: false,
        }
    }

    /// The length of the answer to that request: the bytes by which the server's window has to shrink.
    pub(super) fn debt(state: &State) -> u32 {
        FIRST_WINDOW.saturating_sub(state.send_window)
    }

    /// The bytes that the server reads next, at most `room`. Nothing while it is the server's turn.
    pub(super) fn says(&mut self, room: usize) -> &[u8] {
        let rest = self.says.get(self.said..).unwrap_or_default();
        let next = &rest[..rest.len().min(room)];
        self.said += next.len();
        next
    }

    pub(super) fn is_over(&self) -> bool {
        self.part == Part::Over
    }

    pub(super) fn failure(&self) -> Option<Unexpected> {
        match self.part {
            Part::Failed(why) => Some(why),
            Part::Request | Part::Settings | Part::Over => None,
        }
    }

    /// Takes bytes that the server writes. Those for the client go to `client`.
    pub(super) fn hears(&mut self, mut bytes: &[u8], client: &mut Vec<u8>) {
        while !self.is_over() && self.failure().is_none() {
            let Some(step) = self.frames.step(&mut bytes) else {
                return;
            };
            match step {
                Step::Begin(head) => {
                    self.payload.clear();
                    self.passes = matches!(head.kind, GOAWAY | PING) && head.stream == 0;
                    if self.passes {
                        client.extend_from_slice(&head.encode());
                    }
                }
                Step::Payload(part) if self.passes => client.extend_from_slice(part),
                Step::Payload(part) => {
                    if matches!(self.frames.kind(), SETTINGS | WINDOW_UPDATE) {
                        self.payload.extend_from_slice(part);
                    }
                }
                Step::End(head) => {
                    if let Err(why) = self.frame(head).and_then(|()| self.turn(client)) {
                        self.part = Part::Failed(why);
                    }
                }
            }
        }
        if self.is_over() {
            client.extend_from_slice(bytes);
        }
    }

    fn frame(&mut self, head: Head) -> Result<(), Unexpected> {
        let request = head.stream == self.state.last;
        match head.kind {
            _ if self.passes => {}
            SETTINGS if head.has(ACK) => self.heard.acks += 1,
            SETTINGS => self.heard.settings.merge(&self.payload),
            WINDOW_UPDATE if head.stream == 0 => {
                let increment = self.payload.first_chunk().copied().unwrap_or_default();
                self.heard.window += i64::from(u32::from_be_bytes(increment));
            }
            // About the stream of the request, which ends with it.
            WINDOW_UPDATE if request => {}
            HEADERS | DATA | CONTINUATION if request => {
                if head.kind == DATA {
                    self.heard.body += i64::from(head.length);
                }
                self.heard.answered |= head.kind != CONTINUATION && head.has(END_STREAM);
            }
            other => return Err(Unexpected::Frame(other)),
        }
        Ok(())
    }

    /// Sends the next part, if it is our turn.
    fn turn(&mut self, client: &mut Vec<u8>) -> Result<(), Unexpected> {
        let heard = &self.heard;
        if self.part == Part::Request && heard.answered && heard.acks >= FIRST_ACKS {
            if heard.settings.without(HEADER_TABLE_SIZE)
                != self.state.ours.without(HEADER_TABLE_SIZE)
            {
                return Err(Unexpected::Settings);
            }
            if heard.body != i64::from(Self::debt(&self.state)) {
                return Err(Unexpected::Length);
            }
            self.part = Part::Settings;
            self.tell_settings();
        } else if self.part == Part::Settings && heard.acks >= ALL_ACKS {
            let more = heard.window - i64::from(self.state.receive_window);
            let more = u32::try_from(more).map_err(|_| Unexpected::Window)?;
            if more > 0 {
                put(client, WINDOW_UPDATE, 0, 0, &more.to_be_bytes());
            }
            self.part = Part::Over;
        }
        Ok(())
    }

    fn tell_settings(&mut self) {
        let mut theirs = self.state.theirs;
        let size = theirs.get(HEADER_TABLE_SIZE).unwrap_or(USUAL_TABLE_SIZE);
        let mut nothing = Settings::default();
        nothing.set(HEADER_TABLE_SIZE, 0);
        theirs.set(HEADER_TABLE_SIZE, size);
        let more = self.state.send_window.saturating_sub(FIRST_WINDOW);
        if more > 0 {
            put(&mut self.says, WINDOW_UPDATE, 0, 0, &more.to_be_bytes());
        }
        put(&mut self.says, SETTINGS, 0, 0, &nothing.payload());
        // Last, so that its acknowledgement means that everything was read.
        put(&mut self.says, SETTINGS, 0, 0, &theirs.payload());
    }
}

#[cfg(test)]
mod tests;
