//! Reasons to end a connection, and their counts.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The limit that a connection exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    Idle,
    Head,
    Body,
    Answer,
    Ping,
    Age,
    /// Too many connections were open, and this one had been idle for longest.
    Crowded,
}

impl Reason {
    pub(crate) const ALL: [Self; 7] = [
        Self::Idle,
        Self::Head,
        Self::Body,
        Self::Answer,
        Self::Ping,
        Self::Age,
        Self::Crowded,
    ];

    /// One word, for the status.
    fn word(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Head => "head",
            Self::Body => "body",
            Self::Answer => "answer",
            Self::Ping => "ping",
            Self::Age => "age",
            Self::Crowded => "crowded",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Number of ended connections, by reason.
#[derive(Debug, Default)]
pub(crate) struct Ended<N = AtomicU64>([N; Reason::ALL.len()]);

impl Ended {
    pub(crate) fn count(&self, reason: Reason) {
        self.0[reason as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn now(&self) -> Ended<u64> {
        Ended(std::array::from_fn(|place| self.0[place].load(Relaxed)))
    }
}

impl Clone for Ended<u64> {
    fn clone(&self) -> Self {
        Self(self.0)
    }
}

impl PartialEq for Ended<u64> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Ended<u64> {}

impl Ended<u64> {
    pub(crate) fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

/// `limits ended 3: 2 idle 1 head`; empty if there were none.
impl fmt::Display for Ended<u64> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "limits ended {}:", self.total())?;
        for (reason, count) in Reason::ALL.into_iter().zip(self.0) {
            if count > 0 {
                write!(f, " {count} {reason}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_told_by_reason() {
        let ended = Ended::default();
        for reason in [Reason::Head, Reason::Idle, Reason::Crowded, Reason::Idle] {
            ended.count(reason);
        }
        assert_eq!(
            ended.now().to_string(),
            "limits ended 4: 2 idle 1 head 1 crowded"
        );
        assert!(
            Reason::ALL
                .iter()
                .enumerate()
                .all(|(place, one)| *one as usize == place)
        );
    }
}
