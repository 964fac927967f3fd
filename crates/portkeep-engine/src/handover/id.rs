//! The identity of a handover.

use std::fmt;

use rustix::rand::{GetRandomFlags, getrandom};
use serde::{Deserialize, Serialize};

/// Names one handover, in its request, in the history and in the journal. By it, a caller finds the result of its own
/// handover among those of others.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HandoverId(String);

impl HandoverId {
    /// A new identity.
    #[must_use]
    pub fn unique() -> Self {
        let mut bytes = [0; 8];
        // The kernel's generator fails only in the first moments after boot; no two handovers happen then.
        let _ = getrandom(&mut bytes, GetRandomFlags::empty());
        Self(format!("{:016x}", u64::from_ne_bytes(bytes)))
    }

    /// The identity of the handover that a job of a systemd manager performs. The caller who asked for the job knows its
    /// number.
    #[must_use]
    pub fn of_job(job: u32) -> Self {
        Self(format!("job-{job}"))
    }
}

impl fmt::Display for HandoverId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
