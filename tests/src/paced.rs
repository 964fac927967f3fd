//! Something that is done again and again while load runs.

use std::thread;
use std::time::{Duration, Instant};

/// Calls `step` with 1, 2 … `times`, evenly over `during`, so that load of that length begins before the first and goes on
/// after the last. A step that takes long makes the next one late.
pub fn paced(times: u32, during: Duration, mut step: impl FnMut(u32)) {
    let start = Instant::now();
    let pace = during / (times + 2);
    for number in 1..=times {
        thread::sleep((start + pace * number).saturating_duration_since(Instant::now()));
        step(number);
    }
}
