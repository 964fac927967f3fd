//! The identity of a handover.

use std::fmt;

use rustix::rand::{GetRandomFlags, getrandom};
use serde::{Deserialize, Serialize};

/// Names one handover, in its request, in the history and in the journal. Who asked for it knows its own by that, whatever
/// others did meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HandoverId(String);

impl HandoverId {
    /// One that nobody else has.
    #[must_use]
    pub fn unique() -> Self {
        let mut bytes = [0; 8];
        // The kernel's generator fails only before the machine has been up for a moment; then no two are asked for.
        let _ = getrandom(&mut bytes, GetRandomFlags::empty());
        Self(format!("{:016x}", u64::from_ne_bytes(bytes)))
    }

    /// That of the handover that a job of a systemd manager makes: who asked for the job knows its number.
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
