//! Clients that keep one connection each, as long as the server does, and never open another.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Longer than any answer takes, with one of two processors taken away.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections in use.
#[derive(Debug)]
pub struct Steady {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Kept>>,
}

/// What became of connections.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// Requests that were answered with 200.
    pub answers: u64,
    /// Connections that ended before their client did, each with how.
    pub ended: Vec<String>,
    /// The versions that answered.
    pub versions: BTreeSet<String>,
    /// The longest time that an answer took.
    pub slowest: Duration,
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (answers, ended) = (self.answers, self.ended.len());
        write!(
            f,
            "{answers} answers, {ended} connections ended, slowest {:?}",
            self.slowest
        )
    }
}

impl Steady {
    /// Opens connections, each used with one of these pauses between an answer and the next request.
    #[must_use]
    pub fn start(address: SocketAddr, pauses: &[(usize, Duration)]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let pauses = pauses
            .iter()
            .flat_map(|(count, pause)| vec![*pause; *count]);
        let client = |pause| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || use_connection(address, pause, &stop))
        };
        let clients = pauses.map(client).collect();
        Self { stop, clients }
    }

    /// Ends them after one more answer each.
    #[must_use]
    pub fn finish(self) -> Kept {
        self.stop.store(true, Ordering::SeqCst);
        let mut all = Kept::default();
        for client in self.clients {
            let kept = client.join().expect("a client does not panic");
            all.answers += kept.answers;
            all.ended.extend(kept.ended);
            all.versions.extend(kept.versions);
            all.slowest = all.slowest.max(kept.slowest);
        }
        all
    }
}

fn use_connection(address: SocketAddr, pause: Duration, stop: &AtomicBool) -> Kept {
    let mut kept = Kept::default();
    let mut exchanges = || -> io::Result<()> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        let mut socket = BufReader::new(socket);
        loop {
            // The last one comes after the stop: the connection lives up to then.
            let is_last = stop.load(Ordering::SeqCst);
            let begun = Instant::now();
            let version = exchange(&mut socket)?;
            kept.slowest = kept.slowest.max(begun.elapsed());
            kept.answers += 1;
            kept.versions.insert(version);
            if is_last {
                return Ok(());
            }
            thread::sleep(pause);
        }
    };
    let ended = exchanges().err().map(|error| error.to_string());
    kept.ended.extend(ended);
    kept
}

/// One request; answers which version answered.
fn exchange(socket: &mut BufReader<TcpStream>) -> io::Result<String> {
    socket
        .get_mut()
        .write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")?;
    let (mut version, mut length) = (String::new(), 0);
    for number in 0.. {
        let mut line = String::new();
        if socket.read_line(&mut line)? == 0 {
            return Err(io::Error::other(format!("end in line {number} of a head")));
        }
        let line = line.trim_end().to_ascii_lowercase();
        match line.split_once(": ") {
            _ if line.is_empty() => break,
            Some(("connection", "close")) => return Err(io::Error::other("close was announced")),
            Some(("x-version", value)) => value.clone_into(&mut version),
            Some(("content-length", value)) => length = value.parse().map_err(io::Error::other)?,
            None if number == 0 && !line.starts_with("http/1.1 200") => {
                return Err(io::Error::other(line));
            }
            _ => {}
        }
    }
    let mut body = vec![0; length];
    socket.read_exact(&mut body)?;
    Ok(version)
}

impl Kept {
    /// Fails the test if a connection ended.
    #[track_caller]
    pub fn expect_all(&self, least: u64) {
        assert_eq!(
            self.ended,
            Vec::<String>::new(),
            "of {} answers",
            self.answers
        );
        assert!(self.answers >= least, "too few: {self:?}");
    }
}
