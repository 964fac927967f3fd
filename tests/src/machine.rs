//! What the machine gives: times say something of portkeep only where other work does not take the processors.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// How much of the processors others may take.
const CALM: f64 = 0.25;
/// How long it is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// How long others may take to end what they do.
const PATIENCE: Duration = Duration::from_secs(10);

/// Measures a time, and fails the test if it is `limit` or longer again and again, at last twice while nobody else wanted the
/// processors. Where somebody does, the run says that it measured nothing. What else `measure` expects, it expects each time.
#[track_caller]
pub fn expect_shorter(what: &str, limit: Duration, mut measure: impl FnMut() -> Duration) {
    let mut too_long = vec![measure()];
    if too_long[0] < limit {
        return;
    }
    for _ in 0..2 {
        let before = wait_for_calm();
        let others = match before > CALM {
            true => before,
            false => {
                let took = measure();
                if took < limit {
                    return;
                }
                too_long.push(took);
                taken()
            }
        };
        if others > CALM {
            println!(
                "measured: nothing: {what}: {too_long:?}, limit {limit:?}, but other work takes {:.0} % of the processors",
                others * 100.0
            );
            return;
        }
    }
    panic!("{what}: {too_long:?}, limit {limit:?}");
}

/// Waits for a while until the machine is calm, and answers what others take.
fn wait_for_calm() -> f64 {
    let start = Instant::now();
    loop {
        let others = taken();
        if others <= CALM || start.elapsed() > PATIENCE {
            return others;
        }
    }
}

/// The share of the processors' time that was taken during a moment: by others, since the caller sleeps.
fn taken() -> f64 {
    let before = spent();
    thread::sleep(LOOK);
    let after = spent();
    let [all, idle] = [0, 1].map(|part| after[part].saturating_sub(before[part]));
    1.0 - idle as f64 / all.max(1) as f64
}

/// Ticks of all processors since the boot of the machine, and those in which one had nothing to do.
fn spent() -> [u64; 2] {
    let stat = fs::read_to_string("/proc/stat").expect("it can be read");
    let line = stat.lines().next().unwrap_or_default();
    let ticks = line
        .split_whitespace()
        .skip(1)
        // Those of virtual machines are counted twice: among those of users, too.
        .take(8)
        .filter_map(|field| field.parse().ok());
    let ticks: Vec<u64> = ticks.collect();
    [ticks.iter().sum(), ticks.iter().skip(3).take(2).sum()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_short_is_measured_once() {
        let mut times = 0;
        expect_shorter("it", Duration::from_secs(1), || {
            times += 1;
            Duration::ZERO
        });
        assert_eq!(times, 1);
    }

    #[test]
    fn a_share_is_between_nothing_and_all() {
        let share = taken();
        assert!((0.0..=1.0).contains(&share), "{share}");
    }
}
