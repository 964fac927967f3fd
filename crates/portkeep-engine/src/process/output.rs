//! Output of a process, line by line. The process never waits for its reader: of each stream, the newest lines are kept in bounded
//! memory. So the end of a flood is kept, and so is an error on the other stream.

use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use memchr::{memchr_iter, memrchr};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{ChildStderr, ChildStdout};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::lines::LONGEST;
use crate::newest::{Most, Newest};

/// Size of a read: a pipe holds no more by default.
const READ: usize = 64 * 1024;
/// Size of the largest pipe that can be made without privileges.
const LARGEST_PIPE: usize = 1 << 20;
/// Bytes of a stream that may wait to be taken.
const WAITING: usize = 1 << 20;
/// Bound of a stream's queue: its bytes alone count.
const KEPT: Most = Most {
    items: usize::MAX,
    bytes: WAITING,
};
/// Memory of a line beside its bytes.
const PER_LINE: usize = 48;
/// Pause between two pieces of a flood. Showing a line takes more processor time than writing it; the pause leaves the processors
/// to the process.
const PAUSE: Duration = Duration::from_millis(2);
/// Length of a piece that is one of a flood: its process fills the pipe faster than it is read. Without a pause after it, the
/// process would wait for each piece until the one before is shown, and nothing would be dropped.
const FLOODS: usize = READ / 2;

/// The lines of both streams of a process, in the order of their arrival.
#[derive(Debug)]
pub struct Output {
    shared: Arc<Shared>,
    lines: std::vec::IntoIter<String>,
    lost: u64,
    /// No piece is taken before this time, unless the output is finished.
    pause: Option<Instant>,
    finish: watch::Sender<bool>,
    /// Tasks that end with this value.
    _readers: JoinSet<()>,
}

/// Ends an [`Output`], from elsewhere.
#[derive(Debug, Clone)]
pub struct Finish(watch::Sender<bool>);

impl Finish {
    /// Reads what has been written, and waits for nothing more: a child of the process may keep its streams open.
    pub fn finish(&self) {
        self.0.send_replace(true);
    }
}

impl Output {
    /// Reads in tasks of its own, until the other ends of the streams are closed or this is dropped.
    #[must_use]
    pub fn of(stdout: Option<ChildStdout>, stderr: Option<ChildStderr>) -> Self {
        let mut output = Self {
            shared: Arc::default(),
            lines: Vec::new().into_iter(),
            lost: 0,
            pause: None,
            finish: watch::channel(false).0,
            _readers: JoinSet::new(),
        };
        output.read(stdout);
        output.read(stderr);
        output
    }

    fn read(&mut self, stream: Option<impl AsyncRead + AsFd + Unpin + Send + 'static>) {
        if let Some(stream) = stream {
            let to = Writer::new(&self.shared);
            self._readers
                .spawn(read(stream, to, self.finish.subscribe()));
        }
    }

    /// A handle that ends this. The task that sees the end of the process uses it.
    #[must_use]
    pub fn when_it_ends(&self) -> Finish {
        Finish(self.finish.clone())
    }

    /// Lines that have been taken from the queue already.
    pub fn at_hand(&mut self) -> impl Iterator<Item = String> {
        self.lines.by_ref()
    }

    /// Number of lines dropped since the last call. They came before the lines that follow.
    pub fn lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    /// The next line, or `None` at the end of both streams. Cancel safe.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(line) = self.lines.next() {
                return Some(line);
            }
            if let Some(pause) = self.pause {
                let mut finished = self.finish.subscribe();
                tokio::select! {
                    () = sleep_until(pause) => {}
                    _ = finished.wait_for(|finished| *finished) => {}
                }
                self.pause = None;
            }
            match self.shared.queue().take() {
                Next::Piece(piece, lost) => {
                    self.lines = split(&piece).into_iter();
                    self.lost += lost;
                    if lost > 0 || piece.len() >= FLOODS {
                        self.pause = Some(Instant::now() + PAUSE);
                    }
                    continue;
                }
                Next::End => return None,
                Next::Later => {}
            }
            self.shared.changed.notified().await;
        }
    }
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Notify,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Pieces that wait to be taken, by stream.
#[derive(Debug, Default)]
struct Queue {
    streams: Vec<Newest<Piece>>,
    /// Number of pieces that came.
    came: u64,
    /// Number of lines dropped.
    lost: u64,
    /// Number of streams that are still read.
    readers: usize,
}

/// Some whole lines.
#[derive(Debug)]
struct Piece {
    /// Its place among the pieces of both streams.
    number: u64,
    bytes: Vec<u8>,
    lines: usize,
}

impl Piece {
    fn cost(&self) -> usize {
        self.bytes.len() + self.lines * PER_LINE
    }
}

/// What there is to take.
enum Next {
    /// The piece, and the number of lines that were dropped before it.
    Piece(Vec<u8>, u64),
    Later,
    End,
}

impl Queue {
    /// Drops the oldest pieces to make room. The newest is kept, however large it is.
    fn push(&mut self, stream: usize, bytes: Vec<u8>) {
        self.came += 1;
        let Some(waiting) = self.streams.get_mut(stream) else {
            return;
        };
        let piece = Piece {
            number: self.came,
            // A piece of a line that is too long counts as one.
            lines: memchr_iter(b'\n', &bytes).count().max(1),
            bytes,
        };
        let cost = piece.cost();
        waiting.push_and(piece, cost, |oldest| {
            self.lost += u64::try_from(oldest.lines).unwrap_or(u64::MAX);
        });
    }

    /// The piece that came first.
    fn take(&mut self) -> Next {
        let first = |waiting: &&mut Newest<Piece>| waiting.iter().next().map(|piece| piece.number);
        let with_any = self.streams.iter_mut().filter(|one| !one.is_empty());
        match with_any.min_by_key(first).and_then(Newest::pop) {
            Some(piece) => Next::Piece(piece.bytes, std::mem::take(&mut self.lost)),
            None if self.readers == 0 => Next::End,
            None => Next::Later,
        }
    }
}

/// Writer of a stream's pieces into the queue. It counts as a reader of the stream until it is dropped.
#[derive(Debug)]
struct Writer {
    shared: Arc<Shared>,
    stream: usize,
}

impl Writer {
    fn new(shared: &Arc<Shared>) -> Self {
        let mut queue = shared.queue();
        let stream = queue.streams.len();
        queue.streams.push(Newest::of(KEPT));
        queue.readers += 1;
        drop(queue);
        Self {
            shared: shared.clone(),
            stream,
        }
    }

    fn push(&self, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            self.shared.queue().push(self.stream, bytes);
            self.shared.changed.notify_one();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.queue().readers -= 1;
        self.shared.changed.notify_one();
    }
}

async fn read(
    mut stream: impl AsyncRead + AsFd + Unpin,
    to: Writer,
    mut finished: watch::Receiver<bool>,
) {
    let (mut buffer, mut whole) = (vec![0; READ], Whole::default());
    loop {
        tokio::select! {
            read = stream.read(&mut buffer) => match read {
                Ok(count @ 1..) => to.push(whole.add(&buffer[..count])),
                Ok(0) | Err(_) => break,
            },
            _ = finished.wait_for(|finished| *finished) => break,
        }
    }
    // What is in the pipe now was written before the end.
    let mut more = LARGEST_PIPE;
    while more > 0
        && let Ok(count @ 1..) = rustix::io::read(&stream, &mut buffer[..])
    {
        to.push(whole.add(&buffer[..count]));
        more = more.saturating_sub(count);
    }
    to.push(whole.0);
}

/// The beginning of a line whose end was not read yet.
#[derive(Debug, Default)]
struct Whole(Vec<u8>);

impl Whole {
    /// Adds what was read. Returns all lines that are whole, or too long.
    fn add(&mut self, read: &[u8]) -> Vec<u8> {
        let Some(end) = memrchr(b'\n', read) else {
            self.0.extend_from_slice(read);
            return match self.0.len() >= LONGEST {
                true => std::mem::take(&mut self.0),
                false => Vec::new(),
            };
        };
        let (now, later) = read.split_at(end + 1);
        self.0.reserve_exact(now.len());
        self.0.extend_from_slice(now);
        std::mem::replace(&mut self.0, later.to_vec())
    }
}

/// Splits a piece into lines without their ends, none of them too long. Bytes that are no text become U+FFFD.
fn split(piece: &[u8]) -> Vec<String> {
    let piece = piece.strip_suffix(b"\n").unwrap_or(piece);
    let lines = piece.split(|byte| *byte == b'\n').flat_map(|line| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        // An empty line is a line, too.
        let first = &line[..line.len().min(LONGEST)];
        std::iter::once(first).chain(line[first.len()..].chunks(LONGEST))
    });
    lines
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use tokio::process::{Child, Command};
    use tokio::time::timeout;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(60);

    fn run(script: &str) -> (Child, Output) {
        let mut child = Command::new("sh")
            .args(["-c", script])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let output = Output::of(child.stdout.take(), child.stderr.take());
        (child, output)
    }

    async fn all(output: &mut Output) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(line) = timeout(DEADLINE, output.next()).await.unwrap() {
            lines.push(line);
        }
        lines
    }

    #[tokio::test]
    async fn lines_come_whole_and_what_is_no_text_ends_nothing() {
        let (_child, mut output) = run("printf 'one\\r\\n\\377 two\\n\\nthr'; printf 'ee'");
        assert_eq!(all(&mut output).await, ["one", "\u{fffd} two", "", "three"]);
        assert_eq!(output.lost(), 0);
    }

    #[tokio::test]
    async fn nothing_is_lost_of_what_has_room() {
        let (mut child, mut output) = run("seq 1 15000");
        // Nobody takes a line before.
        timeout(DEADLINE, child.wait()).await.unwrap().unwrap();
        let lines = all(&mut output).await;
        assert_eq!((lines.len(), output.lost()), (15_000, 0));
        assert_eq!(lines.last().unwrap(), "15000");
    }

    #[tokio::test]
    async fn who_writes_waits_for_nobody_and_the_end_of_a_flood_is_kept() {
        let script = "head -c 20000000 /dev/zero | tr '\\0' '\\n'; head -c 3000000 /dev/zero; echo; echo end";
        let (mut child, mut output) = run(script);
        // Nobody takes a line meanwhile.
        timeout(DEADLINE, child.wait()).await.unwrap().unwrap();
        let lines = all(&mut output).await;
        assert_eq!(lines.last().unwrap(), "end");
        assert!(lines.iter().all(|line| line.len() <= LONGEST));
        let kept: usize = lines.iter().map(|line| line.len() + PER_LINE).sum();
        assert!(kept <= WAITING + LARGEST_PIPE, "{kept}");
        assert!(output.lost() > 19_000_000);
    }

    #[tokio::test]
    async fn a_flood_of_one_stream_takes_no_room_of_the_other() {
        let (mut child, mut output) =
            run("echo panicked >&2; head -c 20000000 /dev/zero | tr '\\0' '\\n'");
        timeout(DEADLINE, child.wait()).await.unwrap().unwrap();
        assert!(all(&mut output).await.contains(&"panicked".to_owned()));
        assert!(output.lost() > 0);
    }

    #[tokio::test]
    async fn what_was_written_is_told_though_somebody_keeps_the_stream_open() {
        let (mut child, mut output) = run("sleep 1000 & echo $!; seq 1 9999; printf last");
        timeout(DEADLINE, child.wait()).await.unwrap().unwrap();
        output.when_it_ends().finish();
        let lines = all(&mut output).await;
        assert_eq!(
            (lines.len(), lines.last().unwrap().as_str()),
            (10_001, "last")
        );
        let kept = Command::new("kill").arg(&lines[0]).status().await;
        assert!(kept.unwrap().success());
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_piece_of_a_flood_its_process_can_go_on_first() {
        for (lines, pause) in [(FLOODS / 5 + 1, PAUSE), (FLOODS / 5 - 1, Duration::ZERO)] {
            let mut output = Output::of(None, None);
            let writer = Writer::new(&output.shared);
            for _ in 0..2 {
                writer.push(b"line\n".repeat(lines));
            }
            let began = Instant::now();
            for _ in 0..lines {
                assert_eq!(output.next().await.unwrap(), "line");
            }
            assert_eq!(began.elapsed(), Duration::ZERO);
            assert_eq!(output.next().await.unwrap(), "line");
            assert_eq!(
                (began.elapsed().is_zero(), output.lost()),
                (pause.is_zero(), 0)
            );
        }
    }

    #[test]
    fn a_line_without_an_end_is_told_in_pieces() {
        let mut whole = Whole::default();
        let mut pieces: Vec<Vec<u8>> = Vec::new();
        for _ in 0..5 {
            pieces.push(whole.add(&vec![b'x'; LONGEST / 2 + 1]));
        }
        pieces.push(whole.add(b"y\nz"));
        let lines: Vec<_> = pieces
            .iter()
            .filter(|piece| !piece.is_empty())
            .flat_map(|piece| split(piece))
            .collect();
        assert!(lines.iter().all(|line| line.len() <= LONGEST));
        assert_eq!(lines.concat().len(), 5 * (LONGEST / 2 + 1) + 1);
        assert_eq!(whole.0, b"z");
    }
}
