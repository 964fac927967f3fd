//! Removes acknowledgements from h2's input that belong to SETTINGS of ours. Pure: bytes in, bytes out.

use super::frames::{ACK, Frames, Head, SETTINGS, Step};

/// Passes on all other bytes of the client at once, but a frame's head only when it is complete.
#[derive(Debug)]
pub(super) struct Sieve {
    frames: Frames,
    /// Bytes of the current head that h2 has already: that frame was on its way before ours.
    given: usize,
    /// Number of acknowledgements that are still to come.
    expected: u32,
    drops: bool,
}

impl Sieve {
    /// Begins at the client's current position.
    pub(super) fn new(frames: &Frames) -> Self {
        Self {
            frames: frames.clone(),
            given: frames.begun_head().map_or(0, <[u8]>::len),
            expected: 0,
            drops: false,
        }
    }

    /// One more acknowledgement is ours. None of h2's own may be missing.
    pub(super) fn expect(&mut self) {
        self.expected += 1;
    }

    /// Whether all have come, and h2 has all other bytes.
    pub(super) fn is_over(&self) -> bool {
        self.expected == 0 && !self.drops && self.frames.begun_head().is_none_or(<[u8]>::is_empty)
    }

    pub(super) fn pass(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while let Some(step) = self.frames.step(&mut bytes) {
            match step {
                Step::Begin(head) => {
                    self.drops = self.is_expected(head);
                    if self.drops {
                        self.expected -= 1;
                    } else {
                        // The reserved bit is lost.
                        out.extend_from_slice(&head.encode()[self.given..]);
                    }
                    self.given = 0;
                }
                Step::Payload(part) => out.extend_from_slice(part),
                Step::End(_) => self.drops = false,
            }
        }
    }

    fn is_expected(&self, head: Head) -> bool {
        // An acknowledgement with a payload is an error, which h2 finds.
        let is_ack = head.kind == SETTINGS && head.has(ACK) && head.length == 0;
        is_ack && self.expected > 0 && self.given == 0
    }
}

#[cfg(test)]
mod tests {
    use super::super::frames::{DATA, PING, put};
    use super::*;

    #[test]
    fn what_is_expected_is_taken_out_and_nothing_else_however_it_is_split() {
        let mut frames = Vec::new();
        let mut add = |kind, flags, payload: &[u8]| {
            let mut bytes = Vec::new();
            put(&mut bytes, kind, flags, 0, payload);
            frames.push(bytes);
        };
        add(PING, ACK, &[1; 8]);
        // The client's SETTINGS are for h2, and so is a frame that only looks like an acknowledgement.
        add(SETTINGS, 0, b"");
        add(DATA, 0, &[0, 0, 0, SETTINGS, ACK, 0, 0, 0, 0]);
        add(SETTINGS, ACK, b"");
        add(PING, 0, &[2; 8]);
        add(SETTINGS, ACK, b"");
        add(SETTINGS, ACK, b"");
        let whole = frames.concat();
        for expected in 0..=3_usize {
            let mut left = frames.clone();
            for place in [3, 5, 6].into_iter().take(expected).rev() {
                left.remove(place);
            }
            // Every position of h2 at the beginning, and every way to cut the rest.
            for begin in 0..frames[0].len() {
                for piece in 1..30 {
                    let mut before = Frames::default();
                    let mut rest = &whole[..begin];
                    while before.step(&mut rest).is_some() {}
                    let mut sieve = Sieve::new(&before);
                    for _ in 0..expected {
                        sieve.expect();
                    }
                    let mut out = whole[..begin].to_vec();
                    for part in whole[begin..].chunks(piece) {
                        sieve.pass(part, &mut out);
                    }
                    assert_eq!(out, left.concat(), "{expected}, {begin}, {piece}");
                    assert!(sieve.is_over());
                }
            }
        }
    }
}
