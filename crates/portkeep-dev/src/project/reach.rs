//! What an app is made of, as far as it is not from a registry.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use cargo_metadata::{CrateType, DependencyKind, Metadata, MetadataCommand, Package};

use super::kind::Kind;

/// What an app is made of, as far as it is not from a registry.
#[derive(Debug)]
pub(super) struct Reach {
    /// The directories of its package and of all packages that it depends on by path.
    pub(super) directories: Vec<PathBuf>,
    /// Those of them that are linked into it.
    pub(super) linked: Vec<PathBuf>,
    /// What those depend on by name. Not what only their tests and their building need.
    pub(super) dependencies: BTreeSet<String>,
    /// One of them is a library that is shared, and found when the app starts.
    pub(super) has_shared_libraries: bool,
}

/// Follows dependencies by path of a program of this kind, without asking any registry.
pub(super) fn reach(metadata: &Metadata, package: &Package, kind: Kind) -> Reach {
    let mut seen = BTreeMap::new();
    let mut dependencies = BTreeSet::new();
    let mut has_shared_libraries = false;
    let mut pending: Vec<(PathBuf, bool)> = package
        .manifest_path
        .parent()
        .map(|path| (path.as_std_path().to_owned(), true))
        .into_iter()
        .collect();
    while let Some((directory, is_linked)) = pending.pop() {
        // Once more where it turns out to be linked, too.
        if seen
            .get(&directory)
            .is_some_and(|&known| known || !is_linked)
        {
            continue;
        }
        let manifest = directory.join("Cargo.toml");
        seen.insert(directory, is_linked);
        let of = |package: &&Package| package.manifest_path == manifest;
        // One from another workspace is unknown to this one.
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
        for dependency in packages.iter().flat_map(|package| &package.dependencies) {
            let is_linked = is_linked
                && match dependency.kind {
                    DependencyKind::Normal => true,
                    // An example has what its package is tested with; what that depends on has not.
                    DependencyKind::Development => {
                        kind == Kind::Example && manifest == package.manifest_path
                    }
                    _ => false,
                };
            if is_linked {
                dependencies.insert(dependency.name.clone());
            }
            pending.extend(
                dependency
                    .path
                    .iter()
                    .map(|path| (path.as_std_path().to_owned(), is_linked)),
            );
        }
    }
    let linked = seen.iter().filter(|(_, linked)| **linked);
    Reach {
        linked: linked.map(|(directory, _)| directory.clone()).collect(),
        directories: seen.into_keys().collect(),
        dependencies,
        has_shared_libraries,
    }
}
