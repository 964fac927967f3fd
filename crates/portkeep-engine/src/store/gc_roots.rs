//! Garbage-collection roots of Nix: a kept release could not be restored if Nix had collected its store paths.
//!
//! `STATE/gcroots/DIGEST/…` links to the store path, and `/nix/var/nix/gcroots/auto` links there. Nix ignores such a root,
//! and removes it, once our link is gone: removing an app's state releases its roots.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::atomic_symlink;
use crate::release::{Digest, Release};

const STORE: &str = "/nix/store/";
const AUTO: &str = "/nix/var/nix/gcroots/auto";
/// Number of hash digits at the beginning of a store path's name.
const HASH: usize = 32;

/// Protects the store paths of `release`; does nothing for a release without one.
///
/// A release without a root runs all the same, so failures are only logged.
pub(super) fn protect(state: &Path, release: &Release) {
    let directory = directory(state).join(release.digest.as_str());
    for path in named_by(release) {
        let link = directory.join(path.file_name().unwrap_or_default());
        if fs::read_link(&link).is_ok_and(|target| target == path) {
            continue;
        }
        if let Err(error) = fs::create_dir_all(&directory).and_then(|()| add(&link, &path)) {
            tracing::warn!(
                "no garbage-collection root for {}: {error}; a collection may remove it while it is kept",
                path.display()
            );
        }
    }
}

/// Releases the roots of all releases but `kept`.
pub(super) fn release_all_but(state: &Path, kept: &[Digest]) -> io::Result<()> {
    let entries = match fs::read_dir(directory(state)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        if !kept.iter().any(|digest| name == digest.as_str()) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn directory(state: &Path) -> PathBuf {
    state.join("gcroots")
}

fn add(link: &Path, path: &Path) -> io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return tell_nix(link, path);
    }
    // What Nix would do, without the time for a process during a handover.
    let name = link.to_string_lossy().trim_matches('/').replace('/', "-");
    atomic_symlink(link, &Path::new(AUTO).join(name))?;
    atomic_symlink(path, link)
}

/// Only Nix's daemon may write where the roots of users are listed.
fn tell_nix(link: &Path, path: &Path) -> io::Result<()> {
    let mut search = std::env::var_os("PATH").unwrap_or_default();
    // The PATH of a service rarely has Nix.
    search.push(":/run/current-system/sw/bin:/nix/var/nix/profiles/default/bin");
    let status = Command::new("nix-store")
        .env("PATH", search)
        .arg("--add-root")
        .arg(link)
        .arg("--realise")
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other(format!("nix-store ended with {status}")))
    }
}

/// All store paths of a release: in its executable, its arguments, its environment.
fn named_by(release: &Release) -> BTreeSet<PathBuf> {
    let executable = release.executable.to_string_lossy();
    let arguments = release.arguments().iter().map(String::as_str);
    let variables = release.environment().values().map(String::as_str);
    store_paths(
        [executable.as_ref()]
            .into_iter()
            .chain(arguments)
            .chain(variables),
    )
}

fn store_paths<'a>(texts: impl Iterator<Item = &'a str>) -> BTreeSet<PathBuf> {
    let mut paths = BTreeSet::new();
    for text in texts {
        for (start, _) in text.match_indices(STORE) {
            let name = &text[start + STORE.len()..];
            let end = name.find(|c: char| !is_name(c)).unwrap_or(name.len());
            let (hash, rest) = name[..end].split_at_checked(HASH).unwrap_or(("", ""));
            let is_hash = hash
                .bytes()
                .all(|b| b.is_ascii_digit() || b.is_ascii_lowercase());
            if is_hash && rest.len() > 1 && rest.starts_with('-') {
                paths.insert(Path::new(STORE).join(&name[..end]));
            }
        }
    }
    paths
}

/// Characters in the name of a store path.
fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || "+-._?=".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: &str = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-app-1.0";
    const DATA: &str = "/nix/store/zzzz456789abcdfghijklmnpqrsvwxyz-data";

    #[test]
    fn all_that_is_named_is_found() {
        let texts = [
            format!("{APP}/bin/app"),
            format!("--data={DATA}/share:{APP}/share"),
            format!("{DATA}:/usr/share"),
        ];
        let paths: Vec<_> = store_paths(texts.iter().map(String::as_str))
            .into_iter()
            .collect();
        assert_eq!(paths, [Path::new(APP), Path::new(DATA)]);
    }

    #[test]
    fn what_is_no_store_path_is_left_alone() {
        for text in [
            "/usr/bin/app",
            "/nix/store",
            "/nix/store/",
            "/nix/store/.links/x",
            "/nix/store/short-app",
            "/nix/store/0123456789abcdfghijklmnpqrsvwxyz",
            "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-",
            "/nix/store/0123456789ABCDFGHIJKLMNPQRSVWXYZ-app",
            "/nix/store/ä",
        ] {
            assert!(store_paths([text].into_iter()).is_empty(), "{text}");
        }
    }
}
