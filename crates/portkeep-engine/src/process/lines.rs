//! Splits a process's output into lines. The bytes may not be text, and may never end.

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// Size of a read: a pipe holds no more.
const READ: usize = 64 * 1024;
/// A longer line for people is passed on in pieces.
const LONGEST: usize = 64 * 1024;
/// The same for a program that writes JSON for programs.
const LONGEST_JSON: usize = 64 * 1024 * 1024;

/// Reads lines of bounded length.
#[derive(Debug)]
pub struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
    longest: usize,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// Lines for people.
    pub fn of(stream: R) -> Self {
        Self::with(stream, LONGEST)
    }

    /// Lines for programs, each a JSON value.
    pub fn of_json(stream: R) -> Self {
        Self::with(stream, LONGEST_JSON)
    }

    fn with(stream: R, longest: usize) -> Self {
        Self {
            reader: BufReader::with_capacity(READ, stream),
            line: Vec::new(),
            longest,
        }
    }

    /// The next line without its end; nothing at the end of the stream. Invalid UTF-8 becomes U+FFFD. Can be dropped and
    /// called again.
    ///
    /// # Errors
    /// When the stream cannot be read.
    pub async fn next(&mut self) -> std::io::Result<Option<String>> {
        loop {
            let read = self.reader.fill_buf().await?;
            if read.is_empty() {
                return Ok((!self.line.is_empty()).then(|| self.take()));
            }
            let room = self.longest - self.line.len();
            let piece = &read[..read.len().min(room)];
            let (length, is_over) = match piece.iter().position(|byte| *byte == b'\n') {
                Some(end) => (end + 1, true),
                None => (piece.len(), piece.len() == room),
            };
            self.line.extend_from_slice(&piece[..length]);
            self.reader.consume(length);
            if is_over {
                return Ok(Some(self.take()));
            }
        }
    }

    /// Whole lines that have been read already.
    pub(super) fn read_already(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(end) = self.reader.buffer().iter().position(|byte| *byte == b'\n') {
            if self.line.len() + end >= self.longest {
                break;
            }
            self.line.extend_from_slice(&self.reader.buffer()[..=end]);
            self.reader.consume(end + 1);
            lines.push(self.take());
        }
        lines
    }

    fn take(&mut self) -> String {
        let line = std::mem::take(&mut self.line);
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        String::from_utf8_lossy(line).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(bytes: &[u8]) -> Vec<String> {
        let (mut lines, mut all) = (Lines::of(bytes), Vec::new());
        while let Some(line) = lines.next().await.unwrap() {
            all.push(line);
        }
        all
    }

    #[tokio::test]
    async fn what_is_no_text_ends_nothing() {
        assert_eq!(
            all(b"one\r\n\xff two\n\nthree").await,
            ["one", "\u{fffd} two", "", "three"]
        );
    }

    #[tokio::test]
    async fn a_line_without_an_end_is_told_in_pieces() {
        let lines = all(&vec![b'x'; 3 * LONGEST + 1]).await;
        let lengths: Vec<_> = lines.iter().map(String::len).collect();
        assert_eq!(lengths, [LONGEST, LONGEST, LONGEST, 1]);
    }
}
