//! What the environment says about passed sockets. Pure: the environment is an argument.

use std::collections::BTreeMap;

use super::ListenError;

/// The variables of a process, by name.
pub(crate) type Environment = BTreeMap<String, String>;

pub(crate) const LISTEN_FDS: &str = "LISTEN_FDS";
pub(crate) const LISTEN_PID: &str = "LISTEN_PID";
pub(crate) const LISTEN_FDNAMES: &str = "LISTEN_FDNAMES";
pub(crate) const LISTEN_FDS_FIRST_FD: &str = "LISTEN_FDS_FIRST_FD";

/// One name for each passed descriptor, in order; `None` where the passer gave none.
pub(crate) type Names = Vec<Option<String>>;

/// Reads how many descriptors were passed to process `own_pid`, and their names.
///
/// `LISTEN_PID` may be absent or empty: systemfd, watchexec and devenv start the server through
/// a wrapper and cannot know its process id. A different process id means that the variables
/// were inherited by accident and the descriptors belong to somebody else.
pub(crate) fn passed(env: &Environment, own_pid: u32) -> Result<Names, ListenError> {
    let Some(count) = number::<u16>(env, LISTEN_FDS, "a number of descriptors")? else {
        return Ok(Names::new());
    };
    if let Some(pid) = number::<u32>(env, LISTEN_PID, "a process id")?
        && pid != own_pid
    {
        return Ok(Names::new());
    }
    // The crate that adopts the descriptors falls back to 3 on a bad value and would then
    // take somebody else's descriptors; so a bad value ends here.
    number::<u16>(env, LISTEN_FDS_FIRST_FD, "a descriptor number")?;

    let count = usize::from(count);
    let Some(text) = env.get(LISTEN_FDNAMES) else {
        return Ok(vec![None; count]);
    };
    let names: Names = text
        .split(':')
        .map(|name| Some(name.to_owned()).filter(|name| !name.is_empty()))
        .collect();
    if count > 0 && names.len() != count {
        return Err(ListenError::NamesMismatch {
            names: text.clone(),
            count,
        });
    }
    Ok(if count == 0 { Names::new() } else { names })
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

    fn env(pairs: &[(&str, &str)]) -> Environment {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn names(pairs: &[(&str, &str)]) -> Names {
        passed(&env(pairs), OWN).unwrap()
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
    fn names_in_order() {
        assert_eq!(
            names(&[("LISTEN_FDS", "3"), ("LISTEN_FDNAMES", "http::admin")]),
            [Some("http".to_owned()), None, Some("admin".to_owned())]
        );
        assert_eq!(names(&[("LISTEN_FDS", "2")]), [None, None]);
    }

    #[test]
    fn too_few_names_is_an_error() {
        let error = passed(&env(&[("LISTEN_FDS", "2"), ("LISTEN_FDNAMES", "a")]), OWN).unwrap_err();
        assert!(matches!(error, ListenError::NamesMismatch { count: 2, .. }));
    }

    #[test]
    fn nonsense_names_the_variable() {
        for (variable, value) in [
            ("LISTEN_FDS", "-1"),
            ("LISTEN_FDS", "many"),
            ("LISTEN_PID", "me"),
            ("LISTEN_FDS_FIRST_FD", "three"),
        ] {
            let error = passed(&env(&[("LISTEN_FDS", "1"), (variable, value)]), OWN).unwrap_err();
            assert!(error.to_string().contains(variable), "{error}");
            assert!(error.to_string().contains(value), "{error}");
        }
    }
}
