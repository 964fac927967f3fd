//! Detects a program's socket support from its dependencies and sources.

use std::path::{Path, PathBuf};

use cargo_metadata::{Package, Target};
use portkeep_spec::{Readiness, Spec};

use super::app_packages::AppPackages;
use super::kind::Kind;

/// Crate that says READY, takes passed sockets and moves connections.
const LIBRARY: [&str; 1] = ["portkeep"];
/// Crates that can say READY, with the words by which sources call that: they are used for logging or for passed sockets as
/// well.
const NOTIFY: [(&str, &[&str]); 4] = [
    ("sd-notify", &["notify(", "NotifyState"]),
    ("ecdysis", &["ecdysis"]),
    ("libsystemd", &["daemon"]),
    ("systemd", &["daemon"]),
];
/// Crate that passes sockets on and says READY.
const LISTENS: [&str; 1] = ["listen_fds"];
/// Crates that take passed sockets.
const ACTIVATED: [&str; 4] = [
    "listenfd",
    "tokio-listener",
    "socket-activation",
    "tokio-socket-activation",
];
/// Word in the sources of a program that takes passed sockets by itself.
const BY_HAND: [&str; 1] = ["LISTEN_FDS"];

/// How a program gets its sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SocketSupport {
    /// With our library.
    Library,
    /// It says READY by itself.
    Notifies,
    /// It takes passed sockets, and does not say READY.
    TakesSockets,
    /// It only opens its port itself.
    SelfBinding,
}

/// Sources that may show how a program gets its sockets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sources {
    /// The directories of packages that are linked into it.
    linked: Vec<PathBuf>,
    /// Sources of other programs of the same package.
    others: Vec<PathBuf>,
}

impl Sources {
    pub(super) fn of(package: &Package, (kind, name): (Kind, &str), reach: &AppPackages) -> Self {
        let is_it = |target: &Target| {
            let is_of_kind = match kind {
                Kind::Binary => target.is_bin(),
                Kind::Example => target.is_example(),
            };
            is_of_kind && target.name == name
        };
        let targets = package.targets.iter();
        let others =
            targets.filter(|target| (target.is_bin() || target.is_example()) && !is_it(target));
        // Examples are beside the sources of their package.
        let mut linked = reach.linked.clone();
        if kind == Kind::Example {
            let own = package.targets.iter().find(|target| is_it(target));
            let directory = own.and_then(|own| own.src_path.parent());
            linked.extend(directory.map(|one| one.as_std_path().to_owned()));
        }
        let others = others.map(|target| {
            let path = target.src_path.as_std_path();
            match path.parent() {
                // It has a directory of its own.
                Some(directory) if path.ends_with("main.rs") && !directory.ends_with("src") => {
                    directory.to_owned()
                }
                _ => path.to_owned(),
            }
        });
        Self {
            others: others.collect(),
            linked,
        }
    }

    /// Whether one of `words` is in the sources of packages in one of these directories.
    fn mention(&self, directories: &[PathBuf], words: &[&str]) -> bool {
        directories.iter().any(|directory| {
            let source = directory.join("src");
            // A package may have its sources elsewhere.
            let source = if source.is_dir() {
                source
            } else {
                directory.clone()
            };
            mentions(&source, &self.others, words)
        })
    }
}

impl SocketSupport {
    /// Judges by the sources: a dependency that nobody calls does nothing.
    pub(super) fn of(package: &Package, reach: &AppPackages, sources: &Sources) -> Self {
        let uses = |name: &str| {
            reach.dependencies.iter().any(|one| {
                one.package == name
                    && sources.mention(std::slice::from_ref(&one.by), &[&one.called])
            })
        };
        // A crate of the workspace may do it for the program.
        let mention = |words: &[&str]| sources.mention(&sources.linked, words);
        let is_library = LIBRARY.contains(&package.name.as_str());
        if is_library || LIBRARY.iter().any(|name| uses(name)) {
            return Self::Library;
        }
        let mut known = NOTIFY.iter();
        if known.any(|(name, words)| uses(name) && mention(words)) {
            return Self::Notifies;
        }
        let takes = ACTIVATED.iter().any(|name| uses(name))
            || mention(&BY_HAND)
            || NOTIFY.iter().any(|(name, _)| uses(name)) && mention(&LISTENS);
        if takes {
            Self::TakesSockets
        } else {
            Self::SelfBinding
        }
    }

    /// Whether a file has words by which a program may turn out to get its sockets in another way.
    pub(super) fn may_be_told_by(path: &Path) -> bool {
        let crates = LIBRARY
            .iter()
            .chain(&ACTIVATED)
            .chain(NOTIFY.iter().map(|(name, _)| name));
        let words: Vec<_> = crates.map(|name| name.replace('-', "_")).collect();
        let is_source = path.extension().is_some_and(|extension| extension == "rs");
        is_source
            && std::fs::read_to_string(path).is_ok_and(|text| {
                let mut words = words.iter().map(String::as_str).chain(BY_HAND);
                words.any(|word| text.contains(word))
            })
    }

    /// The spec's `readiness`, if it is not the default.
    pub(super) fn readiness(self) -> Option<&'static str> {
        match self {
            Self::Library | Self::Notifies => None,
            Self::TakesSockets | Self::SelfBinding => Some("accepts"),
        }
    }

    /// The spec's `moveConnections`, if it is not the default. It adds a socket, which a program that does not know of it
    /// may take for the port: systemd passes sockets in no certain order.
    pub(super) fn moves_connections(self) -> Option<bool> {
        (self == Self::Notifies).then_some(false)
    }

    /// A doubt about a spec that a person wrote. The spec is followed all the same.
    pub(super) fn doubt(self, spec: &Spec) -> Option<&'static str> {
        match (self, spec.readiness) {
            (Self::Notifies, _) if spec.has_move_socket() => Some(
                "this app does not seem to be on the server library, and portkeep.json passes it a socket to move connections by: \
                 write \"moveConnections\": false there, or use `portkeep::serve(app)` (cargo add portkeep)",
            ),
            (Self::Library | Self::Notifies, _) | (Self::SelfBinding, Readiness::Started) => None,
            (Self::TakesSockets, Readiness::Notify) => Some(
                "this app does not seem to say READY, and portkeep.json waits for that: use `portkeep::serve(app)` (cargo add \
                 portkeep), or write \"readiness\": \"accepts\" there",
            ),
            (Self::TakesSockets, _) => self.notice(),
            (Self::SelfBinding, _) => Some(
                "this app does not seem to take the sockets that portkeep.json gives it: use `portkeep::serve(app)` (cargo add \
                 portkeep) in place of `TcpListener::bind` and `axum::serve`",
            ),
        }
    }

    /// What one more line of code would give.
    pub(super) fn notice(self) -> Option<&'static str> {
        match self {
            Self::Library | Self::Notifies => None,
            Self::TakesSockets => Some(
                "this app counts as ready when it accepts connections; with `portkeep::serve(app)` (cargo add portkeep) it \
                 says so itself, no request is lost when it ends, and its pages reload and show errors",
            ),
            Self::SelfBinding => Some(
                "this app opens its port itself, so it is stopped before the new version starts, and requests in between \
                 are refused; `portkeep::serve(app)` in place of `TcpListener::bind` and `axum::serve` (cargo add portkeep) \
                 ends that, and its pages reload and show errors",
            ),
        }
    }
}

/// Whether one of `words` is in the sources below `directory`, without those of other programs.
fn mentions(directory: &Path, others: &[PathBuf], words: &[&str]) -> bool {
    ignore::Walk::new(directory).flatten().any(|entry| {
        let path = entry.path();
        path.extension().is_some_and(|extension| extension == "rs")
            && !others.iter().any(|other| path.starts_with(other))
            && std::fs::read_to_string(path)
                .is_ok_and(|text| words.iter().any(|word| text.contains(word)))
    })
}

#[cfg(test)]
mod tests {
    use cargo_metadata::MetadataCommand;

    use super::*;
    use crate::project::app_packages::reach;
    use crate::project::cargo::binary;
    use crate::project::enabled::Asked;

    /// The support of a project with these dependencies and this source, and a crate `part`.
    fn support(dependencies: &str, source: &str, part: &str) -> SocketSupport {
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
        write("part/src/lib.rs", "pub use portkeep;");
        write(
            "app/src/bin/other.rs",
            "fn main() { listenfd::x(); std::env::var(\"LISTEN_FDS\"); }",
        );
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
        let (package, binary) = binary(&metadata, &manifest, Some("app")).unwrap();
        let asked = Asked {
            default: true,
            ..Asked::default()
        };
        let reach = reach(&metadata, package, Kind::Binary, &asked);
        let sources = Sources::of(package, (Kind::Binary, &binary), &reach);
        SocketSupport::of(package, &reach, &sources)
    }

    #[test]
    fn what_is_linked_into_the_app_tells_how_it_comes_to_its_sockets() {
        const MAIN: &str = "fn main() {}";
        const PART: &str = "[dependencies]\npart = { path = \"../part\" }\n";
        for (dependencies, source, part, expected) in [
            ("", MAIN, "", SocketSupport::SelfBinding),
            (
                "[dependencies]\nlistenfd = \"1\"\n",
                "fn main() { listenfd::ListenFd::from_env() }",
                "",
                SocketSupport::TakesSockets,
            ),
            // Another program of the package uses it.
            (
                "[dependencies]\nlistenfd = \"1\"\n",
                MAIN,
                "",
                SocketSupport::SelfBinding,
            ),
            (
                "[dependencies]\nfds = { package = \"listenfd\", version = \"1\" }\n",
                "fn main() { fds::ListenFd::from_env() }",
                "",
                SocketSupport::TakesSockets,
            ),
            // It is not enabled.
            (
                "[dependencies]\nsd-notify = { version = \"0.4\", optional = true }\n",
                "fn main() { #[cfg(feature = \"sd-notify\")] sd_notify::notify() }",
                "",
                SocketSupport::SelfBinding,
            ),
            (
                "[features]\ndefault = [\"sd-notify\"]\n[dependencies]\nsd-notify = { version = \"0.4\", optional = true }\n",
                "fn main() { #[cfg(feature = \"sd-notify\")] sd_notify::notify() }",
                "",
                SocketSupport::Notifies,
            ),
            // It takes its sockets, and never says READY.
            (
                "[dependencies]\nsd-notify = \"0.4\"\n",
                "fn main() { sd_notify::listen_fds() }",
                "",
                SocketSupport::TakesSockets,
            ),
            (
                "",
                "fn main() { var(\"LISTEN_FDS\") }",
                "",
                SocketSupport::TakesSockets,
            ),
            (
                "[dependencies]\nsd-notify = \"0.4\"\n",
                "fn main() { sd_notify::notify(&[NotifyState::Ready]) }",
                "",
                SocketSupport::Notifies,
            ),
            (
                PART,
                MAIN,
                "[dependencies]\nportkeep = \"0.1\"\n",
                SocketSupport::Library,
            ),
            // For logging only.
            (
                "[dependencies]\nlibsystemd = \"0.7\"\n",
                MAIN,
                "",
                SocketSupport::SelfBinding,
            ),
            (
                "[dependencies]\nlibsystemd = \"0.7\"\n",
                "fn main() { libsystemd::daemon::notify() }",
                "",
                SocketSupport::Notifies,
            ),
            // For tests and for building only.
            (
                "[dev-dependencies]\nportkeep = \"0.1\"\n",
                MAIN,
                "",
                SocketSupport::SelfBinding,
            ),
            (
                "[build-dependencies]\nsd-notify = \"0.4\"\n",
                MAIN,
                "",
                SocketSupport::SelfBinding,
            ),
            (
                "[dev-dependencies]\npart = { path = \"../part\" }\n",
                MAIN,
                "[dependencies]\nportkeep = \"0.1\"\n",
                SocketSupport::SelfBinding,
            ),
        ] {
            assert_eq!(
                support(dependencies, source, part),
                expected,
                "{dependencies}{source}{part}"
            );
        }
    }
}
