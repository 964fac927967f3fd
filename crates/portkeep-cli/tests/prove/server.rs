//! Servers that break things on purpose, and count what they broke.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Message, accept};

/// What an HTTP server breaks; nothing by default.
#[derive(Clone, Copy, Default)]
pub(crate) struct Http {
    /// Closes the connection instead of every so-manieth answer.
    pub(crate) drops_every: u64,
    /// Answers 503 every so-manieth time.
    pub(crate) fails_every: u64,
    /// Says `Connection: close` every so-manieth time.
    pub(crate) says_close_every: u64,
    /// From this request on, answers nothing for a while.
    pub(crate) stalls_after: u64,
    pub(crate) stalls_for: Duration,
}

/// How a server ends what stays open.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Told,
    Cut,
}

#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) asked: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) said_close: AtomicU64,
}

pub(crate) struct Server {
    address: SocketAddr,
    counts: Arc<Counts>,
}

impl std::ops::Deref for Server {
    type Target = Counts;

    fn deref(&self) -> &Counts {
        &self.counts
    }
}

impl Drop for Server {
    /// Closes the port: its thread sees the last connection and ends.
    fn drop(&mut self) {
        self.counts.asked.store(END, SeqCst);
        let _ = TcpStream::connect(self.address);
        // The thread lets go of the port when it has seen that.
        let until = Instant::now() + Duration::from_secs(5);
        while TcpStream::connect(self.address).is_ok() && Instant::now() < until {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

const END: u64 = u64::MAX / 2;

impl Server {
    fn start(serve: impl Fn(TcpStream, &Counts) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let counts = Arc::new(Counts::default());
        let (shared, serve) = (Arc::clone(&counts), Arc::new(serve));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.asked.load(SeqCst) >= END {
                    return;
                }
                let (serve, shared) = (Arc::clone(&serve), Arc::clone(&shared));
                thread::spawn(move || serve(stream.unwrap(), &shared));
            }
        });
        Self { address, counts }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub(crate) fn http(behaviour: Http) -> Self {
        let stalled = std::sync::OnceLock::new();
        Self::start(move |stream, counts| {
            let _ = stream.set_nodelay(true);
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut stream = stream;
            while read_head(&mut reader) {
                let number = counts.asked.fetch_add(1, SeqCst) + 1;
                if behaviour.stalls_after != 0 && number >= behaviour.stalls_after {
                    let end = *stalled.get_or_init(|| Instant::now() + behaviour.stalls_for);
                    thread::sleep(end.saturating_duration_since(Instant::now()));
                }
                let every = |count: u64| count != 0 && number.is_multiple_of(count);
                if every(behaviour.drops_every) {
                    counts.dropped.fetch_add(1, SeqCst);
                    return;
                }
                let status = if every(behaviour.fails_every) {
                    counts.failed.fetch_add(1, SeqCst);
                    "503 Service Unavailable"
                } else {
                    "200 OK"
                };
                let close = if every(behaviour.says_close_every) {
                    counts.said_close.fetch_add(1, SeqCst);
                    "connection: close\r\n"
                } else {
                    ""
                };
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 3\r\n{close}\r\nv1\n");
                if stream.write_all(answer.as_bytes()).is_err() || !close.is_empty() {
                    return;
                }
            }
        })
    }

    /// Sends each message back; ends after 20.
    pub(crate) fn websocket(ending: Ending) -> Self {
        Self::start(move |stream, counts| {
            let Ok(mut socket) = accept(stream) else {
                return;
            };
            for _ in 0..20 {
                match socket.read() {
                    Ok(message @ Message::Text(_)) => socket.send(message).unwrap(),
                    _ => return,
                }
            }
            // The next message is not answered.
            if !matches!(socket.read(), Ok(Message::Text(_))) {
                return;
            }
            match ending {
                Ending::Cut => {
                    counts.dropped.fetch_add(1, SeqCst);
                }
                Ending::Told => {
                    let frame = CloseFrame {
                        code: CloseCode::Restart,
                        reason: "".into(),
                    };
                    socket.close(Some(frame)).unwrap();
                    counts.said_close.fetch_add(1, SeqCst);
                    while socket.read().is_ok() {}
                }
            }
        })
    }

    /// Sends an event every 10 ms; ends after 20.
    pub(crate) fn events(ending: Ending) -> Self {
        Self::start(move |mut stream, _| {
            if !read_head(&mut BufReader::new(stream.try_clone().unwrap())) {
                return;
            }
            let mut send = |text: &str| stream.write_all(text.as_bytes()).is_ok();
            send(
                "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
            );
            for _ in 0..20 {
                thread::sleep(Duration::from_millis(10));
                if !send("9\r\ndata: x\n\n\r\n") {
                    return;
                }
            }
            if ending == Ending::Told {
                send("0\r\n\r\n");
            }
        })
    }
}

/// Reads one request without a body; false at the end.
fn read_head(reader: &mut impl BufRead) -> bool {
    let mut line = String::new();
    loop {
        line.clear();
        match reader.read_line(&mut line) {
            Ok(0) | Err(_) => return false,
            Ok(_) if line == "\r\n" => return true,
            Ok(_) => {}
        }
    }
}
