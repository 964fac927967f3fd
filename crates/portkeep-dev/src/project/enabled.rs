//! Decides which dependencies of a package are enabled, as cargo does by features and platform. Pure.

use std::collections::BTreeSet;

use cargo_metadata::cargo_platform::Cfg;
use cargo_metadata::{Dependency, Package};

use crate::options::Options;

/// The features that a dependent requests of a package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) features: BTreeSet<String>,
    /// Whether `default` is one of them.
    pub(super) default: bool,
}

impl Asked {
    /// The features on the command line, and in the arguments of the spec's `build`.
    pub(super) fn of(options: &Options, words: &[String]) -> Self {
        let mut asked = Self {
            features: BTreeSet::new(),
            default: !options.no_default_features,
        };
        let lists = options.features.iter().map(String::as_str);
        let mut lists: Vec<_> = lists.collect();
        let mut words = words.iter().map(String::as_str);
        while let Some(word) = words.next() {
            match word {
                "--no-default-features" => asked.default = false,
                "--features" | "-F" => lists.extend(words.next()),
                other => lists.extend(other.strip_prefix("--features=")),
            }
        }
        for list in lists {
            let features = list.split([',', ' ']).filter(|one| !one.is_empty());
            asked.features.extend(features.map(str::to_owned));
        }
        asked
    }
}

/// The target that is built for.
#[derive(Debug, Clone, Default)]
pub(super) struct Target {
    pub(super) triple: String,
    pub(super) cfgs: Vec<Cfg>,
}

/// The enabled dependencies, with their requested features.
pub(super) fn enabled<'a>(
    package: &'a Package,
    asked: &Asked,
    target: Option<&Target>,
) -> Vec<(&'a Dependency, Asked)> {
    let features = Features::of(package, asked);
    let is_enabled = |dependency: &&Dependency| {
        let is_here = match (&dependency.target, target) {
            (Some(platform), Some(target)) => platform.matches(&target.triple, &target.cfgs),
            _ => true,
        };
        is_here && (!dependency.optional || features.optional.contains(name(dependency)))
    };
    let with = |dependency: &'a Dependency| {
        let mut asked = Asked {
            features: dependency.features.iter().cloned().collect(),
            default: dependency.uses_default_features,
        };
        for (of, feature) in &features.of_dependencies {
            if of == name(dependency) {
                asked.features.insert(feature.clone());
            }
        }
        (dependency, asked)
    };
    let dependencies = package.dependencies.iter();
    dependencies.filter(is_enabled).map(with).collect()
}

/// The name of a dependency in the manifest and in sources.
pub(super) fn name(dependency: &Dependency) -> &str {
    dependency.rename.as_deref().unwrap_or(&dependency.name)
}

#[derive(Debug, Default)]
struct Features {
    known: BTreeSet<String>,
    /// Enabled optional dependencies.
    optional: BTreeSet<String>,
    /// Features that are requested of dependencies, if those are enabled.
    of_dependencies: BTreeSet<(String, String)>,
}

impl Features {
    fn of(package: &Package, asked: &Asked) -> Self {
        let mut found = Self::default();
        let mut pending: Vec<_> = asked.features.iter().cloned().collect();
        if asked.default {
            pending.push("default".to_owned());
        }
        while let Some(word) = pending.pop() {
            if let Some(dependency) = word.strip_prefix("dep:") {
                found.optional.insert(dependency.to_owned());
            } else if let Some((dependency, feature)) = word.split_once('/') {
                let (dependency, is_weak) = match dependency.strip_suffix('?') {
                    Some(dependency) => (dependency, true),
                    None => (dependency, false),
                };
                found
                    .of_dependencies
                    .insert((dependency.to_owned(), feature.to_owned()));
                if !is_weak {
                    found.optional.insert(dependency.to_owned());
                    pending.extend(
                        package
                            .features
                            .contains_key(dependency)
                            .then(|| dependency.to_owned()),
                    );
                }
            } else if found.known.insert(word.clone()) {
                match package.features.get(&word) {
                    Some(words) => pending.extend(words.iter().cloned()),
                    // Older versions of cargo do not list the implicit feature of an optional dependency.
                    None => {
                        found.optional.insert(word);
                    }
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use cargo_metadata::MetadataCommand;

    use super::*;

    /// The names of what is enabled in a project with this manifest.
    fn names(manifest: &str, asked: &Asked) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("src")).unwrap();
        std::fs::write(directory.path().join("src/main.rs"), "fn main() {}").unwrap();
        let path = directory.path().join("Cargo.toml");
        let head =
            "[package]\nname = \"app\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n";
        std::fs::write(&path, format!("{head}{manifest}")).unwrap();
        let mut command = MetadataCommand::new();
        let metadata = command.manifest_path(&path).no_deps().exec().unwrap();
        let target = Target {
            triple: "x86_64-unknown-linux-gnu".to_owned(),
            cfgs: vec!["unix".parse().unwrap()],
        };
        let found = enabled(&metadata.packages[0], asked, Some(&target));
        let mut names: Vec<_> = found
            .iter()
            .map(|(dependency, asked)| {
                let features: Vec<_> = asked.features.iter().map(String::as_str).collect();
                format!("{} {}", name(dependency), features.join("+"))
            })
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_features_and_the_platform_enable_counts() {
        const MANIFEST: &str = "[features]\ndefault = [\"web\"]\nweb = [\"dep:a\", \"b?/x\"]\nall = [\"c/y\", \"b\"]\n\
             [dependencies]\na = { version = \"1\", optional = true }\nb = { version = \"1\", optional = true }\n\
             c = { version = \"1\", optional = true, package = \"other\" }\nd = \"1\"\n\
             [target.'cfg(windows)'.dependencies]\ne = \"1\"\n[target.'cfg(unix)'.dependencies]\nf = \"1\"\n";
        let asked = |features: &[&str], default| Asked {
            features: features.iter().map(|one| (*one).to_owned()).collect(),
            default,
        };
        assert_eq!(names(MANIFEST, &asked(&[], false)), ["d ", "f "]);
        assert_eq!(names(MANIFEST, &asked(&[], true)), ["a ", "d ", "f "]);
        assert_eq!(
            names(MANIFEST, &asked(&["all"], true)),
            ["a ", "b x", "c y", "d ", "f "]
        );
        assert_eq!(
            names(MANIFEST, &asked(&["b/z"], false)),
            ["b z", "d ", "f "]
        );
    }
}
