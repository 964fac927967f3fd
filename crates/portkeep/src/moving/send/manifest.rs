//! Connections to be sent, and those in transit.

use std::collections::VecDeque;
use std::io;

use tokio::time::Instant;

use super::super::transfer::Departure;
use super::super::wire::{Header, Kind};

/// Connections that this process owns and wants to move.
#[derive(Debug, Default)]
pub(super) struct Manifest {
    unsent: VecDeque<Departure>,
    on_the_way: VecDeque<Sent>,
    number: u64,
    moved: u64,
}

#[derive(Debug)]
struct Sent {
    number: u64,
    at: Instant,
    departure: Departure,
}

impl Manifest {
    pub(super) fn add(&mut self, departure: Departure) {
        self.unsent.push_back(departure);
    }

    pub(super) fn next(&mut self) -> Option<Departure> {
        self.unsent.pop_front()
    }

    /// Puts back a connection that was not sent.
    pub(super) fn again(&mut self, departure: Departure) {
        self.unsent.push_front(departure);
    }

    /// The number of the next connection.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn sent(&mut self, departure: Departure) {
        self.on_the_way.push_back(Sent {
            number: self.number,
            at: Instant::now(),
            departure,
        });
        self.number += 1;
    }

    pub(super) fn on_the_way(&self) -> usize {
        self.on_the_way.len()
    }

    /// When the oldest unanswered connection was sent.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.on_the_way.front().map(|sent| sent.at)
    }

    pub(super) fn moved(&self) -> u64 {
        self.moved
    }

    /// Takes an answer. An error ends the session.
    pub(super) fn answered(&mut self, message: &[u8]) -> io::Result<()> {
        if message.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (header, _) = Header::decode(message).map_err(io::Error::other)?;
        let place = |sent: &Sent| sent.number == header.sequence;
        let Some(place) = self.on_the_way.iter().position(place) else {
            return Err(io::Error::other("an answer to what was not asked"));
        };
        match header.kind {
            Kind::Ack | Kind::Nak => {}
            other => return Err(io::Error::other(format!("{other:?} is no answer"))),
        }
        let Some(sent) = self.on_the_way.remove(place) else {
            return Ok(());
        };
        if header.kind == Kind::Ack {
            self.moved += 1;
            sent.departure.arrived();
        } else {
            tracing::debug!("the next generation cannot have a connection");
            sent.departure.stays();
        }
        Ok(())
    }

    /// The session is over: connections in transit are sent again, and first.
    pub(super) fn take_back(&mut self) {
        while let Some(sent) = self.on_the_way.pop_back() {
            self.unsent.push_front(sent.departure);
        }
    }

    /// There will be no other session.
    pub(super) fn all_stay(&mut self) {
        self.take_back();
        for departure in self.unsent.drain(..) {
            departure.stays();
        }
    }
}
