//! Files that configure cargo, wherever they are.

use std::path::{Path, PathBuf};

use super::stamp::{Stamp, Stamps};

/// Names of such files in each directory above a project.
const ABOVE: [&str; 6] = [
    "Cargo.toml",
    "Cargo.lock",
    ".cargo/config",
    ".cargo/config.toml",
    "rust-toolchain",
    "rust-toolchain.toml",
];
/// Variables by which the user wraps rustc.
const WRAPPERS: [&str; 4] = [
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "CARGO_BUILD_RUSTC_WRAPPER",
    "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER",
];

/// Stamps of manifests, configurations and the toolchain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settings {
    stamps: Stamps,
    configurations: Vec<PathBuf>,
}

impl Settings {
    /// Those of a project, without the manifests of its dependencies.
    pub(super) fn of(directory: &Path) -> Self {
        let home = |variable: &str, default: &str| {
            let named = std::env::var_os(variable).map(PathBuf::from);
            named.or_else(|| Some(std::env::home_dir()?.join(default)))
        };
        let cargo = home("CARGO_HOME", ".cargo");
        let of_cargo = cargo
            .iter()
            .flat_map(|home| ["config", "config.toml"].map(|name| home.join(name)));
        let of_toolchains = home("RUSTUP_HOME", ".rustup").map(|home| home.join("settings.toml"));
        let above = directory
            .ancestors()
            .flat_map(|above| ABOVE.map(|name| above.join(name)));
        let files: Vec<_> = above.chain(of_cargo).chain(of_toolchains).collect();
        let is_configuration =
            |path: &&PathBuf| path.file_stem().is_some_and(|name| name == "config");
        Self {
            configurations: files.iter().filter(is_configuration).cloned().collect(),
            stamps: Stamps::of(files),
        }
    }

    /// Adds the stamps of more files.
    pub(super) fn with(mut self, more: impl IntoIterator<Item = PathBuf>) -> Self {
        self.stamps.add(more);
        self
    }

    pub(super) fn has(&self, path: &Path) -> bool {
        self.stamps.has(path)
    }

    pub(super) fn now(&self) -> Self {
        Self {
            stamps: self.stamps.now(),
            configurations: self.configurations.clone(),
        }
    }

    /// The settings after a build by cargo whose first rustc call was recorded as `first`; nothing if they changed. cargo
    /// may write a Cargo.lock before it calls rustc: the calls follow that one.
    pub(super) fn after_cargo(self, first: Option<&Stamp>) -> Option<Self> {
        let now = self.now();
        let is_cargos = |path: &PathBuf| {
            let is_older = |first: &Stamp| !Stamp::of(path).is_since(first);
            path.ends_with("Cargo.lock") && first.is_some_and(is_older)
        };
        let changed = self.stamps.differences(&now.stamps);
        changed.iter().all(is_cargos).then_some(now)
    }

    /// Whether the user wraps rustc, or may: a configuration may include others.
    pub(super) fn wrap_rustc(&self) -> bool {
        let says = |path: &PathBuf| {
            let text = std::fs::read(path).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            text.contains("wrapper") || text.contains("include")
        };
        WRAPPERS.iter().any(|name| std::env::var_os(name).is_some())
            || self.configurations.iter().any(says)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_setting_that_comes_changes_or_goes_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let project = directory.path().join("workspace/app");
        fs::create_dir_all(project.join(".cargo")).unwrap();
        let before = Settings::of(&project);
        assert_eq!(before.now(), before);
        for file in ["workspace/Cargo.lock", "workspace/app/.cargo/config.toml"] {
            let file = directory.path().join(file);
            fs::write(&file, "[env]\n").unwrap();
            assert_ne!(before.now(), before);
            fs::remove_file(&file).unwrap();
        }
        assert_eq!(before.now(), before);
        let more = before.with([directory.path().join("lib/Cargo.toml")]);
        fs::create_dir(directory.path().join("lib")).unwrap();
        fs::write(directory.path().join("lib/Cargo.toml"), "").unwrap();
        assert_ne!(more.now(), more);
    }

    #[test]
    fn a_lock_file_that_cargo_wrote_before_it_compiled_is_what_it_went_by() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let write = |name: &str| {
            fs::write(at(name), name).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(30));
            Stamp::of(&at(name))
        };
        let before = Settings::of(directory.path());
        write("Cargo.lock");
        let first = write("first");
        assert_eq!(before.clone().after_cargo(None), None);
        let after = before.clone().after_cargo(Some(&first)).unwrap();
        assert_eq!(after, after.now());
        write("Cargo.lock");
        assert_eq!(before.clone().after_cargo(Some(&first)), None);
        let later = write("later");
        assert!(before.clone().after_cargo(Some(&later)).is_some());
        write("Cargo.toml");
        assert_eq!(before.after_cargo(Some(&write("last"))), None);
    }

    #[test]
    fn who_wraps_rustc_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join(".cargo")).unwrap();
        let config = directory.path().join(".cargo/config.toml");
        for (text, expected) in [
            ("[build]\nrustc-wrapper = \"sccache\"\n", true),
            ("include = \"other.toml\"\n", true),
            ("[build]\njobs = 1\n", false),
        ] {
            fs::write(&config, text).unwrap();
            assert_eq!(
                Settings::of(directory.path()).wrap_rustc(),
                expected,
                "{text}"
            );
        }
    }
}
