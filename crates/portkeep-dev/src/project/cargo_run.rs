//! Environment that `cargo run` gives a program.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cargo_metadata::Package;
use toml::{Table, Value};

use super::configuration::Configuration;

/// Variables, by whether they win over the environment of this process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CargoRun {
    /// Variables that are always set: cargo's own, and `[env]` with `force`.
    pub(crate) forced: BTreeMap<String, String>,
    /// Variables that are set unless the environment has them.
    pub(crate) defaults: BTreeMap<String, String>,
    /// Directories that are searched first for shared libraries.
    pub(crate) library_paths: Vec<PathBuf>,
}

impl CargoRun {
    /// `configurations` are cargo's, nearest first; `library_paths` are the directories of the build.
    pub(super) fn of(
        package: &Package,
        configurations: &[Configuration],
        library_paths: Vec<PathBuf>,
    ) -> Self {
        let mut run = Self {
            forced: of_package(package),
            library_paths,
            ..Self::default()
        };
        let mut known = Vec::new();
        for configuration in configurations {
            let Ok(table) = configuration.text.parse::<Table>() else {
                // cargo reports its errors better.
                continue;
            };
            let Some(Value::Table(variables)) = table.get("env") else {
                continue;
            };
            for (name, value) in variables {
                if known.contains(name) {
                    continue;
                }
                known.push(name.clone());
                if let Some((value, is_forced)) = variable(value, &configuration.base) {
                    let into = match is_forced {
                        true => &mut run.forced,
                        false => &mut run.defaults,
                    };
                    into.insert(name.clone(), value);
                }
            }
        }
        run
    }
}

/// The value of a variable in `[env]`, and whether it wins over an existing one.
fn variable(value: &Value, base: &Path) -> Option<(String, bool)> {
    let table = match value {
        Value::String(value) => return Some((value.clone(), false)),
        Value::Table(table) => table,
        _ => return None,
    };
    let is = |name: &str| table.get(name).and_then(Value::as_bool).unwrap_or(false);
    let value = table.get("value")?.as_str()?;
    let value = match is("relative") {
        true => base.join(value).display().to_string(),
        false => value.to_owned(),
    };
    Some((value, is("force")))
}

fn of_package(package: &Package) -> BTreeMap<String, String> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let path = |path: &Option<cargo_metadata::camino::Utf8PathBuf>| {
        path.as_ref().map(ToString::to_string).unwrap_or_default()
    };
    let version = &package.version;
    let rust_version = package.rust_version.as_ref();
    let directory = package.manifest_path.parent();
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let variables = [
        ("CARGO", cargo),
        (
            "CARGO_MANIFEST_DIR",
            directory.map(ToString::to_string).unwrap_or_default(),
        ),
        ("CARGO_MANIFEST_PATH", package.manifest_path.to_string()),
        ("CARGO_PKG_NAME", package.name.to_string()),
        ("CARGO_PKG_VERSION", version.to_string()),
        ("CARGO_PKG_VERSION_MAJOR", version.major.to_string()),
        ("CARGO_PKG_VERSION_MINOR", version.minor.to_string()),
        ("CARGO_PKG_VERSION_PATCH", version.patch.to_string()),
        ("CARGO_PKG_VERSION_PRE", version.pre.to_string()),
        ("CARGO_PKG_AUTHORS", package.authors.join(":")),
        ("CARGO_PKG_DESCRIPTION", text(&package.description)),
        ("CARGO_PKG_HOMEPAGE", text(&package.homepage)),
        ("CARGO_PKG_REPOSITORY", text(&package.repository)),
        ("CARGO_PKG_LICENSE", text(&package.license)),
        ("CARGO_PKG_LICENSE_FILE", path(&package.license_file)),
        ("CARGO_PKG_README", path(&package.readme)),
        (
            "CARGO_PKG_RUST_VERSION",
            rust_version.map(ToString::to_string).unwrap_or_default(),
        ),
    ];
    variables
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

#[cfg(test)]
mod tests {
    use cargo_metadata::MetadataCommand;

    use super::*;

    #[test]
    fn a_program_is_given_what_cargo_run_gives_it() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        let manifest = root.join("Cargo.toml");
        std::fs::create_dir(root.join("src")).unwrap();
        std::fs::write(root.join("src/main.rs"), "fn main() {}").unwrap();
        let text = "[package]\nname = \"app\"\nversion = \"1.2.3-rc.1\"\nauthors = [\"a\", \"b\"]\n[workspace]\n";
        std::fs::write(&manifest, text).unwrap();
        let metadata = MetadataCommand::new()
            .manifest_path(&manifest)
            .no_deps()
            .exec()
            .unwrap();
        let configuration = |base: &str, text: &str| Configuration {
            base: base.into(),
            text: text.to_owned(),
        };
        let configurations = [
            configuration(
                "/near",
                "[env]\nGREETING = \"hi\"\nDATA = { value = \"data\", relative = true }\nLEVEL = { value = \"1\", force = true }\n",
            ),
            configuration("/far", "[env]\nGREETING = \"far\"\nOTHER = \"x\"\n"),
            configuration("/broken", "[env"),
        ];
        let run = CargoRun::of(&metadata.packages[0], &configurations, Vec::new());
        let default = |name: &str| run.defaults.get(name).map(String::as_str);
        assert_eq!(default("GREETING"), Some("hi"));
        assert_eq!(default("DATA"), Some("/near/data"));
        assert_eq!(default("OTHER"), Some("x"));
        let forced = |name: &str| run.forced[name].as_str();
        assert_eq!(forced("LEVEL"), "1");
        assert_eq!(forced("CARGO_PKG_VERSION"), "1.2.3-rc.1");
        assert_eq!(forced("CARGO_PKG_VERSION_PRE"), "rc.1");
        assert_eq!(forced("CARGO_PKG_AUTHORS"), "a:b");
        assert_eq!(forced("CARGO_MANIFEST_DIR"), root.display().to_string());
    }
}
