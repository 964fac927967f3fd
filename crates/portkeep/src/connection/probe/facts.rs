//! Facts for the limits: which side a connection waits for.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::Instant;

use super::{Probe, Stage, UNKNOWN};
use crate::limits::{Facts, Order, State, Watched};

impl Probe {
    fn facts_of_http1(&self) -> (State, u64) {
        let requests = self.requests.load(Relaxed);
        if !self.is_clean() {
            (State::Answer, self.writes.load(Relaxed))
        } else if !self.is_waiting() {
            let waits = self.handles.load(Relaxed) && self.bodies.load(Relaxed) > 0;
            match waits {
                true => (State::Body, self.pieces.load(Relaxed)),
                false => (State::Working, 0),
            }
        } else if self.is_mid_head() || requests == 0 {
            // However often a part of it comes.
            (State::Head, requests)
        } else {
            (State::Idle, requests)
        }
    }

    fn facts_of_http2(&self) -> (State, u64) {
        let over = self.over.load(Relaxed);
        let requests = self.requests.load(Relaxed);
        let (bodies, answers) = (self.bodies.load(Relaxed), self.answers.load(Relaxed));
        let writes = self.writes.load(Relaxed);
        let moves = self.pieces.load(Relaxed) + over + writes;
        if !self.is_clean() {
            (State::Answer, writes)
        } else if requests == over {
            // Answers that have ended here may not be sent yet.
            (State::Idle, requests + moves)
        } else if bodies + answers < requests - over {
            (State::Working, 0)
        } else if answers > 0 {
            (State::Answer, moves)
        } else {
            (State::Body, moves)
        }
    }
}

impl Watched for Probe {
    fn facts(&self) -> Facts {
        let stage = self.stage.load(Relaxed);
        let http2 = stage == Stage::Http2 as u8;
        let untouched = self.reads.load(Relaxed) == 0 && !self.begun;
        let (state, stamp) = if http2 {
            self.facts_of_http2()
        } else if stage == Stage::Http1 as u8 {
            self.facts_of_http1()
        } else if stage == Stage::Apps as u8 {
            (State::Working, 0)
        } else {
            let requests = self.requests.load(Relaxed);
            match self.was_used() && !self.begun {
                true => (State::Idle, requests),
                false => (State::Head, requests),
            }
        };
        Facts {
            state,
            stamp,
            spare: state == State::Idle || (state == State::Head && untouched),
            http2,
        }
    }

    fn age(&self, now: Instant) -> Duration {
        let here = now.saturating_duration_since(self.came);
        self.before.saturating_add(here)
    }

    fn tell(&self, order: Order, facts: Facts) {
        match order {
            Order::Last => return self.last.store(true, Relaxed),
            Order::Look => {
                let look = self.writes.load(Relaxed) + 1;
                if self.look.swap(look, Relaxed) == look {
                    // It is being looked at already.
                    return;
                }
                self.unsent.store(UNKNOWN, Relaxed);
            }
            Order::End(_) => {}
        }
        self.told.tell(order, facts);
    }
}
