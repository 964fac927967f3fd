//! App that a person has taken out: load balancers are told first, then connections end in good order, and late requests are
//! still answered. It lasts until the person ends it: handovers, crashes and reboots do not change it.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;

/// Since when an app is taken out, and its grace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TakenOut {
    /// The beginning; the epoch if it cannot be read.
    pub since: Timestamp,
    /// How long load balancers are told before connections end.
    pub grace: Duration,
}

impl TakenOut {
    /// As of now.
    #[must_use]
    pub fn now(grace: Duration) -> Self {
        Self {
            // With the precision of the file.
            since: Timestamp::from_microsecond(Timestamp::now().as_microsecond())
                .unwrap_or_default(),
            grace,
        }
    }

    /// The time until connections end; zero if they do. A clock that was set back since makes no difference.
    #[must_use]
    pub fn left(&self, now: Timestamp) -> Duration {
        match Duration::try_from(now.duration_since(self.since)) {
            Ok(passed) => self.grace.saturating_sub(passed),
            Err(_) => Duration::ZERO,
        }
    }
}

/// As in the file: both in microseconds.
impl fmt::Display for TakenOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} {}",
            self.since.as_microsecond(),
            self.grace.as_micros()
        )
    }
}

/// It is not two numbers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it does not say since when, and for how long, in microseconds")]
pub struct NotTwoNumbers;

impl From<ParseIntError> for NotTwoNumbers {
    fn from(_: ParseIntError) -> Self {
        Self
    }
}

impl FromStr for TakenOut {
    type Err = NotTwoNumbers;

    fn from_str(text: &str) -> Result<Self, NotTwoNumbers> {
        let (since, grace) = text.trim().split_once(' ').ok_or(NotTwoNumbers)?;
        Ok(Self {
            since: Timestamp::from_microsecond(since.parse()?).map_err(|_| NotTwoNumbers)?,
            grace: Duration::from_micros(grace.parse()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_was_written() {
        let taken_out = TakenOut::now(Duration::from_millis(1500));
        assert_eq!(taken_out.to_string().parse(), Ok(taken_out));
        for wrong in ["", "1", "a b", "1 -1", "99999999999999999999 1"] {
            assert_eq!(wrong.parse::<TakenOut>(), Err(NotTwoNumbers), "{wrong:?}");
        }
    }

    #[test]
    fn connections_end_after_the_grace_whatever_the_clock_does() {
        let since = Timestamp::from_second(1000).unwrap();
        let grace = Duration::from_secs(10);
        let taken_out = TakenOut { since, grace };
        let left = |second| taken_out.left(Timestamp::from_second(second).unwrap());
        assert_eq!(left(1000), grace);
        assert_eq!(left(1004), Duration::from_secs(6));
        assert_eq!(left(2000), Duration::ZERO);
        assert_eq!(left(900), Duration::ZERO);
    }
}
