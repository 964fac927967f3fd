//! Inserts text before the last `</body>` of a document that comes in pieces.

use bytes::{Bytes, BytesMut};

const END: &[u8] = b"</body";

/// Passes everything on as it comes, except what follows the last `</body` so far: a script of the page may contain that in
/// a string, so only the end of the document decides.
#[derive(Debug)]
pub(super) struct Injector {
    text: Bytes,
    held: BytesMut,
    /// An empty document stays empty.
    empty: bool,
}

impl Injector {
    pub(super) fn new(text: Bytes) -> Self {
        Self {
            text,
            held: BytesMut::new(),
            empty: true,
        }
    }

    /// Takes the next piece. Returns what can be passed on.
    pub(super) fn push(&mut self, piece: &[u8]) -> Bytes {
        self.empty &= piece.is_empty();
        // The held bytes were searched already, except for an end that continues in this piece.
        let from = self.held.len().saturating_sub(END.len() - 1);
        self.held.extend_from_slice(piece);
        let found = last_end(&self.held[from..]).map(|at| from + at);
        let keep_from = match found {
            Some(at) => at,
            None if starts_with_end(&self.held) => 0,
            None => self.held.len() - begun_end(&self.held),
        };
        self.held.split_to(keep_from).freeze()
    }

    /// The rest, at the end of the document.
    pub(super) fn finish(&mut self) -> Bytes {
        if self.empty {
            return Bytes::new();
        }
        let held = self.held.split();
        let mut end = BytesMut::with_capacity(held.len() + self.text.len());
        // A document may omit `</body>`.
        let before = if starts_with_end(&held) {
            0
        } else {
            held.len()
        };
        end.extend_from_slice(&held[..before]);
        end.extend_from_slice(&self.text);
        end.extend_from_slice(&held[before..]);
        end.freeze()
    }
}

fn starts_with_end(bytes: &[u8]) -> bool {
    bytes
        .get(..END.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(END))
}

fn last_end(bytes: &[u8]) -> Option<usize> {
    bytes
        .windows(END.len())
        .rposition(|part| part.eq_ignore_ascii_case(END))
}

/// Number of last bytes that may begin a `</body`.
fn begun_end(bytes: &[u8]) -> usize {
    (1..END.len())
        .rev()
        .find(|length| {
            bytes.len() >= *length
                && bytes[bytes.len() - length..].eq_ignore_ascii_case(&END[..*length])
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inject(document: &str, size: usize) -> String {
        let mut injector = Injector::new(Bytes::from_static(b"<S>"));
        let mut out = Vec::new();
        for piece in document.as_bytes().chunks(size.max(1)) {
            out.extend_from_slice(&injector.push(piece));
        }
        out.extend_from_slice(&injector.finish());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn it_goes_before_the_last_end_of_the_body_however_the_document_is_cut() {
        let cases = [
            ("<body>x</body></html>", "<body>x<S></body></html>"),
            ("<BODY>x</BODY\n>", "<BODY>x<S></BODY\n>"),
            (
                "<script>'</body>'</script>y</body>",
                "<script>'</body>'</script>y<S></body>",
            ),
            ("<h1>no end", "<h1>no end<S>"),
            ("cut </bod", "cut </bod<S>"),
            ("</bo</bod</body></body>", "</bo</bod</body><S></body>"),
            ("", ""),
        ];
        for (document, expected) in cases {
            for size in 1..=document.len().max(1) {
                assert_eq!(inject(document, size), expected, "in pieces of {size}");
            }
        }
    }

    #[test]
    fn what_comes_before_the_end_is_not_held_back() {
        let mut injector = Injector::new(Bytes::from_static(b"<S>"));
        assert_eq!(injector.push(b"<p>first</p>"), &b"<p>first</p>"[..]);
        assert_eq!(injector.push(b"<p>second</p><"), &b"<p>second</p>"[..]);
    }
}
