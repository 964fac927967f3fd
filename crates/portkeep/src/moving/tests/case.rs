//! What a client sends on one connection.

use crate::seeded_random::SeededRandom;

/// What the cases are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Every request is read to its end.
    Normal,
    /// Handlers do not read the body, which is made of requests.
    Ignored,
    /// Handlers answer, at length, before they read the body.
    Early,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) requests: Vec<Request>,
    /// How many requests may be sent before their answers are there.
    pub(super) ahead: usize,
    /// The client reads little at a time, with pauses.
    pub(super) slow_reader: bool,
    /// Small buffers in the client's socket.
    pub(super) small_buffers: bool,
}

#[derive(Clone)]
pub(super) struct Request {
    pub(super) bytes: Vec<u8>,
    pub(super) is_head: bool,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = String::from_utf8_lossy(&self.bytes);
        write!(
            f,
            "{:?} ({} bytes)",
            &text[..text.len().min(120)],
            self.bytes.len()
        )
    }
}

/// A request that must never be executed.
const SMUGGLED: &[u8] = b"GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n";

impl Case {
    pub(super) fn new(class: Class, number: u64, random: &mut SeededRandom) -> Self {
        let count = 1 + random.below(7);
        let mut requests: Vec<_> = (0..count)
            .map(|index| Request::new(class, &format!("{number}.{index}"), random, ""))
            .collect();
        requests.push(Request::new(
            class,
            &format!("{number}.last"),
            random,
            "Connection: close\r\n",
        ));
        Self {
            ahead: match random.below(3) {
                0 => 1,
                1 => requests.len(),
                _ => 1 + random.below(3) as usize,
            },
            requests,
            slow_reader: random.once_in(4),
            small_buffers: random.once_in(3),
        }
    }
}

impl Request {
    fn new(class: Class, id: &str, random: &mut SeededRandom, more: &str) -> Self {
        let (path, has_body) = match class {
            Class::Normal => match random.below(8) {
                0 | 1 => (format!("/fixed/{}", random.size(20_000)), false),
                2 => (format!("/late/{}", random.below(3)), false),
                3 => (format!("/stream/{}", random.below(5)), false),
                4 => ("/empty".to_owned(), false),
                5 => (format!("/fixed/{}", random.size(2000)), random.once_in(2)),
                _ => ("/digest".to_owned(), true),
            },
            Class::Ignored if random.once_in(3) => ("/fixed/100".to_owned(), false),
            Class::Ignored => (format!("/ignore/{}", random.below(6)), true),
            Class::Early if random.once_in(3) => ("/digest".to_owned(), true),
            Class::Early => (format!("/early/{}", random.size(600_000)), true),
        };
        let is_head = !has_body && class == Class::Normal && random.once_in(6);
        let method = match (has_body, is_head) {
            (true, _) => "POST",
            (_, true) => "HEAD",
            _ => "GET",
        };
        let mut bytes =
            format!("{method} {path} HTTP/1.1\r\nHost: test\r\nx-id: {id}\r\n{more}").into_bytes();
        if has_body {
            // Whether 100 comes before an early answer is a matter of moments.
            if class != Class::Early && random.once_in(6) {
                bytes.extend(b"Expect: 100-continue\r\n");
            }
            let body = body(class, random);
            if random.once_in(2) {
                bytes.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes());
                bytes.extend(body);
            } else {
                bytes.extend(b"Transfer-Encoding: chunked\r\n\r\n");
                // Collecting ten thousands of chunks takes axum seconds.
                let least = 1 + body.len() / 200;
                for chunk in body.chunks(least + random.size(30_000) as usize) {
                    bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
                    bytes.extend(chunk);
                    bytes.extend(b"\r\n");
                }
                bytes.extend(b"0\r\n\r\n");
            }
        } else {
            bytes.extend(b"\r\n");
        }
        Self { bytes, is_head }
    }
}

/// Looks like requests, so that a parser that begins in the middle of it is found out.
fn body(class: Class, random: &mut SeededRandom) -> Vec<u8> {
    let most = match class {
        // Now and then more than hyper takes in; then the connection cannot go on.
        Class::Ignored if random.once_in(8) => 100_000,
        Class::Ignored => 2000,
        _ => 64_000,
    };
    let length = random.size(most) as usize;
    SMUGGLED.iter().copied().cycle().take(length).collect()
}
