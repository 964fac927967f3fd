//! A client that writes its frames by hand, as no library does.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use super::super::app::letters;
use super::Totals;
use super::app::sum_of;
use super::written::*;
use crate::seeded_random::SeededRandom;

/// Longer than any case takes, and as long as one may wait for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// One request that is under way.
struct Asked {
    expected: Vec<u8>,
    got: Vec<u8>,
    /// What of its body is still to be sent; nothing when it has ended.
    body: Option<Vec<u8>>,
    /// It ends with trailers.
    trailers: bool,
    /// How much may be sent, and how much may come.
    send: i64,
    receive: i64,
    status: bool,
    done: bool,
}

struct Client {
    stream: TcpStream,
    random: SeededRandom,
    number: u64,
    /// What is to be sent, and what of it may still be cut.
    out: Vec<u8>,
    read: Vec<u8>,
    last: u32,
    asked: BTreeMap<u32, Asked>,
    /// Requests that were given up. What comes for them is on its way already.
    given_up: BTreeSet<u32>,
    /// The table that the server allows, where the next block has to say so, the smallest first.
    tables: Vec<u32>,
    table: u32,
    send: i64,
    receive: i64,
    /// What new streams begin with: of the server, and of this client.
    first_send: i64,
    first_receive: i64,
    /// Settings that the server has not acknowledged, and what each changes.
    told: Vec<Option<i64>>,
    acknowledged: bool,
    pings: u32,
    ended: bool,
}

pub(super) async fn case(
    address: SocketAddr,
    number: u64,
    random: SeededRandom,
    totals: Arc<Totals>,
) -> Result<(), String> {
    let mut client = Client::connect(address, number, random).await;
    let rounds = 3 + client.random.below(12);
    for round in 0..rounds {
        let streams = 1 + client.random.below(5);
        for _ in 0..streams {
            client.ask();
            totals.asked();
        }
        let answered = timeout(PATIENCE, client.until_answered()).await;
        match answered {
            Ok(Ok(())) => {}
            Ok(Err(_)) if client.ended => break,
            Ok(Err(why)) => return Err(format!("round {round}: {why}")),
            Err(_) => return Err(format!("round {round} hangs with {:?}", client.open())),
        }
        if client.ended {
            break;
        }
        let pause = client.random.below(5000);
        if client.random.once_in(2) {
            // Half of something, which the next one finishes.
            client.between();
            let cut = client.random.below(client.out.len() as u64 + 1) as usize;
            client.flush(cut).await.map_err(|error| error.to_string())?;
            let idle = timeout(Duration::from_micros(pause), client.hear()).await;
            if let Ok(Err(why)) = idle {
                return if client.ended { Ok(()) } else { Err(why) };
            }
        } else if client.random.once_in(2) {
            sleep(Duration::from_micros(pause)).await;
        }
    }
    if client.ended {
        totals.ended();
    }
    Ok(())
}

impl Client {
    async fn connect(address: SocketAddr, number: u64, mut random: SeededRandom) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        if random.once_in(3) {
            socket.set_recv_buffer_size(4096).unwrap();
            socket.set_send_buffer_size(4096).unwrap();
        }
        let stream = socket.connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut client = Self {
            stream,
            random,
            number,
            out: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            read: Vec::new(),
            last: 0,
            asked: BTreeMap::new(),
            given_up: BTreeSet::new(),
            tables: Vec::new(),
            table: 4096,
            send: 65_535,
            receive: 65_535,
            first_send: 65_535,
            first_receive: 65_535,
            told: Vec::new(),
            acknowledged: false,
            pings: 0,
            ended: false,
        };
        client.tell();
        if client.random.once_in(2) {
            client.grant(0, 1 + client.random.clone().below(1 << 20) as u32);
        }
        client
    }

    fn open(&self) -> Vec<u32> {
        let open = self.asked.iter().filter(|(_, asked)| !asked.done);
        open.map(|(number, _)| *number).collect()
    }

    /// Other settings.
    fn tell(&mut self) {
        let mut payload = Vec::new();
        let mut change = None;
        let mut set = |number: u16, value: u32| {
            payload.extend_from_slice(&number.to_be_bytes());
            payload.extend_from_slice(&value.to_be_bytes());
        };
        if self.random.once_in(2) {
            set(1, [0, 1, 100, 4096, 1 << 20][self.random.below(5) as usize]);
        }
        if self.random.once_in(2) {
            let window = [100, 1000, 65_535, 300_000][self.random.below(4) as usize];
            change = Some(i64::from(window));
            set(4, window);
        }
        if self.random.once_in(3) {
            set(5, 16_384 + self.random.below(1000) as u32);
        }
        if self.random.once_in(3) {
            // Nobody knows this one.
            set(0xfafa, 7);
        }
        put(&mut self.out, SETTINGS, 0, 0, &payload);
        self.told.push(change);
    }

    /// What may stand between two requests.
    fn between(&mut self) {
        match self.random.below(6) {
            0 => {
                put(&mut self.out, PING, 0, 0, &[7; 8]);
                self.pings += 1;
            }
            // Windows of streams that are open would have to be followed through that.
            1 if self.open().is_empty() && self.told.is_empty() => self.tell(),
            2 => put(&mut self.out, 2, 0, self.last | 1, &[0, 0, 0, 0, 9]),
            3 => put(&mut self.out, 0xfa, 0x55, 0, b"nobody knows this"),
            4 if self.last > 0 => put(&mut self.out, RST_STREAM, 0, self.last, &[0, 0, 0, 8]),
            _ => self.grant(0, 1),
        }
    }

    fn grant(&mut self, stream: u32, more: u32) {
        put(&mut self.out, WINDOW_UPDATE, 0, stream, &more.to_be_bytes());
        match stream {
            0 => self.receive += i64::from(more),
            stream => {
                if let Some(asked) = self.asked.get_mut(&stream) {
                    asked.receive += i64::from(more);
                }
            }
        }
    }

    /// One more request.
    fn ask(&mut self) {
        self.last += if self.last == 0 {
            1
        } else {
            2 + 2 * self.random.below(2) as u32
        };
        let size = self.random.size(60_000) as usize;
        let (path, body, trailers, expected) = match self.random.below(4) {
            0 => (format!("/fixed/{size}"), None, false, letters(size)),
            1 => {
                let ms = self.random.below(3);
                (format!("/late/{ms}"), None, false, b"late".to_vec())
            }
            _ => {
                let body = letters(size);
                let trailers = self.random.once_in(3);
                let expected = sum_of(&body, trailers.then_some("t")).into_bytes();
                ("/sum".to_owned(), Some(body), trailers, expected)
            }
        };
        let mut block = Vec::new();
        block.push(if body.is_some() { 0x83 } else { 0x82 });
        block.push(0x86);
        // Names by their numbers in the table that everybody has, values as they are.
        block.extend([0x04, path.len() as u8]);
        block.extend(path.bytes());
        let id = format!("s{}.{}", self.number, self.last);
        block.extend([0x10, 4]);
        block.extend(b"x-id");
        block.push(id.len() as u8);
        block.extend(id.bytes());
        let flags = if body.is_none() { END } else { 0 };
        self.fields(flags, &block);
        self.asked.insert(
            self.last,
            Asked {
                expected,
                got: Vec::new(),
                body,
                trailers,
                send: self.first_send,
                receive: self.first_receive,
                status: false,
                done: false,
            },
        );
    }

    /// A block, in as many frames as it likes.
    fn fields(&mut self, flags: u8, block: &[u8]) {
        self.fields_of(self.last, flags, block);
    }

    fn fields_of(&mut self, stream: u32, flags: u8, block: &[u8]) {
        let mut flags = flags;
        let mut updates = Vec::new();
        for size in std::mem::take(&mut self.tables) {
            updates.extend_from_slice(if size == 0 { b"\x20" } else { b"\x3f\xe1\x1f" });
        }
        let block = [&updates, block].concat();
        let cut = match self.random.below(3) {
            0 => self.random.below(block.len() as u64) as usize,
            _ => block.len(),
        };
        let (first, mut rest) = block.split_at(cut);
        let mut payload = first.to_vec();
        if self.random.once_in(3) {
            flags |= PRIORITY;
            payload.splice(0..0, [0, 0, 0, 0, 15]);
        }
        if self.random.once_in(3) {
            flags |= PADDED;
            let padding = self.random.below(30) as u8;
            payload.insert(0, padding);
            payload.extend(vec![0; padding.into()]);
        }
        if rest.is_empty() {
            flags |= END_HEADERS;
        }
        put(&mut self.out, HEADERS, flags, stream, &payload);
        // h2 does not bear many.
        let least = rest.len().div_ceil(4);
        while !rest.is_empty() {
            let more = self.random.below(rest.len() as u64) as usize;
            let (part, after) = rest.split_at(more.max(least).min(rest.len()));
            let flags = if after.is_empty() { END_HEADERS } else { 0 };
            put(&mut self.out, CONTINUATION, flags, stream, part);
            rest = after;
        }
    }

    /// Wants no more of a request that may have been answered in part, and whose body may have been sent in part.
    fn give_up(&mut self) {
        let open = self.open();
        let Some(number) = open.get(self.random.below(open.len().max(1) as u64) as usize) else {
            return;
        };
        put(&mut self.out, RST_STREAM, 0, *number, &[0, 0, 0, 8]);
        self.asked.remove(number);
        self.given_up.insert(*number);
    }

    /// As much of the bodies as may be sent.
    fn upload(&mut self) {
        let numbers: Vec<_> = self.asked.keys().copied().collect();
        for number in numbers {
            let Some(asked) = self.asked.get_mut(&number) else {
                continue;
            };
            let Some(body) = asked.body.take() else {
                continue;
            };
            let padding = if self.random.once_in(3) {
                1 + self.random.below(40)
            } else {
                0
            };
            let room = asked.send.min(self.send).min(16_384) - padding as i64;
            if room <= 0 && !body.is_empty() {
                asked.body = Some(body);
                continue;
            }
            let most = (body.len() as u64).min(room.max(0) as u64);
            let count = self.random.below(most + 1) as usize;
            let (part, rest) = body.split_at(count);
            let ends = rest.is_empty();
            let mut payload = part.to_vec();
            let mut flags = if ends && !asked.trailers { END } else { 0 };
            if padding > 0 && room > 0 {
                flags |= PADDED;
                payload.insert(0, (padding - 1) as u8);
                payload.extend(vec![0; padding as usize - 1]);
            }
            asked.send -= payload.len() as i64;
            self.send -= payload.len() as i64;
            let trailers = asked.trailers;
            if !ends {
                asked.body = Some(rest.to_vec());
            }
            put(&mut self.out, DATA, flags, number, &payload);
            if ends && trailers {
                self.fields_of(number, END, b"\x10\x09x-trailer\x01t");
            }
        }
    }

    /// Writes what there is but for the last `kept` bytes, in pieces.
    async fn flush(&mut self, kept: usize) -> io::Result<()> {
        let whole = self.out.len() - kept;
        let out: Vec<u8> = self.out.drain(..whole).collect();
        let mut rest = &out[..];
        while !rest.is_empty() {
            let length = match self.random.below(4) {
                0 => 1,
                1 => 1 + self.random.below(30) as usize,
                _ => 1 + self.random.size(70_000) as usize,
            };
            let (part, after) = rest.split_at(length.min(rest.len()));
            self.stream.write_all(part).await?;
            rest = after;
            if self.random.once_in(4) {
                sleep(Duration::from_micros(self.random.below(1500))).await;
            }
        }
        Ok(())
    }

    async fn until_answered(&mut self) -> Result<(), String> {
        while !self.open().is_empty() || !self.acknowledged {
            self.upload();
            // By then most have had a part of their answers.
            if self.random.once_in(40) {
                self.give_up();
                continue;
            }
            self.flush(0).await.map_err(|error| {
                self.ended |= error.kind() != io::ErrorKind::InvalidData;
                error.to_string()
            })?;
            let uploads = self
                .asked
                .values()
                .any(|asked| asked.body.is_some() && asked.send.min(self.send) > 41 && !asked.done);
            let wait = if uploads {
                Duration::from_micros(300)
            } else {
                PATIENCE
            };
            match timeout(wait, self.hear()).await {
                Ok(heard) => heard?,
                Err(_) if uploads => {}
                Err(_) => return Err(format!("no answer to {:?}", self.open())),
            }
        }
        self.asked.clear();
        Ok(())
    }

    /// Waits for something, and takes it.
    async fn hear(&mut self) -> Result<(), String> {
        let read = self.stream.read_buf(&mut self.read).await;
        if !matches!(read, Ok(1..)) {
            return Err(format!(
                "it ends with {read:?} while {:?} wait",
                self.open()
            ));
        }
        while self.read.len() >= 9 {
            let length = u32::from_be_bytes([0, self.read[0], self.read[1], self.read[2]]) as usize;
            if self.read.len() < 9 + length {
                break;
            }
            let frame: Vec<u8> = self.read.drain(..9 + length).collect();
            let stream = u32::from_be_bytes(frame[5..9].try_into().unwrap());
            self.frame(frame[3], frame[4], stream, &frame[9..])?;
        }
        Ok(())
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Result<(), String> {
        match kind {
            DATA => self.data(flags, stream, payload)?,
            // Blocks of this server's fit into one frame, and its table is not looked into.
            HEADERS if self.given_up.contains(&stream) => {}
            HEADERS => {
                let asked = self.asked.get_mut(&stream).ok_or("an answer to nothing")?;
                let mut block = payload;
                // Updates of its table.
                while let [first, rest @ ..] = block
                    && first & 0xe0 == 0x20
                {
                    block = rest;
                    while *first == 0x3f
                        && let [more, rest @ ..] = block
                    {
                        block = rest;
                        if more & 0x80 == 0 {
                            break;
                        }
                    }
                }
                if !asked.status && block.first() != Some(&0x88) {
                    return Err(format!("stream {stream} is answered by {payload:x?}"));
                }
                asked.status = true;
                if flags & END != 0 {
                    return self.answered(stream);
                }
            }
            RST_STREAM => {
                let asked = self.asked.get(&stream);
                // Of what was reset here, or was answered before its body was sent.
                if asked.is_some_and(|asked| !asked.done) {
                    return Err(format!("stream {stream} is reset: {payload:x?}"));
                }
            }
            SETTINGS if flags & END != 0 => {
                if self.told.is_empty() {
                    return Err("an acknowledgement of nothing".to_owned());
                }
                if let Some(window) = self.told.remove(0) {
                    // There are no streams while it changes, but for the first time.
                    for asked in self.asked.values_mut() {
                        asked.receive += window - self.first_receive;
                    }
                    self.first_receive = window;
                }
            }
            SETTINGS => {
                for setting in payload.chunks_exact(6) {
                    let value = u32::from_be_bytes(setting[2..6].try_into().unwrap());
                    match setting[1] {
                        1 => {
                            if !matches!(value, 0 | 4096) || self.table == value {
                                return Err(format!(
                                    "a table of {value}, and {} before",
                                    self.table
                                ));
                            }
                            self.table = value;
                            // What was larger for a while is not said.
                            self.tables.retain(|size| *size < value);
                            self.tables.push(value);
                        }
                        _ if self.acknowledged => {
                            return Err("settings came twice".to_owned());
                        }
                        4 => {
                            for asked in self.asked.values_mut() {
                                asked.send += i64::from(value) - self.first_send;
                            }
                            self.first_send = value.into();
                        }
                        _ => {}
                    }
                }
                put(&mut self.out, SETTINGS, END, 0, b"");
                self.acknowledged = true;
            }
            PING if flags & END != 0 => {
                self.pings = self.pings.checked_sub(1).ok_or("a pong to nothing")?;
            }
            PING => put(&mut self.out, PING, END, 0, payload),
            GOAWAY => {
                let last = u32::from_be_bytes(payload[..4].try_into().unwrap());
                let code = &payload[4..8];
                if code != [0; 4] {
                    return Err(format!("it complains: {payload:x?}"));
                }
                self.ended = true;
                // What it has not begun it does not answer.
                self.asked.retain(|number, _| *number <= last);
            }
            WINDOW_UPDATE => {
                let more = i64::from(u32::from_be_bytes(payload.try_into().unwrap()));
                if stream == 0 {
                    self.send += more;
                } else if let Some(asked) = self.asked.get_mut(&stream) {
                    asked.send += more;
                }
                if self.send >= 1 << 31 {
                    return Err("its window is too large".to_owned());
                }
            }
            CONTINUATION => {}
            other => return Err(format!("a frame of kind {other}")),
        }
        Ok(())
    }

    fn data(&mut self, flags: u8, stream: u32, payload: &[u8]) -> Result<(), String> {
        self.receive -= payload.len() as i64;
        if self.given_up.contains(&stream) {
            return match self.receive < 0 {
                true => Err("more than is allowed for what was given up".to_owned()),
                false => {
                    self.more_for_all();
                    Ok(())
                }
            };
        }
        let Some(asked) = self.asked.get_mut(&stream) else {
            return Err(format!("data of stream {stream}"));
        };
        asked.receive -= payload.len() as i64;
        if self.receive < 0 || asked.receive < 0 {
            return Err(format!(
                "more than is allowed: {} and {} are left",
                self.receive, asked.receive
            ));
        }
        asked.got.extend_from_slice(payload);
        let its = asked.receive;
        if flags & END != 0 {
            self.answered(stream)?;
        } else if its < 50 || self.random.once_in(4) {
            let more = 1 + self.random.below(30_000) as u32;
            self.grant(stream, more);
        }
        self.more_for_all();
        Ok(())
    }

    /// A larger window of the connection, where it is small.
    fn more_for_all(&mut self) {
        if self.receive < 30 || self.random.once_in(5) {
            let more = 1 + self.random.below(60_000) as u32;
            self.grant(0, more);
        }
    }

    fn answered(&mut self, stream: u32) -> Result<(), String> {
        let asked = self.asked.get_mut(&stream).ok_or("an end of nothing")?;
        asked.done = true;
        if asked.got != asked.expected {
            return Err(format!(
                "stream {stream}: {:?} came, not {:?}",
                start(&asked.got),
                start(&asked.expected)
            ));
        }
        Ok(())
    }
}

fn start(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    format!("{} bytes {:.60}", bytes.len(), text)
}
