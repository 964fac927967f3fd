//! Finds the ends of frames and messages of a WebSocket (RFC 6455, section 5.2), by counting. Looks at no payload.

/// The longest head of a frame: two bytes, a length of eight, a mask of four.
const LONGEST_HEAD: usize = 14;

/// One direction of a WebSocket.
#[derive(Debug, Clone, Default)]
pub(crate) struct Frames {
    head: [u8; LONGEST_HEAD],
    /// Bytes of the head so far. 0: a frame has ended.
    come: usize,
    /// Missing bytes of the payload, once the head is complete.
    left: Option<u64>,
    /// Whether a message has begun whose last frame has not ended.
    fragmented: bool,
    closes: bool,
    extended: bool,
}

impl Frames {
    /// Follows these bytes up to the end of a frame. Returns their number: all, if no frame ends in them.
    pub(crate) fn follow(&mut self, bytes: &[u8]) -> usize {
        let mut followed = 0;
        while followed < bytes.len() {
            let left = match self.left {
                Some(left) => left,
                None => {
                    self.head[self.come] = bytes[followed];
                    self.come += 1;
                    followed += 1;
                    match self.payload() {
                        Some(length) => length,
                        None => continue,
                    }
                }
            };
            let here = (bytes.len() - followed) as u64;
            let payload = left.min(here);
            // No more than the length of a slice.
            followed += payload as usize;
            self.left = Some(left - payload);
            if left == payload {
                self.end();
                break;
            }
        }
        followed
    }

    /// The length of the payload, if the head is complete.
    fn payload(&self) -> Option<u64> {
        let [_, second, ..] = self.head;
        if self.come < 2 {
            return None;
        }
        let mask = if second & 0x80 == 0 { 0 } else { 4 };
        let bytes = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        if self.come < 2 + bytes + mask {
            return None;
        }
        if bytes == 0 {
            return Some((second & 0x7f).into());
        }
        let length = self.head[2..2 + bytes].iter();
        Some(length.fold(0, |length, byte| length << 8 | u64::from(*byte)))
    }

    fn end(&mut self) {
        let first = self.head[0];
        let (is_last, opcode) = (first & 0x80 != 0, first & 0x0f);
        self.extended |= first & 0x70 != 0;
        self.closes |= opcode == 8;
        // Control frames may come between those of a message.
        if opcode < 8 {
            self.fragmented = !is_last;
        }
        self.come = 0;
        self.left = None;
    }

    /// The incomplete message will come again, from its beginning.
    pub(crate) fn restart(&mut self) {
        *self = Self {
            closes: self.closes,
            extended: self.extended,
            ..Self::default()
        };
    }

    /// Whether no message is incomplete.
    pub(crate) fn is_between_messages(&self) -> bool {
        self.come == 0 && !self.fragmented
    }

    /// Whether a close frame has come.
    pub(crate) fn closes(&self) -> bool {
        self.closes
    }

    /// Whether a frame had a bit of an extension, such as compression.
    pub(crate) fn is_extended(&self) -> bool {
        self.extended
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seeded_random::SeededRandom;

    fn frame(first: u8, masked: bool, length: usize) -> Vec<u8> {
        let mask = if masked { 0x80 } else { 0 };
        let mut frame = vec![first];
        match length {
            0..126 => frame.push(mask | length as u8),
            126..65536 => {
                frame.push(mask | 126);
                frame.extend((length as u16).to_be_bytes());
            }
            _ => {
                frame.push(mask | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        if masked {
            frame.extend([0xff, 0x88, 0, 1]);
        }
        frame.extend(std::iter::repeat_n(0x88, length));
        frame
    }

    #[test]
    fn it_stops_where_a_frame_ends() {
        for masked in [false, true] {
            for length in [0, 1, 125, 126, 127, 128, 65535, 65536, 70000] {
                let one = frame(0x81, masked, length);
                let two = [&one[..], &frame(0x89, masked, 3)].concat();
                let mut frames = Frames::default();
                assert_eq!(frames.follow(&two), one.len(), "{length}");
                assert!(frames.is_between_messages());
                assert_eq!(frames.follow(&two[one.len()..]), two.len() - one.len());
                assert!(frames.is_between_messages());
                assert!(!frames.closes() && !frames.is_extended());
            }
        }
    }

    #[test]
    fn a_message_ends_with_its_last_frame() {
        let mut frames = Frames::default();
        for (first, between) in [(0x01, false), (0x89, false), (0x00, false), (0x80, true)] {
            let bytes = frame(first, true, 5);
            assert_eq!(frames.follow(&bytes), bytes.len());
            assert_eq!(frames.is_between_messages(), between, "{first:x}");
        }
        frames.follow(&frame(0xc1, true, 5));
        assert!(frames.is_extended() && !frames.closes());
        frames.follow(&frame(0x88, true, 2));
        assert!(frames.closes());
    }

    #[test]
    fn however_it_is_cut_the_frames_are_the_same() {
        for seed in 0..500 {
            let mut random = SeededRandom::new(7, seed);
            let mut ends = Vec::new();
            let mut bytes = Vec::new();
            for _ in 0..20 {
                let first = [0x81, 0x01, 0x80, 0x00, 0x89, 0x8a][random.below(6) as usize];
                let most = if random.once_in(8) { 70_000 } else { 200 };
                let length = random.below(most);
                bytes.extend(frame(first, random.once_in(2), length as usize));
                ends.push(bytes.len());
            }
            let (mut frames, mut at, mut seen) = (Frames::default(), 0, Vec::new());
            while at < bytes.len() {
                let piece = 1 + random.below(300) as usize;
                let piece = &bytes[at..bytes.len().min(at + piece)];
                let followed = frames.follow(piece);
                at += followed;
                if frames.come == 0 {
                    seen.push(at);
                } else {
                    assert_eq!(followed, piece.len());
                }
            }
            assert_eq!(seen, ends, "{seed}");
        }
    }

    #[test]
    fn a_length_that_nobody_has_is_no_trouble() {
        let mut frames = Frames::default();
        let mut huge = vec![0x81, 0x7f];
        huge.extend([0xff; 8]);
        assert_eq!(frames.follow(&huge), huge.len());
        assert_eq!(frames.follow(&[0; 4096]), 4096);
        assert!(!frames.is_between_messages());
    }
}
