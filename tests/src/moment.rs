//! Clients that come in the moment in which an idle app ends.

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

/// However busy the machine is, an idle app ends often enough in this time.
const DEADLINE: Duration = Duration::from_secs(120);

/// Finds that moment: the pause grows while the app is still there, and shrinks when it has ended.
#[derive(Debug)]
pub struct Moment<P> {
    pause: Duration,
    least: Duration,
    clients: u32,
    hits: u32,
    last: Option<P>,
    deadline: Instant,
}

impl<P: PartialEq> Moment<P> {
    /// Begins with this pause.
    #[must_use]
    pub fn around(pause: Duration) -> Self {
        Self {
            pause,
            least: pause / 2,
            clients: 0,
            hits: 0,
            last: None,
            deadline: Instant::now() + DEADLINE,
        }
    }

    /// Waits until the next client should come.
    pub fn wait(&self) {
        assert!(Instant::now() < self.deadline, "it seldom ended: {self}");
        // Each a little earlier or later than the last.
        thread::sleep(self.pause + self.least / 10 * (self.clients * 7 % 5));
    }

    /// Which process answered: another one than before was started for this client.
    pub fn served_by(&mut self, process: P) {
        self.clients += 1;
        match self.last.as_ref().is_none_or(|last| *last == process) {
            true => self.pause = self.pause * 11 / 10,
            false => {
                self.hits += 1;
                self.pause = (self.pause * 8 / 10).max(self.least);
            }
        }
        self.last = Some(process);
    }

    /// How many clients came.
    #[must_use]
    pub fn clients(&self) -> u32 {
        self.clients
    }

    /// How often one came after the end.
    #[must_use]
    pub fn hits(&self) -> u32 {
        self.hits
    }
}

impl<P> fmt::Display for Moment<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} clients, {} starts", self.clients, self.hits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_later_while_nothing_ends_and_earlier_when_it_did() {
        let mut moment = Moment::around(Duration::from_millis(100));
        moment.served_by(1);
        moment.served_by(1);
        assert_eq!(moment.pause, Duration::from_millis(121));
        moment.served_by(2);
        assert!(moment.pause < Duration::from_millis(100));
        assert_eq!((moment.clients(), moment.hits()), (3, 1));
    }
}
