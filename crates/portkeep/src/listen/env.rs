//! Parses the environment's variables for passed sockets. Pure: the environment is an argument.

use std::collections::BTreeMap;

// In each generation that portkeep runs, a process without its sockets has nothing to serve.
use portkeep_contract::PORTKEEP_GENERATION;
pub(crate) use portkeep_contract::{
    LISTEN_FDNAMES, LISTEN_FDS, LISTEN_FDS_FIRST_FD, LISTEN_PID, LISTEN_PIDFDID,
};

use super::ListenError;

/// The variables of a process, by name.
pub(crate) type Environment = BTreeMap<String, String>;

/// `SD_LISTEN_FDS_START`: the first passed descriptor, unless `LISTEN_FDS_FIRST_FD` says otherwise.
const LISTEN_FDS_START: u16 = 3;

/// Numbers and names of the passed descriptors.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct PassedDescriptors {
    /// The number of the first one.
    pub(crate) first: u16,
    /// One name for each descriptor, in order; `None` where the passer gave none.
    pub(crate) names: Vec<Option<String>>,
}

/// The process that the sockets are for.
pub(crate) struct Process<'a> {
    pub(crate) id: u32,
    /// The inode of its pidfd, if the kernel has one.
    pub(crate) pidfd_inode: &'a dyn Fn() -> Option<u64>,
}

/// Reads which descriptors were passed to a process, and their names.
///
/// `LISTEN_PID` may be absent or empty: systemfd, watchexec and devenv start the server through
/// a wrapper and cannot know its process id. A different process id means that the variables
/// were inherited by accident and the descriptors belong to somebody else; in a generation of portkeep's it means that a
/// wrapper started the server and stayed. `LISTEN_PIDFDID` says
/// the same of a process whose id is used again, or is another process's in another namespace.
pub(crate) fn passed(
    env: &Environment,
    own: &Process<'_>,
) -> Result<PassedDescriptors, ListenError> {
    let Some(count) = number::<u16>(env, LISTEN_FDS, "a number of descriptors")? else {
        return Ok(PassedDescriptors::default());
    };
    if let Some(pid) = number::<u32>(env, LISTEN_PID, "a process id")?
        && pid != own.id
    {
        if env.contains_key(PORTKEEP_GENERATION) {
            return Err(ListenError::Wrapper { pid });
        }
        return Ok(PassedDescriptors::default());
    }
    if let Some(inode) = number::<u64>(env, LISTEN_PIDFDID, "the inode of a pidfd")?
        && (own.pidfd_inode)().is_some_and(|own| own != inode)
    {
        return Ok(PassedDescriptors::default());
    }
    let first = number::<u16>(env, LISTEN_FDS_FIRST_FD, "a descriptor number")?;

    let count = usize::from(count);
    let names = match env.get(LISTEN_FDNAMES) {
        None => vec![None; count],
        Some(_) if count == 0 => Vec::new(),
        Some(text) => {
            let names: Vec<_> = text
                .split(':')
                .map(|name| Some(name.to_owned()).filter(|name| !name.is_empty()))
                .collect();
            if names.len() != count {
                return Err(ListenError::NamesMismatch {
                    names: text.clone(),
                    count,
                });
            }
            names
        }
    };
    Ok(PassedDescriptors {
        first: first.unwrap_or(LISTEN_FDS_START),
        names,
    })
}

/// A variable as a number; absent and empty are the same.
fn number<N: std::str::FromStr>(
    env: &Environment,
    variable: &'static str,
    expected: &'static str,
) -> Result<Option<N>, ListenError> {
    match env.get(variable).map(String::as_str) {
        None | Some("") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| ListenError::Variable {
            variable,
            value: text.to_owned(),
            expected,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: u32 = 4711;
    const INODE: u64 = 1 << 40;

    #[test]
    fn a_wrapper_that_stays_is_named_where_portkeep_runs_the_app() {
        let own = Process {
            id: OWN,
            pidfd_inode: &|| None,
        };
        let others = [("LISTEN_FDS", "1"), ("LISTEN_PID", "4710")];
        assert_eq!(
            passed(&env(&others), &own).unwrap(),
            PassedDescriptors::default()
        );
        let generation = [&others[..], &[("PORTKEEP_GENERATION", "3")]].concat();
        let error = passed(&env(&generation), &own).unwrap_err().to_string();
        assert!(
            error.contains("does not `exec`") && error.contains("4710"),
            "{error}"
        );
    }

    fn env(pairs: &[(&str, &str)]) -> Environment {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn to_own(pairs: &[(&str, &str)]) -> Result<PassedDescriptors, ListenError> {
        let own = Process {
            id: OWN,
            pidfd_inode: &|| Some(INODE),
        };
        passed(&env(pairs), &own)
    }

    fn names(pairs: &[(&str, &str)]) -> Vec<Option<String>> {
        to_own(pairs).unwrap().names
    }

    #[test]
    fn nothing_passed() {
        assert!(names(&[]).is_empty());
        assert!(names(&[("LISTEN_FDS", "")]).is_empty());
        assert!(names(&[("LISTEN_FDS", "0"), ("LISTEN_FDNAMES", "")]).is_empty());
        assert!(names(&[("LISTEN_FDNAMES", "http")]).is_empty());
    }

    #[test]
    fn pid_may_be_right_absent_or_empty() {
        for pid in [Some("4711"), None, Some("")] {
            let mut pairs = vec![("LISTEN_FDS", "1")];
            pairs.extend(pid.map(|pid| ("LISTEN_PID", pid)));
            assert_eq!(names(&pairs).len(), 1, "{pid:?}");
        }
    }

    #[test]
    fn another_process_owns_them() {
        assert!(names(&[("LISTEN_FDS", "1"), ("LISTEN_PID", "1")]).is_empty());
    }

    #[test]
    fn a_process_id_may_be_used_again() {
        let pid = OWN.to_string();
        let with = |inode: &str| {
            let pairs = [
                ("LISTEN_FDS", "1"),
                ("LISTEN_PID", &pid),
                ("LISTEN_PIDFDID", inode),
            ];
            names(&pairs).len()
        };
        assert_eq!(with(&INODE.to_string()), 1);
        assert_eq!(with(&(INODE + 1).to_string()), 0);
        assert_eq!(with(""), 1);
        // A kernel without such inodes cannot tell.
        let environment = env(&[("LISTEN_FDS", "1"), ("LISTEN_PIDFDID", "5")]);
        let own = Process {
            id: OWN,
            pidfd_inode: &|| None,
        };
        assert_eq!(passed(&environment, &own).unwrap().names.len(), 1);
    }

    #[test]
    fn the_first_one_is_3_unless_it_is_said() {
        assert_eq!(to_own(&[("LISTEN_FDS", "1")]).unwrap().first, 3);
        let other = [("LISTEN_FDS", "1"), ("LISTEN_FDS_FIRST_FD", "9")];
        assert_eq!(to_own(&other).unwrap().first, 9);
    }

    #[test]
    fn names_in_order() {
        assert_eq!(
            names(&[("LISTEN_FDS", "3"), ("LISTEN_FDNAMES", "http::admin")]),
            [Some("http".to_owned()), None, Some("admin".to_owned())]
        );
        assert_eq!(names(&[("LISTEN_FDS", "2")]), [None, None]);
    }

    #[test]
    fn too_few_names_is_an_error() {
        let error = to_own(&[("LISTEN_FDS", "2"), ("LISTEN_FDNAMES", "a")]).unwrap_err();
        assert!(matches!(error, ListenError::NamesMismatch { count: 2, .. }));
    }

    #[test]
    fn nonsense_names_the_variable() {
        for (variable, value) in [
            ("LISTEN_FDS", "-1"),
            ("LISTEN_FDS", "many"),
            ("LISTEN_PID", "me"),
            ("LISTEN_PIDFDID", "-1"),
            ("LISTEN_FDS_FIRST_FD", "three"),
        ] {
            let error = to_own(&[("LISTEN_FDS", "1"), (variable, value)]).unwrap_err();
            assert!(error.to_string().contains(variable), "{error}");
            assert!(error.to_string().contains(value), "{error}");
        }
    }
}
