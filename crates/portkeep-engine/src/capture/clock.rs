//! Deadline of a capture.

use std::path::Path;
use std::time::{Duration, Instant};

use super::CaptureError;

/// A disk reads a program of a gigabyte in a few seconds. The wait for the lock is longer than this.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// Runs from the beginning of a capture.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    end: Instant,
    limit: Duration,
}

impl Clock {
    pub(super) fn of(limit: Duration) -> Self {
        Self {
            end: Instant::now() + limit,
            limit,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.end
    }

    pub(super) fn too_slow(&self, path: &Path) -> CaptureError {
        CaptureError::TooSlow {
            path: path.to_owned(),
            limit: self.limit,
        }
    }
}
