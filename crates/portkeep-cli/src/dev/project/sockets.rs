//! How a program comes to its sockets, as far as its dependencies and sources tell.

use std::path::{Path, PathBuf};

use cargo_metadata::Package;

/// Says READY, takes passed sockets, moves connections.
const LIBRARY: [&str; 1] = ["portkeep"];
/// Can say READY.
const NOTIFY: [&str; 4] = ["sd-notify", "libsystemd", "systemd", "ecdysis"];
/// Takes passed sockets.
const ACTIVATED: [&str; 4] = [
    "listenfd",
    "tokio-listener",
    "socket-activation",
    "tokio-socket-activation",
];
/// In the sources of a program that takes passed sockets by itself.
const BY_HAND: &str = "LISTEN_FDS";

/// How a program comes to its sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manners {
    /// It says READY.
    Notifies,
    /// It takes sockets that are passed to it, and does not say when it is ready.
    TakesSockets,
    /// It knows nothing but to open its port itself.
    Bare,
}

impl Manners {
    /// `sources` are the directories of the package and of what it depends on by path.
    pub(super) fn of(package: &Package, sources: &[PathBuf]) -> Self {
        let depends = |names: &[&str]| {
            let mut all = package.dependencies.iter();
            all.any(|dependency| names.contains(&dependency.name.as_str()))
        };
        let is_library = LIBRARY.contains(&package.name.as_str());
        // A crate of the workspace may do it for the program.
        let within = |names: &[&str]| sources.iter().any(|source| manifest_names(source, names));
        if is_library
            || depends(&LIBRARY)
            || depends(&NOTIFY)
            || within(&LIBRARY)
            || within(&NOTIFY)
        {
            Self::Notifies
        } else if depends(&ACTIVATED)
            || within(&ACTIVATED)
            || sources
                .iter()
                .any(|source| mentions(&source.join("src"), BY_HAND))
        {
            Self::TakesSockets
        } else {
            Self::Bare
        }
    }

    /// The spec's `readiness`, where it is not the default.
    pub(super) fn readiness(self) -> Option<&'static str> {
        match self {
            Self::Notifies => None,
            Self::TakesSockets | Self::Bare => Some("accepts"),
        }
    }

    /// What one line more would give.
    pub(super) fn notice(self) -> Option<&'static str> {
        match self {
            Self::Notifies => None,
            Self::TakesSockets => Some(
                "this app counts as ready when it accepts connections; with `portkeep::serve(app)` (cargo add portkeep) it \
                 says so itself, no request is lost when it ends, and its pages reload and show errors",
            ),
            Self::Bare => Some(
                "this app opens its port itself, so it is stopped before the new version starts, and requests in between \
                 are refused; `portkeep::serve(app)` in place of `TcpListener::bind` and `axum::serve` (cargo add portkeep) \
                 ends that, and its pages reload and show errors",
            ),
        }
    }
}

/// Whether a manifest has one of `names` among its dependencies: a line that begins with it.
fn manifest_names(package: &Path, names: &[&str]) -> bool {
    let manifest = std::fs::read_to_string(package.join("Cargo.toml")).unwrap_or_default();
    manifest.lines().any(|line| {
        names.iter().any(|name| {
            line.trim_start()
                .strip_prefix(name)
                .is_some_and(|rest| rest.trim_start().starts_with(['=', '.']))
        })
    })
}

fn mentions(directory: &Path, word: &str) -> bool {
    ignore::Walk::new(directory).flatten().any(|entry| {
        entry
            .path()
            .extension()
            .is_some_and(|extension| extension == "rs")
            && std::fs::read_to_string(entry.path()).is_ok_and(|text| text.contains(word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_names_its_dependencies_at_the_beginning_of_lines() {
        let directory = tempfile::tempdir().unwrap();
        let manifest = "[dependencies]\nlistenfd = \"1\"\nsd-notify.workspace = true\n# portkeep = 1\nportkeeper = \"1\"\n";
        std::fs::write(directory.path().join("Cargo.toml"), manifest).unwrap();
        assert!(manifest_names(directory.path(), &ACTIVATED));
        assert!(manifest_names(directory.path(), &NOTIFY));
        assert!(!manifest_names(directory.path(), &LIBRARY));
    }
}
