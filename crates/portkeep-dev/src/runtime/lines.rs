//! Last log lines of generations, for `portkeep logs`. Under systemd the journal keeps them.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use portkeep_engine::Generation;
use portkeep_engine::newest::{Most, Newest};
use tokio::sync::broadcast;

use crate::control::{Ask, LogLine, Question};

/// Lines kept; the oldest go first.
const KEPT: Most = Most {
    items: 1000,
    bytes: 4 << 20,
};
/// Lines that may wait for a follower. Each may be long.
const FOLLOWED: usize = 256;

/// The lines. A clone shares them.
#[derive(Debug, Clone)]
pub(crate) struct Lines {
    kept: Arc<Mutex<Newest<LogLine>>>,
    live: broadcast::Sender<LogLine>,
}

impl Default for Lines {
    fn default() -> Self {
        Self {
            kept: Arc::new(Mutex::new(Newest::of(KEPT))),
            live: broadcast::channel(FOLLOWED).0,
        }
    }
}

impl Lines {
    pub(crate) fn push(&self, generation: Generation, message: &str) {
        let line = LogLine {
            at: Some(Timestamp::now()),
            generation: Some(generation),
            unit: None,
            message: message.to_owned(),
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock, so that whoever begins to listen gets each line once.
        if self.live.receiver_count() > 0 {
            let _ = self.live.send(line.clone());
        }
        kept.push(line, message.len());
    }

    /// The last `count` lines of one generation or of all, and the lines to come.
    fn last(
        &self,
        wanted: Option<Generation>,
        count: usize,
    ) -> (Vec<LogLine>, broadcast::Receiver<LogLine>) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut last: Vec<_> = kept
            .iter()
            .rev()
            .filter(|line| is_wanted(line, wanted))
            .take(count)
            .cloned()
            .collect();
        last.reverse();
        (last, self.live.subscribe())
    }

    /// Answers a question for lines until its client has gone.
    pub(crate) async fn answer(self, mut question: Question) {
        let Ask::Logs {
            generation,
            lines,
            follow,
        } = question.ask
        else {
            return;
        };
        let (last, mut live) = self.last(generation, lines);
        // It would keep the channel open that it waits for.
        drop(self);
        for line in last {
            if !question.answer_with(&line).await {
                return;
            }
        }
        if !follow {
            return;
        }
        loop {
            match live.recv().await {
                Ok(line) if !is_wanted(&line, generation) => {}
                Ok(line) => {
                    if !question.answer_with(&line).await {
                        return;
                    }
                }
                // A slow reader misses lines; the app is not held up.
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    }
}

fn is_wanted(line: &LogLine, wanted: Option<Generation>) -> bool {
    wanted.is_none() || line.generation == wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_of_a_generation_and_those_to_come() {
        let lines = Lines::default();
        for number in 0..u64::try_from(KEPT.items).unwrap() + 10 {
            lines.push(Generation(number % 2 + 1), &number.to_string());
        }
        let (last, mut live) = lines.last(Some(Generation(1)), 2);
        let texts: Vec<_> = last.iter().map(|line| line.message.as_str()).collect();
        assert_eq!(texts, ["1006", "1008"]);
        assert_eq!(lines.last(None, usize::MAX).0.len(), KEPT.items);
        lines.push(Generation(1), "new");
        assert_eq!(live.try_recv().unwrap().message, "new");
    }
}
