//! Row 2: WebSockets and server-sent events across a reload.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::{Measure, Row};
use crate::place::Kind;
use crate::results::Measurement;
use crate::serving::Bench;
use crate::tool::Tool;

pub(super) const ROW: Row = Row {
    number: 2,
    title: "WebSockets and server-sent events across a reload",
    explained: "20 of each are open when a release is reloaded, and watched for 6 s. Told: a close frame, or the proper end of the \
                answer. Cut: the connection ended without it. Goes on: still served by the old process; or by the new one, on the \
                same connection, because the app hands its WebSockets over, for which only portkeep's library has a way. An app that listens to its \
                tool tells its streams; only portkeep's library has such a signal for handlers, in the others they are what the \
                documentation shows.",
    charts: &[],
    columns: &[
        ("told", "told to end"),
        ("cut", "cut"),
        ("goes on", "goes on in the old version"),
        ("new", "goes on in the new version"),
        ("last ms", "last end after, ms"),
        ("new ms", "new version answers after, ms"),
    ],
    rounds: 1,
    takes: Duration::from_secs(16),
    measure: Measure::Each(measure),
};

const STREAMS: usize = 20;
const WATCHED: Duration = Duration::from_secs(6);
/// The version that is reloaded; the one before is `v0`.
const NEW: &str = "v1";
const PACE: Duration = Duration::from_millis(50);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    WebSocket,
    Events,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Told,
    Cut,
    /// The old version serves it on.
    GoesOn,
    /// The new version does.
    New,
}

fn measure(bench: &Bench, tool: &dyn Tool) -> anyhow::Result<Vec<Measurement>> {
    if !tool.runs_the_app() {
        return Ok(Vec::new());
    }
    [(Stream::WebSocket, "WebSocket"), (Stream::Events, "SSE")]
        .into_iter()
        .map(|(stream, case)| across(bench, tool, stream, case))
        .collect()
}

fn across(
    bench: &Bench,
    tool: &dyn Tool,
    stream: Stream,
    case: &str,
) -> anyhow::Result<Measurement> {
    let mut serving = bench.serve(tool, Duration::from_millis(300))?;
    let address = serving.place.address;
    let until = Instant::now() + Duration::from_millis(500) + WATCHED;
    let open: Vec<_> = (0..STREAMS)
        .map(|_| thread::spawn(move || watch(address, stream, until)))
        .collect();
    thread::sleep(Duration::from_millis(500));
    let ended_early = open.iter().filter(|thread| thread.is_finished()).count();
    anyhow::ensure!(
        ended_early == 0,
        "{ended_early} streams did not last until the reload"
    );
    let reload = Instant::now();
    serving.publish(NEW, Kind::Good)?;
    let waited = thread::scope(|scope| {
        let (running, place) = (&mut serving.running, &serving.place);
        // It may wait for the streams.
        let reloads = scope.spawn(move || running.as_mut().map(|running| running.reload()));
        let mut waited = None;
        while waited.is_none() && Instant::now() < until {
            if crate::serving::ask(place.address).is_ok_and(|version| version == NEW) {
                waited = Some(reload.elapsed());
            }
            thread::sleep(Duration::from_millis(2));
        }
        let _ = reloads.join();
        waited
    });
    let mut ends = Vec::new();
    for thread in open {
        ends.push(
            thread
                .join()
                .map_err(|_| anyhow::anyhow!("a stream panicked"))??,
        );
    }
    let count = |end| ends.iter().filter(|(how, _)| *how == end).count() as u64;
    let last = ends
        .iter()
        .filter(|(how, _)| matches!(how, End::Told | End::Cut))
        .map(|(_, when)| *when)
        .max();
    let mut measured = Measurement::of(case)
        .count("told", count(End::Told))
        .count("cut", count(End::Cut))
        .count("goes on", count(End::GoesOn))
        .count("new", count(End::New));
    if let Some(last) = last {
        measured = measured.time("last ms", last.saturating_duration_since(reload));
    }
    Ok(match waited {
        Some(waited) => measured.time("new ms", waited),
        None => measured.word("new ms", "not in 6 s"),
    })
}

fn watch(address: SocketAddr, stream: Stream, until: Instant) -> io::Result<(End, Instant)> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PACE))?;
    socket.set_write_timeout(Some(WATCHED))?;
    let (path, more) = match stream {
        Stream::WebSocket => (
            "/ws",
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        ),
        Stream::Events => ("/sse", ""),
    };
    socket.write_all(format!("GET {path} HTTP/1.1\r\nHost: bench\r\n{more}\r\n").as_bytes())?;
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    while Instant::now() < until {
        // "hi", with a mask of zeros. It is answered by the version.
        if stream == Stream::WebSocket && bytes.windows(4).any(|four| four == b"\r\n\r\n") {
            let _ = socket.write_all(b"\x81\x82\0\0\0\0hi");
            thread::sleep(PACE / 2);
        }
        match socket.read(&mut chunk) {
            Ok(0) => return Ok((how_it_ended(stream, &bytes), Instant::now())),
            Ok(length) => bytes.extend_from_slice(&chunk[..length]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return Ok((how_it_ended(stream, &bytes), Instant::now())),
        }
        if how_it_ended(stream, &bytes) == End::Told {
            return Ok((End::Told, Instant::now()));
        }
    }
    Ok((who_serves_on(&bytes), Instant::now()))
}

/// Both kinds of streams name the version again and again.
fn who_serves_on(bytes: &[u8]) -> End {
    let has = |version: &[u8]| bytes.windows(version.len()).any(|part| part == version);
    match has(NEW.as_bytes()) {
        true => End::New,
        false => End::GoesOn,
    }
}

fn how_it_ended(stream: Stream, bytes: &[u8]) -> End {
    let told = match stream {
        // A close frame is the only one that begins so; no version contains it.
        Stream::WebSocket => bytes.contains(&0x88),
        Stream::Events => bytes.ends_with(b"\r\n0\r\n\r\n"),
    };
    if told { End::Told } else { End::Cut }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goodbye_is_told_from_a_cut() {
        let ended = |stream, bytes: &[u8]| how_it_ended(stream, bytes);
        assert_eq!(
            ended(Stream::WebSocket, b"\x81\x02v0\x88\x02\x03\xf4"),
            End::Told
        );
        assert_eq!(ended(Stream::WebSocket, b"\x81\x02v0"), End::Cut);
        assert_eq!(
            ended(Stream::Events, b"a\r\ndata: v0\n\n\r\n0\r\n\r\n"),
            End::Told
        );
        assert_eq!(ended(Stream::Events, b"a\r\ndata: v0\n\n\r\n"), End::Cut);
    }

    #[test]
    fn the_new_version_is_told_from_the_old_one() {
        assert_eq!(who_serves_on(b"\x81\x02v0\x81\x02v0"), End::GoesOn);
        assert_eq!(who_serves_on(b"\x81\x02v0\x81\x02v1"), End::New);
        assert_eq!(who_serves_on(b"data: v0\n\ndata: v1\n\n"), End::New);
    }
}
