//! Directories of an app's files, for each kind of manager.

mod make;
mod trusted;

use std::env;
use std::path::PathBuf;

use portkeep_spec::AppName;

pub use make::make;
pub(crate) use make::{CLOSED, TRAVERSED};
pub(crate) use trusted::check_for as check_trusted_for;
pub use trusted::{Untrusted, check as check_trusted};

/// Who runs the generations, which decides about the directories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The system manager (PID 1).
    System,
    /// A user's systemd manager.
    User,
    /// `portkeep dev` itself, with child processes.
    Local,
}

/// The two directories of one app.
///
/// `XDG_STATE_HOME` is ignored on purpose: a shell and a user manager often have different values of it, and both must find
/// the same history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directories {
    /// It lasts until the next boot: lock, generations, `current`.
    pub run: PathBuf,
    /// It lasts: releases and history.
    pub state: PathBuf,
}

/// Why no directory can be named.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoriesError {
    /// `HOME` is not set.
    #[error(
        "HOME is not set: cannot tell where the state of {0} belongs; set HOME to your home directory"
    )]
    NoHome(String),
    /// There is no per-user runtime directory.
    #[error(
        "no runtime directory: XDG_RUNTIME_DIR is not set and {0} does not exist; \
         log in through PAM (ssh, not su) or run `loginctl enable-linger $USER`"
    )]
    NoRuntimeDirectory(PathBuf),
}

impl Directories {
    /// The directories of `name` at `place`.
    ///
    /// # Errors
    /// When `HOME` is missing or, for the user manager, there is no runtime directory.
    pub fn of(place: Place, name: &AppName) -> Result<Self, DirectoriesError> {
        Ok(Self::below(place, name.as_str())?.of_app(name))
    }

    /// The directories of one app, below these of all apps.
    #[must_use]
    pub fn of_app(&self, name: &AppName) -> Self {
        Self {
            run: self.run.join(name.as_str()),
            state: self.state.join(name.as_str()),
        }
    }

    /// The parents of all apps' directories at `place`.
    ///
    /// # Errors
    /// As [`Directories::of`].
    pub fn all(place: Place) -> Result<Self, DirectoriesError> {
        Self::below(place, "portkeep's apps")
    }

    fn below(place: Place, whose: &str) -> Result<Self, DirectoriesError> {
        Ok(match place {
            Place::System => Self {
                run: "/run/portkeep".into(),
                state: "/var/lib/portkeep".into(),
            },
            Place::User => Self {
                run: user_runtime_directory()?.join("portkeep"),
                state: home(whose)?.join(".local/state/portkeep"),
            },
            // Another name, so that an app under development never meets an installed one with the same name.
            Place::Local => {
                let state = home(whose)?.join(".local/state/portkeep-local");
                let run = match user_runtime_directory() {
                    Ok(runtime) => runtime.join("portkeep-local"),
                    // Below the home directory, where nobody else can create it first. No app's name has a dot.
                    Err(_) => state.join(".run"),
                };
                Self { run, state }
            }
        })
    }
}

fn home(name: &str) -> Result<PathBuf, DirectoriesError> {
    env::var_os("HOME")
        .filter(|home| !home.is_empty())
        .map(PathBuf::from)
        .ok_or_else(|| DirectoriesError::NoHome(name.to_owned()))
}

/// `$XDG_RUNTIME_DIR`, or logind's directory.
///
/// # Errors
/// When neither exists.
pub fn user_runtime_directory() -> Result<PathBuf, DirectoriesError> {
    if let Some(directory) = env::var_os("XDG_RUNTIME_DIR").filter(|value| !value.is_empty()) {
        return Ok(PathBuf::from(directory));
    }
    let usual = PathBuf::from(format!("/run/user/{}", rustix::process::getuid().as_raw()));
    if usual.is_dir() {
        Ok(usual)
    } else {
        Err(DirectoriesError::NoRuntimeDirectory(usual))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_ours_is_in_a_directory_that_everybody_may_write() {
        let name: AppName = "hello".parse().unwrap();
        for place in [Place::System, Place::User, Place::Local] {
            let Ok(directories) = Directories::of(place, &name) else {
                continue;
            };
            for directory in [&directories.run, &directories.state] {
                assert!(!directory.starts_with(env::temp_dir()), "{place:?}");
                assert!(directory.ends_with("hello"), "{place:?}");
            }
            assert_ne!(directories.run, directories.state);
        }
    }
}
