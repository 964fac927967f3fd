//! Random conversations, and noise.

use super::*;
use crate::seeded_random::SeededRandom;

/// What a conversation comes to, counted in another way: frame by frame, with nothing left out.
#[derive(Default)]
struct Model {
    open: Vec<(u32, bool, bool)>,
    last: u32,
    table: Option<u8>,
    sent: i64,
    received: i64,
    waits: [i64; 4],
    over: bool,
}

/// A random conversation of frames that make sense, and where each begins and ends.
struct Conversation {
    frames: Vec<(bool, Vec<u8>)>,
}

impl Conversation {
    fn new(random: &mut SeededRandom) -> (Self, Vec<Option<Model>>) {
        let mut frames = Vec::new();
        let mut facts = Vec::new();
        let mut model = Model::default();
        let count = 1 + random.below(60);
        for _ in 0..count {
            let (client, bytes) = model.step(random);
            frames.push((client, bytes));
            facts.push(model.snapshot());
        }
        (Self { frames }, facts)
    }
}

impl Model {
    fn snapshot(&self) -> Option<Model> {
        let quiet = self.open.is_empty()
            && self.table == Some(0)
            && self.waits == [0; 4]
            && !self.over
            && self.last > 0;
        quiet.then(|| Model {
            last: self.last,
            sent: self.sent,
            received: self.received,
            ..Model::default()
        })
    }

    fn step(&mut self, random: &mut SeededRandom) -> (bool, Vec<u8>) {
        let ends = if random.once_in(2) { END_STREAM } else { 0 };
        let size = random.size(300) as usize;
        match random.below(14) {
            0..=2 => {
                self.last += 1 + 2 * random.below(3) as u32 + self.last % 2;
                let says = random.below(4);
                let mut block: Vec<u8> = match says {
                    0 => vec![0x20],
                    1 => vec![0x3f, 0xe1, 0x1f],
                    2 => vec![0x3f, 0xe1, 0x1f, 0x20],
                    _ => vec![],
                };
                match says {
                    0 | 2 => self.table = Some(0),
                    1 => self.table = Some(1),
                    _ => {}
                }
                block.extend_from_slice(PLAIN);
                let mut flags = ends | END_HEADERS;
                if random.once_in(3) {
                    flags |= PRIORITY;
                    block.splice(0..0, [0; 5]);
                }
                if random.once_in(3) {
                    flags |= PADDED;
                    let padding = random.below(9) as u8;
                    block.insert(0, padding);
                    block.extend(vec![0x20; padding.into()]);
                }
                self.open.push((self.last, ends != 0, false));
                (true, frame(HEADERS, flags, self.last, &block))
            }
            3..=7 if !self.open.is_empty() => {
                let place = random.below(self.open.len() as u64) as usize;
                let number = self.open[place].0;
                let bytes = vec![random.below(256) as u8; size];
                let client = random.once_in(2);
                match random.below(6) {
                    0 => {
                        self.open.remove(place);
                        return (client, frame(RST_STREAM, 0, number, &[0; 4]));
                    }
                    1 if client && self.open[place].1 || !client && self.open[place].2 => {
                        return (client, frame(WINDOW_UPDATE, 0, number, &[0, 0, 1, 0]));
                    }
                    _ => {}
                }
                let stream = &mut self.open[place];
                let side = if client { &mut stream.1 } else { &mut stream.2 };
                if *side {
                    return (client, frame(WINDOW_UPDATE, 0, number, &[0, 0, 1, 0]));
                }
                *side = ends != 0;
                if stream.1 && stream.2 {
                    self.open.remove(place);
                }
                if random.once_in(4) {
                    return (client, frame(HEADERS, ends | END_HEADERS, number, PLAIN));
                }
                *(if client {
                    &mut self.received
                } else {
                    &mut self.sent
                }) += size as i64;
                (client, frame(DATA, ends, number, &bytes))
            }
            8 => {
                let more = 1 + random.below(1000) as u32;
                let client = random.once_in(2);
                *(if client {
                    &mut self.sent
                } else {
                    &mut self.received
                }) -= i64::from(more);
                (client, frame(WINDOW_UPDATE, 0, 0, &more.to_be_bytes()))
            }
            9 | 10 => {
                let which = random.below(4) as usize;
                let kind = if which < 2 { PING } else { SETTINGS };
                let payload: &[u8] = if which < 2 { &[0x20; 8] } else { b"" };
                let client = which.is_multiple_of(2);
                if self.waits[which] > 0 {
                    self.waits[which] -= 1;
                    let empty: &[u8] = if which < 2 { &[0x20; 8] } else { b"" };
                    return (!client, frame(kind, ACK, 0, empty));
                }
                self.waits[which] += 1;
                (client, frame(kind, 0, 0, payload))
            }
            11 if random.once_in(20) => {
                self.over = true;
                (random.once_in(2), frame(GOAWAY, 0, 0, &[0; 8]))
            }
            12 => (random.once_in(2), frame(0xfa, 0xff, 1, &vec![0x20; size])),
            // Priority.
            _ => (true, frame(2, 0, self.last | 1, &[0; 5])),
        }
    }
}

/// `PORTKEEP_MOVE_CASES` and `PORTKEEP_MOVE_SEED` as for those that move whole connections.
fn cases(default: u64) -> (u64, u64) {
    let number = |variable: &str, default| {
        let text = std::env::var(variable).ok();
        text.map_or(default, |text| text.parse().unwrap())
    };
    (
        number("PORTKEEP_MOVE_CASES", default),
        number("PORTKEEP_MOVE_SEED", 1),
    )
}

#[test]
fn what_is_followed_is_what_was_said_however_it_is_split() {
    let (cases, seed) = cases(3000);
    let mut moments = 0;
    for case in 0..cases {
        let mut random = SeededRandom::new(seed, case);
        let (conversation, facts) = Conversation::new(&mut random);
        let mut it = introduced();
        for ((client, bytes), expected) in conversation.frames.iter().zip(&facts) {
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let length = 1 + random.below(rest.len() as u64) as usize;
                let (piece, after) = rest.split_at(length.min(rest.len()));
                match client {
                    true => it.hears(piece),
                    false => it.wrote(piece),
                }
                rest = after;
                // In the middle of a frame nothing is certain that was not before it.
                if !rest.is_empty() && it.state().is_some() {
                    assert!(*client, "half a frame of the server");
                    let done = bytes.len() - rest.len();
                    assert_eq!(it.unread(), &bytes[..done], "seed {seed}, case {case}");
                }
            }
            let found = it.state();
            assert_eq!(
                found.is_some(),
                expected.is_some(),
                "seed {seed}, case {case}"
            );
            if let (Some(found), Some(expected)) = (found, expected) {
                moments += 1;
                let first = i64::from(FIRST_WINDOW);
                assert_eq!(found.last, expected.last);
                assert_eq!(i64::from(found.send_window), first - expected.sent);
                assert_eq!(i64::from(found.receive_window), first - expected.received);
            }
        }
    }
    assert!(moments > cases / 5, "{moments} moments prove nothing");
}

/// Whatever comes, nothing is worse than that the connection does not move.
#[test]
fn noise_is_survived() {
    let (cases, seed) = cases(3000);
    for case in 0..cases {
        let mut random = SeededRandom::new(!seed, case);
        let mut it = if random.once_in(2) {
            Follower::new()
        } else {
            quiet()
        };
        for _ in 0..random.below(20) {
            let length = random.size(500) as usize;
            let mut bytes: Vec<u8> = (0..length).map(|_| random.below(256) as u8).collect();
            if random.once_in(2) {
                let kind = random.below(11) as u8;
                let stream = random.below(9) as u32;
                bytes = frame(kind, random.below(256) as u8, stream, &bytes);
            }
            match random.once_in(2) {
                true => _ = it.read(&bytes),
                false => it.wrote(&bytes),
            }
            if let Some(state) = it.state() {
                assert_eq!(State::decode(&state.encode()), Some(state));
            }
        }
    }
}
