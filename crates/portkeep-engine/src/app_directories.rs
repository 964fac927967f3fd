//! State and cache directories of an app: checks whether an existing one is the app's own.
//!
//! systemd gives `StateDirectory=` to the unit's user, with everything in it. An app whose name is also the name of a
//! directory of the machine would take that directory from its owner.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User};
use portkeep_spec::{Allow, Spec};

/// Where the system manager creates them.
const STATE: &str = "/var/lib";
const CACHE: &str = "/var/cache";
/// Subdirectory in which systemd keeps those of dynamic users.
const PRIVATE: &str = "private";

/// A directory that an app would take from somebody else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "allow.{field} would give the app {}, which is there already and belongs to {owner}; rename the app, or move that \
     away if nobody needs it",
    path.display()
)]
pub struct Foreign {
    /// The field of the spec that asks for it.
    pub field: &'static str,
    /// The directory.
    pub path: PathBuf,
    /// Its owner, in words.
    pub owner: String,
}

/// The user that runs the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AppUser {
    /// A dynamic user of systemd's.
    Dynamic,
    /// An existing user of the machine.
    User(u32),
    /// A user that the machine does not know yet.
    Unknown,
}

/// What exists where the directory belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Found {
    Nothing,
    Link(PathBuf),
    Directory { owner: u32, is_empty: bool },
    Other { owner: u32 },
}

/// Checks the directories that the system manager would give to the app of `spec`.
///
/// `before` is the installed spec: the app owns what that one was given.
///
/// # Errors
/// When a directory cannot be read.
pub fn foreign(spec: &Spec, before: Option<&Spec>) -> io::Result<Option<Foreign>> {
    let of = |allow: &Allow| {
        [
            ("stateDirectory", allow.state_directory, STATE),
            ("cacheDirectory", allow.cache_directory, CACHE),
        ]
    };
    let had = before.map(|before| of(&before.allow));
    let asked = of(&spec.allow).into_iter();
    let is_new = |one: &(_, _, _)| !had.is_some_and(|had| had.contains(one));
    for (field, _, base) in asked.filter(|one| one.1 && is_new(one)) {
        let base = Path::new(base);
        if let Some(owner) = of_somebody_else(base, spec)? {
            let path = base.join(spec.name.as_str());
            return Ok(Some(Foreign { field, path, owner }));
        }
    }
    Ok(None)
}

fn of_somebody_else(base: &Path, spec: &Spec) -> io::Result<Option<String>> {
    let name = spec.name.as_str();
    let found = look(&base.join(name))?;
    let runs = match spec.allow.user.as_deref() {
        None => AppUser::Dynamic,
        Some(user) => match user.parse::<u32>() {
            Ok(number) => AppUser::User(number),
            Err(_) => match User::from_name(user)? {
                Some(user) => AppUser::User(user.uid.as_raw()),
                None => AppUser::Unknown,
            },
        },
    };
    Ok((!is_own(&found, runs, name)).then(|| owner(&found)))
}

/// Whether the app may have the directory. If root owns it and it is not empty, nobody may, not even an app that runs as
/// root.
fn is_own(found: &Found, runs: AppUser, name: &str) -> bool {
    match (found, runs) {
        (Found::Nothing | Found::Directory { is_empty: true, .. }, _) => true,
        // systemd makes it so, and undoes it for an app that now has a user of the machine.
        (Found::Link(target), _) => *target == Path::new(PRIVATE).join(name),
        (Found::Directory { owner, .. }, AppUser::User(user)) => *owner == user && user != 0,
        (Found::Directory { .. } | Found::Other { .. }, _) => false,
    }
}

fn look(path: &Path) -> io::Result<Found> {
    let metadata: Metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(error),
    };
    let owner = metadata.uid();
    if metadata.is_symlink() {
        return Ok(Found::Link(fs::read_link(path)?));
    }
    if !metadata.is_dir() {
        return Ok(Found::Other { owner });
    }
    let is_empty = fs::read_dir(path)?.next().is_none();
    Ok(Found::Directory { owner, is_empty })
}

fn owner(found: &Found) -> String {
    match found {
        Found::Nothing => "nobody".to_owned(),
        Found::Link(target) => format!("whoever linked it to {}", target.display()),
        Found::Directory { owner, .. } | Found::Other { owner } => {
            match User::from_uid(Uid::from_raw(*owner)) {
                Ok(Some(user)) => user.name,
                _ => format!("user {owner}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use portkeep_spec::{Address, Listen, SocketName};

    use super::*;

    fn directory(owner: u32, is_empty: bool) -> Found {
        Found::Directory { owner, is_empty }
    }

    #[test]
    fn whose_a_directory_is() {
        let link = |target: &str| Found::Link(target.into());
        for (found, runs, expected) in [
            (Found::Nothing, AppUser::Dynamic, true),
            (Found::Nothing, AppUser::Unknown, true),
            (directory(0, true), AppUser::Dynamic, true),
            (directory(0, false), AppUser::Dynamic, false),
            (directory(1000, false), AppUser::Dynamic, false),
            (directory(1000, false), AppUser::User(1000), true),
            (directory(1001, false), AppUser::User(1000), false),
            (directory(0, false), AppUser::User(1000), false),
            // Root owns /var/lib/dpkg, but this app does not.
            (directory(0, false), AppUser::User(0), false),
            (directory(1000, false), AppUser::Unknown, false),
            (link("private/a"), AppUser::Dynamic, true),
            (link("private/a"), AppUser::User(1000), true),
            (link("private/b"), AppUser::Dynamic, false),
            (link("/etc"), AppUser::Dynamic, false),
            (Found::Other { owner: 0 }, AppUser::User(0), false),
        ] {
            assert_eq!(is_own(&found, runs, "a"), expected, "{found:?} {runs:?}");
        }
    }

    #[test]
    fn what_is_there_is_looked_at() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("a");
        let own = nix::unistd::geteuid().as_raw();
        assert_eq!(look(&path).unwrap(), Found::Nothing);
        symlink("private/a", &path).unwrap();
        assert_eq!(look(&path).unwrap(), Found::Link("private/a".into()));
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert_eq!(look(&path).unwrap(), directory(own, true));
        fs::write(path.join("x"), "").unwrap();
        assert_eq!(look(&path).unwrap(), directory(own, false));
    }

    fn spec(name: &str, state_directory: bool) -> Spec {
        let http = Listen::new(SocketName::http(), Address::stream("127.0.0.1:80").unwrap());
        let mut spec = Spec::new(name.parse().unwrap(), vec!["/bin/a".into()], vec![http]);
        spec.allow.state_directory = state_directory;
        spec
    }

    /// Every machine that runs these tests has a `/var/lib` with something in it.
    #[test]
    fn an_installed_app_keeps_what_it_has() {
        let full = |entry: &fs::DirEntry| {
            let name = entry.file_name().into_string().unwrap_or_default();
            let is_name = name.parse::<portkeep_spec::AppName>().is_ok();
            (is_name
                && matches!(
                    look(&entry.path()),
                    Ok(Found::Directory {
                        is_empty: false,
                        ..
                    })
                ))
            .then_some(name)
        };
        let mut there = fs::read_dir(STATE).unwrap().flatten();
        let Some(name) = there.find_map(|entry| full(&entry)) else {
            panic!("nothing in {STATE}");
        };
        let refused = foreign(&spec(&name, true), None).unwrap().unwrap();
        assert_eq!(refused.path, Path::new(STATE).join(&name));
        assert_eq!(foreign(&spec(&name, false), None).unwrap(), None);
        assert!(
            foreign(&spec(&name, true), Some(&spec(&name, false)))
                .unwrap()
                .is_some()
        );
        assert_eq!(
            foreign(&spec(&name, true), Some(&spec(&name, true))).unwrap(),
            None
        );
    }
}
