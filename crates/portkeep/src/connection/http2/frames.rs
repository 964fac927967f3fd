//! Splits a stream of bytes into HTTP/2 frames, however they are cut into reads.

/// The length of a frame's head.
pub(super) const HEAD: usize = 9;
/// What every client sends before its first frame.
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const END_STREAM: u8 = 1;
pub(super) const ACK: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;
pub(super) const PADDED: u8 = 8;
pub(super) const PRIORITY: u8 = 0x20;

/// The head of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// Length of the payload, padding included.
    pub(super) length: u32,
    pub(super) kind: u8,
    pub(super) flags: u8,
    /// 0 is the connection.
    pub(super) stream: u32,
}

impl Head {
    pub(super) fn decode(bytes: [u8; HEAD]) -> Self {
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = bytes;
        Self {
            length: u32::from_be_bytes([0, l0, l1, l2]),
            kind,
            flags,
            // The first bit is reserved.
            stream: u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]),
        }
    }

    pub(super) fn encode(self) -> [u8; HEAD] {
        let [_, l0, l1, l2] = self.length.to_be_bytes();
        let [s0, s1, s2, s3] = self.stream.to_be_bytes();
        [l0, l1, l2, self.kind, self.flags, s0, s1, s2, s3]
    }

    pub(super) fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Appends a whole frame.
pub(super) fn put(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let head = Head {
        // Our own frames are no longer than a few hundred bytes.
        length: payload.len() as u32,
        kind,
        flags,
        stream,
    };
    out.extend_from_slice(&head.encode());
    out.extend_from_slice(payload);
}

/// The next part of a frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step<'a> {
    /// The head of a frame is complete.
    Begin(Head),
    /// A part of the payload.
    Payload(&'a [u8]),
    /// The frame is complete.
    End(Head),
}

/// Cuts bytes into frames.
#[derive(Debug, Default, Clone)]
pub(super) struct Frames {
    head: [u8; HEAD],
    /// Bytes of the head so far.
    have: usize,
    /// Missing bytes of the payload.
    left: usize,
}

impl Frames {
    /// The next step, and the bytes that it took. Nothing if there are too few.
    #[inline]
    pub(super) fn step<'a>(&mut self, bytes: &mut &'a [u8]) -> Option<Step<'a>> {
        if self.have < HEAD {
            if bytes.is_empty() {
                return None;
            }
            let count = (HEAD - self.have).min(bytes.len());
            self.head[self.have..self.have + count].copy_from_slice(&bytes[..count]);
            self.have += count;
            *bytes = &bytes[count..];
            if self.have < HEAD {
                return None;
            }
            let head = Head::decode(self.head);
            self.left = head.length as usize;
            return Some(Step::Begin(head));
        }
        if self.left > 0 {
            if bytes.is_empty() {
                return None;
            }
            let (payload, rest) = bytes.split_at(self.left.min(bytes.len()));
            self.left -= payload.len();
            *bytes = rest;
            return Some(Step::Payload(payload));
        }
        self.have = 0;
        Some(Step::End(Head::decode(self.head)))
    }

    /// Type of the current frame.
    pub(super) fn kind(&self) -> u8 {
        self.head[3]
    }

    /// Whether no frame is incomplete.
    pub(super) fn is_between_frames(&self) -> bool {
        self.have == 0
    }

    /// The begun head of a frame.
    pub(super) fn begun_head(&self) -> Option<&[u8]> {
        (self.have < HEAD).then(|| &self.head[..self.have])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_the_same_however_they_are_split() {
        let mut bytes = Vec::new();
        put(&mut bytes, HEADERS, END_HEADERS, 1, b"a head");
        put(&mut bytes, SETTINGS, ACK, 0, b"");
        put(&mut bytes, DATA, END_STREAM, 0x7fff_ffff, &[7; 300]);
        let whole = seen(&bytes, bytes.len());
        assert_eq!(whole.len(), 3);
        assert_eq!(whole[1].0.kind, SETTINGS);
        assert_eq!(whole[2].0.stream, 0x7fff_ffff);
        assert_eq!(whole[2].1, [7; 300]);
        for piece in 1..40 {
            assert_eq!(seen(&bytes, piece), whole);
        }
    }

    fn seen(bytes: &[u8], piece: usize) -> Vec<(Head, Vec<u8>)> {
        let mut frames = Frames::default();
        let (mut found, mut payload) = (Vec::new(), Vec::new());
        for mut bytes in bytes.chunks(piece) {
            while let Some(step) = frames.step(&mut bytes) {
                match step {
                    Step::Begin(_) => {}
                    Step::Payload(part) => payload.extend_from_slice(part),
                    Step::End(head) => found.push((head, std::mem::take(&mut payload))),
                }
            }
        }
        assert!(frames.is_between_frames());
        found
    }
}
