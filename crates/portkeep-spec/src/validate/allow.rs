//! The rules of `allow`.

use crate::escape::{check_credential_path, check_path};
use crate::{Allow, Problem, SpecError};

/// Linux' own limit of user names.
const LONGEST_USER: usize = 31;

pub(super) fn check(allow: &Allow) -> Result<(), SpecError> {
    for (index, path) in allow.writable_paths.iter().enumerate() {
        let checked = match path.as_os_str().is_empty() {
            true => Err(Problem::Empty("write a path")),
            false => check_path(path).map(drop),
        };
        checked.map_err(|problem| problem.at(format!("allow.writablePaths[{index}]")))?;
    }
    for (index, path) in allow.devices.iter().enumerate() {
        let checked = match path.starts_with("/dev") {
            // systemd 257 passes it on in the same way as the path of a credential.
            true => check_credential_path(path).map(drop),
            false => Err(Problem::NotADevice(path.display().to_string())),
        };
        checked.map_err(|problem| problem.at(format!("allow.devices[{index}]")))?;
    }
    words(
        &allow.capabilities,
        "capabilities",
        "a capability, like \"CAP_NET_ADMIN\"",
        |word| {
            let name = word.strip_prefix("CAP_").unwrap_or_default();
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
        },
    )?;
    words(
        &allow.system_calls,
        "systemCalls",
        "a system call, like \"bpf\", or a group of them, like \"@mount\"",
        |word| is_plain(word.strip_prefix('@').unwrap_or(word), b"_-"),
    )?;
    words(
        &allow.architectures,
        "architectures",
        "an architecture, like \"x86\" or \"arm\"",
        |word| is_plain(word, b"-"),
    )?;
    if let Some(user) = &allow.user
        && !is_user_name(user)
    {
        let problem = Problem::NotA("the name of a user", user.clone());
        return Err(problem.at("allow.user"));
    }
    if let Some(umask) = &allow.umask
        && !((3..=4).contains(&umask.len())
            && umask.bytes().all(|b| (b'0'..=b'7').contains(&b))
            && (umask.len() == 3 || umask.starts_with('0')))
    {
        let problem = Problem::NotA("a file mode mask, like \"0022\"", umask.clone());
        return Err(problem.at("allow.umask"));
    }
    Ok(())
}

/// Whether it can be the name of a user or a group of the machine.
pub(super) fn is_user_name(name: &str) -> bool {
    is_plain(name, b"_-") && !name.starts_with('-') && name.len() <= LONGEST_USER
}

fn words(
    list: &[String],
    field: &str,
    what: &'static str,
    is_one: impl Fn(&str) -> bool,
) -> Result<(), SpecError> {
    match list.iter().position(|word| !is_one(word)) {
        None => Ok(()),
        Some(index) => {
            let problem = Problem::NotA(what, list[index].clone());
            Err(problem.at(format!("allow.{field}[{index}]")))
        }
    }
}

fn is_plain(word: &str, more: &[u8]) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || more.contains(&b);
    !word.is_empty() && word.bytes().all(plain)
}
