//! Packages that an app is made of, apart from those of a registry.

use std::cell::LazyCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cargo_metadata::{CrateType, DependencyKind, Metadata, MetadataCommand, Package};

use super::enabled::{Asked, Target, enabled, name};
use super::kind::Kind;

/// Packages that an app is made of, but for those of a registry.
#[derive(Debug)]
pub(super) struct AppPackages {
    /// The directories of its package and of all path dependencies.
    pub(super) directories: Vec<PathBuf>,
    /// The directories of packages that are linked into it.
    pub(super) linked: Vec<PathBuf>,
    /// The enabled dependencies of those, without those that are only for tests or build scripts.
    pub(super) dependencies: Vec<LinkedDependency>,
    /// Whether one of them is a shared library, which is found when the app starts.
    pub(super) has_shared_libraries: bool,
}

/// A dependency of a package that is linked into the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LinkedDependency {
    /// The name of the package.
    pub(super) package: String,
    /// Its name in sources.
    pub(super) called: String,
    /// The directory of the package that depends on it.
    pub(super) by: PathBuf,
}

/// Follows the path dependencies of a program of this kind, without asking a registry; `asked` has the app's features.
pub(super) fn reach(
    metadata: &Metadata,
    package: &Package,
    kind: Kind,
    asked: &Asked,
) -> AppPackages {
    let mut seen = BTreeMap::new();
    let mut dependencies = Vec::new();
    let target = LazyCell::new(|| target(metadata.workspace_root.as_std_path()));
    let mut has_shared_libraries = false;
    let mut known = Vec::new();
    let mut pending: Vec<(PathBuf, bool, Asked)> = package
        .manifest_path
        .parent()
        .map(|path| (path.as_std_path().to_owned(), true, asked.clone()))
        .into_iter()
        .collect();
    while let Some(next) = pending.pop() {
        // Looks again if it turns out to be linked, or to need more features.
        if known.contains(&next) {
            continue;
        }
        known.push(next.clone());
        let (directory, is_linked, asked) = next;
        let manifest = directory.join("Cargo.toml");
        *seen.entry(directory.clone()).or_insert(false) |= is_linked;
        let of = |package: &&Package| package.manifest_path == manifest;
        // A package of another workspace is unknown to this one.
        let other = match metadata.packages.iter().find(of) {
            Some(_) => None,
            None => MetadataCommand::new()
                .manifest_path(&manifest)
                .no_deps()
                .exec()
                .ok(),
        };
        let packages = other.as_ref().unwrap_or(metadata).packages.iter();
        let packages: Vec<_> = packages.filter(of).collect();
        let mut targets = packages.iter().flat_map(|package| &package.targets);
        has_shared_libraries |= targets.any(|target| {
            let mut types = target.crate_types.iter();
            types.any(|one| matches!(one, CrateType::DyLib | CrateType::CDyLib))
        });
        for of in packages {
            let of_targets = of.dependencies.iter().any(|one| one.target.is_some());
            let target = of_targets.then(|| target.as_ref()).flatten();
            for (dependency, asked) in enabled(of, &asked, target) {
                let is_linked = is_linked
                    && match dependency.kind {
                        DependencyKind::Normal => true,
                        // Examples use the dev-dependencies of their package, but not those of its dependencies.
                        DependencyKind::Development => {
                            kind == Kind::Example && manifest == package.manifest_path
                        }
                        _ => false,
                    };
                if is_linked {
                    dependencies.push(LinkedDependency {
                        package: dependency.name.clone(),
                        called: name(dependency).replace('-', "_"),
                        by: directory.clone(),
                    });
                }
                let path = dependency.path.as_ref();
                pending.extend(path.map(|path| (path.as_std_path().to_owned(), is_linked, asked)));
            }
        }
    }
    let linked = seen.iter().filter(|(_, linked)| **linked);
    AppPackages {
        linked: linked.map(|(directory, _)| directory.clone()).collect(),
        directories: seen.into_keys().collect(),
        dependencies,
        has_shared_libraries,
    }
}

/// The target that this machine builds for, from rustc. Nothing if rustc cannot be asked: then every condition counts.
pub(super) fn target(directory: &Path) -> Option<Target> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let ask = |arguments: &[&str]| {
        let mut command = Command::new(&rustc);
        command.args(arguments).current_dir(directory);
        let output = command.stderr(Stdio::null()).output().ok()?;
        String::from_utf8(output.stdout).ok()
    };
    let version = ask(&["-vV"])?;
    let triple = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))?;
    let cfgs = ask(&["--print", "cfg"])?;
    Some(Target {
        triple: triple.to_owned(),
        cfgs: cfgs.lines().filter_map(|line| line.parse().ok()).collect(),
    })
}
