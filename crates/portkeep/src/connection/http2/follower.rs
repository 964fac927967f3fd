//! State that both sides of an HTTP/2 connection share, derived from the bytes between them. Pure: bytes in, facts out.

use super::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, Head, PADDED, PING,
    PREFACE, PRIORITY, PUSH_PROMISE, RST_STREAM, SETTINGS, Step, WINDOW_UPDATE,
};
use super::settings::{HEADER_TABLE_SIZE, Settings, USUAL_TABLE_SIZE};
use super::state::{MOST_WINDOW, State};
use super::streams::Streams;
use super::table_size::{Table, TableSize};

/// The window that each connection begins with, in both directions.
pub(super) const FIRST_WINDOW: u32 = 65_535;

/// Follows both directions of one connection.
///
/// A frame counts once it is complete, because h2 looks at it then.
#[derive(Debug)]
pub(super) struct Follower {
    /// Missing bytes of the client's preface.
    preface: usize,
    client: Side,
    server: Side,
    streams: Streams,
    /// The bytes of an incomplete frame of the client, if they are kept.
    begun: Vec<u8>,
    /// Whether the incomplete frame is kept.
    keeps: bool,
    table: TableSize,
    block: Block,
    send_window: i64,
    receive_window: i64,
    /// One side has announced the end, or sent something that is not followed.
    over: bool,
}

/// The client has promised an empty table, and its next block does not say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BrokenPromise;

/// Frames of one side.
#[derive(Debug, Default)]
struct Side {
    frames: Frames,
    /// The payload of a frame that is examined.
    payload: Vec<u8>,
    settings: Settings,
    /// Whether its first SETTINGS have come.
    introduced: bool,
    /// Number of its SETTINGS without an acknowledgement.
    unanswered_settings: u32,
    unanswered_pings: u32,
    /// Whether a block of header fields continues in the next frame.
    in_block: bool,
}

/// Position of the block of header fields in a frame.
#[derive(Debug, Default)]
struct Block {
    padded: bool,
    skip: usize,
    left: usize,
}

impl Follower {
    /// Follows a connection from its first byte on.
    pub(super) fn new() -> Self {
        Self {
            preface: PREFACE.len(),
            client: Side::default(),
            server: Side::default(),
            streams: Streams::default(),
            begun: Vec::new(),
            keeps: false,
            table: TableSize::default(),
            block: Block::default(),
            send_window: FIRST_WINDOW.into(),
            receive_window: FIRST_WINDOW.into(),
            over: false,
        }
    }

    /// Follows a connection that another process has followed before.
    pub(super) fn resumed(state: &State) -> Self {
        let side = |settings| Side {
            settings,
            introduced: true,
            ..Side::default()
        };
        Self {
            preface: 0,
            client: side(state.theirs),
            server: side(state.ours),
            streams: Streams::after(state.last),
            table: TableSize::resumed(match state.said {
                true => Table::Empty,
                false => Table::Owed,
            }),
            send_window: state.send_window.into(),
            receive_window: state.receive_window.into(),
            ..Self::new()
        }
    }

    /// Takes bytes from the client that the server is going to read.
    ///
    /// # Errors
    ///
    /// If they cannot be decoded here: none of them may be read.
    #[inline]
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<(), BrokenPromise> {
        if self.table.table() == Table::Broken {
            return Err(BrokenPromise);
        }
        let mut rest = &bytes[self.preface.min(bytes.len())..];
        self.preface -= bytes.len() - rest.len();
        // Where the incomplete frame begins.
        let mut begins = bytes.len() - rest.len();
        while let Some(step) = self.client.frames.step(&mut rest) {
            match step {
                Step::Begin(head) => self.client_begins(head),
                Step::Payload(part) => {
                    self.client_goes_on(part);
                    if self.table.table() == Table::Broken {
                        self.over = true;
                        return Err(BrokenPromise);
                    }
                }
                Step::End(head) => {
                    self.client_ends(head);
                    self.begun.clear();
                    begins = bytes.len() - rest.len();
                }
            }
        }
        let is_kept = self.keeps || self.client.frames.begun_head().is_some();
        if is_kept && !self.client.frames.is_between_frames() {
            self.begun.extend_from_slice(&bytes[begins..]);
        }
        Ok(())
    }

    /// Takes bytes from the server that are on their way to the client.
    pub(super) fn wrote(&mut self, mut bytes: &[u8]) {
        while let Some(step) = self.server.frames.step(&mut bytes) {
            match step {
                Step::Begin(_) => self.server.payload.clear(),
                Step::Payload(part) => self.server.look_into(part),
                Step::End(head) => self.server_ends(head),
            }
        }
    }

    /// The state to continue elsewhere, if no request is open and all of it is certain.
    pub(super) fn state(&self) -> Option<State> {
        let quiet = !self.over
            && self.streams.none_is_open()
            && self.server.frames.is_between_frames()
            && (self.client.frames.is_between_frames() || !self.begun.is_empty())
            && self.is_certain();
        let settled = |side: &Side| {
            side.introduced
                && side.unanswered_settings == 0
                && side.unanswered_pings == 0
                && !side.in_block
        };
        if !quiet || !settled(&self.client) || !settled(&self.server) {
            return None;
        }
        let window =
            |size: i64| Some(u32::try_from(size).ok()?).filter(|size| *size <= MOST_WINDOW);
        Some(State {
            last: Some(self.streams.last()).filter(|last| *last > 0)?,
            send_window: window(self.send_window)?,
            receive_window: window(self.receive_window)?,
            said: self.table.table() == Table::Empty,
            ours: self.server.settings,
            theirs: self.client.settings,
        })
    }

    /// Whether a request is open.
    pub(super) fn is_busy(&self) -> bool {
        !self.streams.none_is_open()
    }

    /// Whether one side has announced the end: then no moment to move is waited for.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Whether the client's table is empty: it has said so, or must say so in its next block.
    pub(super) fn is_certain(&self) -> bool {
        matches!(
            self.table.table(),
            Table::Promised | Table::Owed | Table::Empty
        )
    }

    /// Whether SETTINGS of ours may be sent between two frames of h2's. No SETTINGS of h2's may be unacknowledged:
    /// acknowledgements come in order.
    fn can_tell(&self) -> bool {
        let server = &self.server;
        !self.over
            && server.introduced
            && self.client.introduced
            && server.frames.is_between_frames()
            && !server.in_block
            && server.unanswered_settings == 0
    }

    /// The size of the client's table that has to be announced now, to move or to go on; nothing if none has to.
    pub(super) fn table_to_tell(&self, is_to_move: bool) -> Option<u32> {
        let has = self.server.settings.get(HEADER_TABLE_SIZE);
        let has = has.unwrap_or(USUAL_TABLE_SIZE);
        let size = match (is_to_move, self.table.table()) {
            (true, Table::Kept) => 0,
            // Not before the client has announced an empty table: not every client announces both sizes when its table may
            // grow again.
            (false, Table::Empty) => USUAL_TABLE_SIZE,
            _ => has,
        };
        (size != has && self.can_tell()).then_some(size)
    }

    /// Position in the client's frames.
    pub(super) fn client_frames(&self) -> &Frames {
        &self.client.frames
    }

    /// What the server has read of an incomplete frame.
    pub(super) fn unread(&self) -> &[u8] {
        &self.begun
    }

    /// The largest stream number of the client.
    pub(super) fn last(&self) -> u32 {
        self.streams.last()
    }

    /// Number of streams that the server has reset and whose client may not know of it yet.
    pub(super) fn cut_off(&self) -> u64 {
        self.streams.cut_off()
    }

    fn client_begins(&mut self, head: Head) {
        self.client.payload.clear();
        // The body of a request is not copied: its stream is open until the frame is complete, unless the server resets it,
        // and then the connection moves after the next frame.
        self.keeps = head.kind != DATA || self.streams.none_is_open();
        if !self.keeps {
            self.begun.clear();
        }
        match head.kind {
            HEADERS => {
                self.table.begin();
                self.block = Block::of(head);
            }
            CONTINUATION => self.block = Block::of(head),
            _ => {}
        }
    }

    fn client_goes_on(&mut self, part: &[u8]) {
        match self.client.frames.kind() {
            HEADERS | CONTINUATION => self.block.follow(part, &mut self.table),
            _ => self.client.look_into(part),
        }
    }

    fn client_ends(&mut self, head: Head) {
        let length = i64::from(head.length);
        match head.kind {
            DATA => {
                // Whether its stream is open or not: h2 counts it, and gives it back.
                self.receive_window -= length;
                if head.has(END_STREAM) {
                    self.streams.client_ends(head.stream);
                }
            }
            HEADERS => {
                self.client.in_block = !head.has(END_HEADERS);
                self.streams
                    .client_fields(head.stream, head.has(END_STREAM));
            }
            CONTINUATION => self.client.in_block = !head.has(END_HEADERS),
            RST_STREAM => self.streams.client_resets(head.stream),
            WINDOW_UPDATE if head.stream == 0 => self.send_window += self.client.increment(),
            _ => {
                self.over |= !exchange(head, &mut self.client, &mut self.server);
                let server = &self.server;
                let may_keep_nothing = server.settings.get(HEADER_TABLE_SIZE) == Some(0);
                if head.kind == SETTINGS
                    && head.has(ACK)
                    && server.unanswered_settings == 0
                    && may_keep_nothing
                {
                    self.table.acknowledged();
                }
            }
        }
    }

    fn server_ends(&mut self, head: Head) {
        match head.kind {
            DATA => {
                self.send_window -= i64::from(head.length);
                if head.has(END_STREAM) {
                    self.streams.server_ends(head.stream);
                }
            }
            HEADERS => {
                self.server.in_block = !head.has(END_HEADERS);
                if head.has(END_STREAM) {
                    self.streams.server_ends(head.stream);
                }
            }
            CONTINUATION => self.server.in_block = !head.has(END_HEADERS),
            RST_STREAM => self.streams.server_resets(head.stream),
            WINDOW_UPDATE if head.stream == 0 => self.receive_window += self.server.increment(),
            _ => self.over |= !exchange(head, &mut self.server, &mut self.client),
        }
    }
}

/// Frames that both sides can send about the connection. False if the connection is not followed from here on.
fn exchange(head: Head, from: &mut Side, to: &mut Side) -> bool {
    match (head.kind, head.has(ACK)) {
        (SETTINGS, false) => {
            from.settings.merge(&from.payload);
            from.introduced = true;
            from.unanswered_settings += 1;
        }
        (SETTINGS, true) => to.unanswered_settings = to.unanswered_settings.saturating_sub(1),
        (PING, false) => from.unanswered_pings += 1,
        (PING, true) => to.unanswered_pings = to.unanswered_pings.saturating_sub(1),
        (GOAWAY | PUSH_PROMISE, _) => return false,
        // Priorities, windows of streams, and unknown frames.
        _ => {}
    }
    true
}

impl Side {
    /// Keeps the payload of a frame about the connection.
    fn look_into(&mut self, part: &[u8]) {
        if matches!(self.frames.kind(), SETTINGS | WINDOW_UPDATE) {
            self.payload.extend_from_slice(part);
        }
    }

    /// The increment of a window.
    fn increment(&self) -> i64 {
        match self.payload.first_chunk() {
            Some(increment) => (u32::from_be_bytes(*increment) & MOST_WINDOW).into(),
            // h2 refuses it.
            None => 0,
        }
    }
}

impl Block {
    fn of(head: Head) -> Self {
        let is_first = head.kind == HEADERS;
        let padded = is_first && head.has(PADDED);
        let skip = if is_first && head.has(PRIORITY) { 5 } else { 0 };
        Self {
            padded,
            skip,
            left: (head.length as usize).saturating_sub(skip + usize::from(padded)),
        }
    }

    fn follow(&mut self, mut part: &[u8], table: &mut TableSize) {
        if self.padded
            && let Some((padding, rest)) = part.split_first()
        {
            self.padded = false;
            self.left = self.left.saturating_sub(usize::from(*padding));
            part = rest;
        }
        let skipped = self.skip.min(part.len());
        self.skip -= skipped;
        part = &part[skipped..];
        let block = &part[..self.left.min(part.len())];
        self.left -= block.len();
        table.follow(block);
    }
}

#[cfg(test)]
mod tests;
