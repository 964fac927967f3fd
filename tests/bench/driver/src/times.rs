//! How long something took, each time that it was done.

use std::fmt;
use std::time::Duration;

#[derive(Clone, Debug, Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn push(&mut self, time: Duration) {
        let place = self.0.partition_point(|known| *known <= time);
        self.0.insert(place, time);
    }

    /// Nothing, if it was never done. Of an even number, the upper of the two in the middle.
    pub(crate) fn median(&self) -> Option<Duration> {
        self.0.get(self.0.len() / 2).copied()
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.len() as u64
    }

    /// Of the medians: how many times as long as `other`.
    pub(crate) fn ratio_to(&self, other: &Self) -> Option<f64> {
        Some(self.median()?.as_secs_f64() / other.median()?.as_secs_f64())
    }
}

/// Median, least and most.
impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.median(), self.0.first(), self.0.last()) {
            (Some(median), Some(least), Some(most)) => {
                let [median, least, most] = [median, *least, *most].map(|time| time.as_millis());
                write!(f, "{median} ms ({least} to {most})")
            }
            _ => f.write_str("never"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(all: &[u64]) -> Times {
        let mut times = Times::default();
        for milliseconds in all {
            times.push(Duration::from_millis(*milliseconds));
        }
        times
    }

    #[test]
    fn medians_are_compared() {
        let [plain, ours] = [times(&[30, 10, 20]), times(&[40, 90, 10])];
        assert_eq!(plain.to_string(), "20 ms (10 to 30)");
        assert_eq!(ours.ratio_to(&plain), Some(2.0));
        assert_eq!(times(&[]).ratio_to(&plain), None);
        assert_eq!(times(&[]).to_string(), "never");
    }
}
