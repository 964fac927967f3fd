//! Connections that this process has taken over together with a state.
//!
//! A state such as the keys of a connection may be used only once: otherwise the same keys and counters would encrypt
//! different bytes. So each socket's cookie, which the kernel never gives again, is taken once. It costs eight bytes each.

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
pub(super) struct Taken(Mutex<HashSet<u64>>);

/// Marks this connection as taken, until it is dropped without being [kept](Self::keep).
#[derive(Debug)]
pub(super) struct Claim {
    taken: Arc<Taken>,
    cookie: Option<u64>,
}

impl Taken {
    fn cookies(&self) -> MutexGuard<'_, HashSet<u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// # Errors
    ///
    /// If it was taken before.
    pub(super) fn claim(self: &Arc<Self>, cookie: u64) -> io::Result<Claim> {
        if !self.cookies().insert(cookie) {
            return Err(io::Error::other("it was taken over already"));
        }
        Ok(Claim {
            taken: Arc::clone(self),
            cookie: Some(cookie),
        })
    }
}

impl Claim {
    /// It belongs to this process from here on.
    pub(super) fn keep(mut self) {
        self.cookie = None;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(cookie) = self.cookie {
            self.taken.cookies().remove(&cookie);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_cannot_be_taken_again_and_what_was_not_can() {
        let taken = Arc::new(Taken::default());
        let claim = taken.claim(7).unwrap();
        assert!(taken.claim(7).is_err());
        drop(claim);
        taken.claim(7).unwrap().keep();
        assert!(taken.claim(7).is_err());
        assert!(taken.claim(8).is_ok());
    }
}
