//! Number of connections that a process may have.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit of open files to the hard one.
///
/// Service managers start all processes with 1024, because `select` cannot handle more, and leave it to others to raise it
/// (systemd's hard limit is 524,288). At the limit nobody is accepted, and the next generation cannot take over the
/// connections of this one.
///
/// Returns the limit after that; none if there is no limit.
pub(crate) fn raise_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return limit.current;
    }
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => {
            tracing::debug!(from = ?limit.current, to = ?limit.maximum, "limit of open files");
            limit.maximum
        }
        // Everything works, with fewer connections.
        Err(error) => {
            tracing::debug!(%error, "the limit of open files cannot be raised");
            limit.current
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let before = getrlimit(Resource::Nofile);
        let hard = before.maximum.expect("there is one on every Linux");
        let soft = Rlimit {
            // Other tests run in this process.
            current: Some(hard - 1),
            maximum: before.maximum,
        };
        setrlimit(Resource::Nofile, soft).unwrap();
        assert_eq!(raise_limit(), before.maximum);
        assert_eq!(getrlimit(Resource::Nofile).current, before.maximum);
    }
}
