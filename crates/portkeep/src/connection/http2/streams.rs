//! Open streams of a connection.

/// Open streams, by the frames on the wire.
#[derive(Debug, Default)]
pub(super) struct Streams {
    /// By number: a client may not open a stream with a smaller number than before.
    open: Vec<Stream>,
    /// The largest stream number of the client.
    last: u32,
    /// Number of streams that the server has reset while the client could still send on them.
    cut_off: u64,
}

#[derive(Debug, Clone, Copy)]
struct Stream {
    number: u32,
    client_ended: bool,
    server_ended: bool,
}

impl Streams {
    pub(super) fn after(last: u32) -> Self {
        Self {
            last,
            ..Self::default()
        }
    }

    pub(super) fn none_is_open(&self) -> bool {
        self.open.is_empty()
    }

    pub(super) fn last(&self) -> u32 {
        self.last
    }

    pub(super) fn cut_off(&self) -> u64 {
        self.cut_off
    }

    /// A block of header fields from the client: the head of a request, or its trailers.
    pub(super) fn client_fields(&mut self, number: u32, ends: bool) {
        // An even number is the server's. h2 ends the connection with an error.
        if number > self.last && number % 2 == 1 {
            self.last = number;
            self.open.push(Stream {
                number,
                client_ended: ends,
                server_ended: false,
            });
        } else if ends {
            self.client_ends(number);
        }
    }

    pub(super) fn client_ends(&mut self, number: u32) {
        self.change(number, |stream| stream.client_ended = true);
    }

    pub(super) fn server_ends(&mut self, number: u32) {
        self.change(number, |stream| stream.server_ended = true);
    }

    pub(super) fn client_resets(&mut self, number: u32) {
        if let Some(place) = self.place(number) {
            self.open.remove(place);
        }
    }

    pub(super) fn server_resets(&mut self, number: u32) {
        if let Some(place) = self.place(number) {
            let stream = self.open.remove(place);
            self.cut_off += u64::from(!stream.client_ended);
        }
    }

    fn place(&self, number: u32) -> Option<usize> {
        self.open
            .binary_search_by_key(&number, |stream| stream.number)
            .ok()
    }

    fn change(&mut self, number: u32, change: impl FnOnce(&mut Stream)) {
        if let Some(place) = self.place(number) {
            let stream = &mut self.open[place];
            change(stream);
            if stream.client_ended && stream.server_ended {
                self.open.remove(place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_open_until_both_sides_have_ended_it_or_one_has_reset_it() {
        let mut streams = Streams::default();
        streams.client_fields(1, true);
        streams.client_fields(5, false);
        streams.client_fields(7, false);
        streams.client_fields(9, true);
        streams.server_ends(1);
        streams.server_ends(5);
        assert!(!streams.none_is_open());
        // Trailers.
        streams.client_fields(5, true);
        streams.client_resets(7);
        streams.server_resets(9);
        assert!(streams.none_is_open());
        assert_eq!((streams.last(), streams.cut_off()), (9, 0));
        // It was skipped, so it is closed.
        streams.client_fields(3, false);
        streams.client_fields(2, false);
        assert!(streams.none_is_open());
        streams.client_fields(11, false);
        streams.server_resets(11);
        assert_eq!((streams.last(), streams.cut_off()), (11, 1));
        assert!(streams.none_is_open());
    }
}
