//! Numbers that a run reports besides passing or failing.

use std::time::Duration;

/// Several times of the same thing.
#[derive(Clone, Debug, Default)]
pub struct Measurement {
    times: Vec<Duration>,
}

impl Measurement {
    /// Adds one.
    pub fn add(&mut self, time: Duration) {
        self.times.push(time);
        self.times.sort();
    }

    /// The middle one.
    #[must_use]
    pub fn median(&self) -> Duration {
        self.quantile(50)
    }

    /// The one that `percent` of all do not exceed.
    #[must_use]
    pub fn quantile(&self, percent: usize) -> Duration {
        assert!(!self.times.is_empty(), "nothing was measured");
        self.times[((self.times.len() - 1) * percent).div_ceil(100)]
    }

    /// Prints it in the form that `tests/run` repeats in its summary.
    pub fn report(&self, what: &str) {
        println!(
            "measured: {what}: median {:.1} ms, p90 {:.1} ms, max {:.1} ms, of {}",
            self.median().as_secs_f64() * 1e3,
            self.quantile(90).as_secs_f64() * 1e3,
            self.quantile(100).as_secs_f64() * 1e3,
            self.times.len()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_times_that_were_measured() {
        let mut measurement = Measurement::default();
        for millis in [5, 1, 4, 2, 3] {
            measurement.add(Duration::from_millis(millis));
        }
        assert_eq!(measurement.median(), Duration::from_millis(3));
        assert_eq!(measurement.quantile(90), Duration::from_millis(5));
        assert_eq!(measurement.quantile(0), Duration::from_millis(1));
    }
}
