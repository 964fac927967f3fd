//! A project that is edited and built again and again: the smallest app (`app/`), on plain axum or on portkeep's library.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What serves the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum App {
    /// `axum::serve`, on a passed socket (`listenfd`), else on the address in `LISTEN`.
    Axum,
    /// `portkeep::serve`.
    Portkeep,
}

impl App {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Axum => "axum::serve and listenfd",
            Self::Portkeep => "portkeep::serve",
        }
    }

    fn manifest(self) -> &'static str {
        match self {
            Self::Axum => include_str!("../../app/on-axum/Cargo.toml"),
            Self::Portkeep => include_str!("../../app/on-portkeep/Cargo.toml"),
        }
    }

    fn source(self) -> &'static str {
        match self {
            Self::Axum => include_str!("../../app/on-axum/src/main.rs"),
            Self::Portkeep => include_str!("../../app/on-portkeep/src/main.rs"),
        }
    }
}

/// How an app has the library of a checkout.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Library<'a> {
    /// By its path: for who works on both. cargo compiles it in as many parts as possible, which are linked anew each time.
    Path(&'a Path),
    /// From its repository, as users have it. What is not committed is not seen.
    Git(&'a Path),
}

impl Library<'_> {
    /// The value of the dependency, in a manifest.
    fn source(self) -> String {
        match self {
            Self::Path(checkout) => {
                format!("path = \"{}\"", checkout.join("crates/portkeep").display())
            }
            Self::Git(checkout) => format!("git = \"file://{}\"", checkout.display()),
        }
    }
}

/// A copy of the app in a directory, and so a build, of its own.
#[derive(Debug)]
pub(crate) struct Project {
    pub(crate) directory: PathBuf,
    app: App,
    name: String,
}

impl Project {
    /// `name` is that of the directory below `parent`, of the package, and so of its program: tools that know apps by the
    /// name of their package take two of them for two.
    pub(crate) fn create(
        parent: &Path,
        name: &str,
        app: App,
        library: Library<'_>,
    ) -> anyhow::Result<Self> {
        let directory = parent.join(name);
        fs::create_dir_all(directory.join("src"))?;
        let manifest = manifest(app, name, library);
        fs::write(directory.join("Cargo.toml"), manifest)?;
        // cargo takes out what an app does not need.
        fs::write(
            directory.join("Cargo.lock"),
            include_str!("../../app/Cargo.lock"),
        )?;
        Ok(Self {
            directory,
            app,
            name: name.to_owned(),
        })
    }

    /// The app that answers with this version.
    pub(crate) fn save(&self, version: &str) -> anyhow::Result<()> {
        self.write(&self.app.source().replace("VERSION", version))
    }

    /// One that does not compile.
    pub(crate) fn save_broken(&self) -> anyhow::Result<()> {
        let source = self.app.source();
        self.write(&format!("{source}\nfn broken() -> u32 {{ missing }}\n"))
    }

    /// As an editor that replaces the file.
    fn write(&self, source: &str) -> anyhow::Result<()> {
        let next = self.directory.with_extension("next");
        fs::write(&next, source)?;
        fs::rename(next, self.directory.join("src/main.rs"))?;
        Ok(())
    }

    /// `cargo build`, as people have it: the profile `dev` with its defaults.
    pub(crate) fn build(&self) -> Command {
        let mut command = Command::new("cargo");
        command
            .args(["build", "--quiet"])
            .current_dir(&self.directory);
        // Whoever measures may have set another one for all that they build.
        command.env("CARGO_TARGET_DIR", self.target());
        command
    }

    pub(crate) fn target(&self) -> PathBuf {
        self.directory.join("target")
    }

    /// What cargo builds in this profile.
    pub(crate) fn executable(&self, profile: &str) -> PathBuf {
        self.target().join(profile).join(&self.name)
    }
}

fn manifest(app: App, name: &str, library: Library<'_>) -> String {
    let named = match app {
        App::Axum => "name = \"on-axum\"",
        App::Portkeep => "name = \"on-portkeep\"",
    };
    let mut manifest = app
        .manifest()
        .replace(named, &format!("name = \"{name}\""))
        .replace("path = \"../../../../crates/portkeep\"", &library.source());
    // Of no workspace, whatever is above it.
    manifest.push_str("\n[workspace]\n");
    manifest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_has_a_name_of_its_own_and_the_library_of_the_checkout() {
        let checkout = Path::new("/checkout");
        let plain = manifest(App::Axum, "one", Library::Path(checkout));
        assert!(plain.contains("name = \"one\""), "{plain}");
        assert!(!plain.contains("portkeep ="), "{plain}");
        let ours = manifest(App::Portkeep, "two", Library::Path(checkout));
        assert!(
            ours.contains("path = \"/checkout/crates/portkeep\""),
            "{ours}"
        );
        let users = manifest(App::Portkeep, "two", Library::Git(checkout));
        assert!(users.contains("git = \"file:///checkout\""), "{users}");
    }

    #[test]
    fn each_app_has_one_version() {
        for app in [App::Axum, App::Portkeep] {
            assert_eq!(app.source().matches("VERSION").count(), 1, "{app:?}");
        }
    }
}
