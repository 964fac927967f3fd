//! How a program comes to its sockets, as far as its dependencies and sources tell.

use std::path::Path;

use cargo_metadata::Package;
use portkeep_spec::{Readiness, Spec};

use super::reach::Reach;

/// Says READY, takes passed sockets, moves connections.
const LIBRARY: [&str; 1] = ["portkeep"];
/// Can say READY.
const NOTIFY: [&str; 2] = ["sd-notify", "ecdysis"];
/// Can say READY, and are used for logging as well.
const DAEMON: [&str; 2] = ["libsystemd", "systemd"];
/// The part of those that says READY.
const DAEMON_MODULE: [&str; 1] = ["daemon"];
/// Takes passed sockets.
const ACTIVATED: [&str; 4] = [
    "listenfd",
    "tokio-listener",
    "socket-activation",
    "tokio-socket-activation",
];
/// In the sources of a program that takes passed sockets by itself.
const BY_HAND: [&str; 1] = ["LISTEN_FDS"];

/// How a program comes to its sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manners {
    /// It is on our library.
    Library,
    /// It says READY by itself.
    Notifies,
    /// It takes sockets that are passed to it, and does not say when it is ready.
    TakesSockets,
    /// It knows nothing but to open its port itself.
    Bare,
}

impl Manners {
    pub(super) fn of(package: &Package, reach: &Reach) -> Self {
        let depends = |names: &[&str]| names.iter().any(|&name| reach.dependencies.contains(name));
        // A crate of the workspace may do it for the program.
        let mentions = |words: &[&str]| {
            let mut sources = reach.linked.iter().map(|source| source.join("src"));
            sources.any(|source| mentions(&source, words))
        };
        if LIBRARY.contains(&package.name.as_str()) || depends(&LIBRARY) {
            Self::Library
        } else if depends(&NOTIFY) || depends(&DAEMON) && mentions(&DAEMON_MODULE) {
            Self::Notifies
        } else if depends(&ACTIVATED) || mentions(&BY_HAND) {
            Self::TakesSockets
        } else {
            Self::Bare
        }
    }

    /// The spec's `readiness`, where it is not the default.
    pub(super) fn readiness(self) -> Option<&'static str> {
        match self {
            Self::Library | Self::Notifies => None,
            Self::TakesSockets | Self::Bare => Some("accepts"),
        }
    }

    /// The spec's `moveConnections`, where it is not the default: that is one socket more, and who does not know of it takes
    /// the first one for the port. systemd puts them in no certain order.
    pub(super) fn moves_connections(self) -> Option<bool> {
        (self == Self::Notifies).then_some(false)
    }

    /// What may be wrong with a spec that somebody wrote: it says how the app comes to its sockets, and is taken at its word.
    pub(super) fn doubt(self, spec: &Spec) -> Option<&'static str> {
        match (self, spec.readiness) {
            (Self::Notifies, _) if spec.has_move_socket() => Some(
                "this app does not seem to be on the server library, and portkeep.json passes it a socket to move connections by: \
                 write \"moveConnections\": false there, or use `portkeep::serve(app)` (cargo add portkeep)",
            ),
            (Self::Library | Self::Notifies, _) | (Self::Bare, Readiness::Started) => None,
            (Self::TakesSockets, Readiness::Notify) => Some(
                "this app does not seem to say READY, and portkeep.json waits for that: use `portkeep::serve(app)` (cargo add \
                 portkeep), or write \"readiness\": \"accepts\" there",
            ),
            (Self::TakesSockets, _) => self.notice(),
            (Self::Bare, _) => Some(
                "this app does not seem to take the sockets that portkeep.json gives it: use `portkeep::serve(app)` (cargo add \
                 portkeep) in place of `TcpListener::bind` and `axum::serve`",
            ),
        }
    }

    /// What one line more would give.
    pub(super) fn notice(self) -> Option<&'static str> {
        match self {
            Self::Library | Self::Notifies => None,
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

/// Whether one of `words` is in the sources below `directory`.
fn mentions(directory: &Path, words: &[&str]) -> bool {
    ignore::Walk::new(directory).flatten().any(|entry| {
        let path = entry.path();
        path.extension().is_some_and(|extension| extension == "rs")
            && std::fs::read_to_string(path)
                .is_ok_and(|text| words.iter().any(|word| text.contains(word)))
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use cargo_metadata::MetadataCommand;

    use super::*;
    use crate::project::cargo::binary;
    use crate::project::kind::Kind;
    use crate::project::reach::reach;

    /// What is found of a project with these dependencies and this source, beside a crate `part` that has `part`.
    fn manners(dependencies: &str, source: &str, part: &str) -> Manners {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path: PathBuf = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let head = |name: &str| {
            format!(
                "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n"
            )
        };
        write("app/Cargo.toml", &format!("{}{dependencies}", head("app")));
        write("app/src/main.rs", source);
        write("part/Cargo.toml", &format!("{}{part}", head("part")));
        write("part/src/lib.rs", "");
        let manifest = directory
            .path()
            .canonicalize()
            .unwrap()
            .join("app/Cargo.toml");
        let metadata = MetadataCommand::new()
            .manifest_path(&manifest)
            .no_deps()
            .exec()
            .unwrap();
        let (package, _) = binary(&metadata, &manifest, None).unwrap();
        Manners::of(package, &reach(&metadata, package, Kind::Binary))
    }

    #[test]
    fn what_is_linked_into_the_app_tells_how_it_comes_to_its_sockets() {
        const MAIN: &str = "fn main() {}";
        const PART: &str = "[dependencies]\npart = { path = \"../part\" }\n";
        for (dependencies, source, part, expected) in [
            ("", MAIN, "", Manners::Bare),
            (
                "[dependencies]\nlistenfd = \"1\"\n",
                MAIN,
                "",
                Manners::TakesSockets,
            ),
            (
                "",
                "fn main() { var(\"LISTEN_FDS\") }",
                "",
                Manners::TakesSockets,
            ),
            (
                "[dependencies]\nsd-notify = \"0.4\"\n",
                MAIN,
                "",
                Manners::Notifies,
            ),
            (
                PART,
                MAIN,
                "[dependencies]\nportkeep = \"0.1\"\n",
                Manners::Library,
            ),
            // For logging only.
            (
                "[dependencies]\nlibsystemd = \"0.7\"\n",
                MAIN,
                "",
                Manners::Bare,
            ),
            (
                "[dependencies]\nlibsystemd = \"0.7\"\n",
                "fn main() { libsystemd::daemon::notify() }",
                "",
                Manners::Notifies,
            ),
            // For tests and for building only.
            (
                "[dev-dependencies]\nportkeep = \"0.1\"\n",
                MAIN,
                "",
                Manners::Bare,
            ),
            (
                "[build-dependencies]\nsd-notify = \"0.4\"\n",
                MAIN,
                "",
                Manners::Bare,
            ),
            (
                "[dev-dependencies]\npart = { path = \"../part\" }\n",
                MAIN,
                "[dependencies]\nportkeep = \"0.1\"\n",
                Manners::Bare,
            ),
        ] {
            assert_eq!(
                manners(dependencies, source, part),
                expected,
                "{dependencies}{source}{part}"
            );
        }
    }
}
