//! What cargo knows of a project.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};
use portkeep_spec::Spec;

use super::sockets::Manners;
use crate::dev::listen;
use crate::exit::usage;

/// The package and its binary: the one that was named, or the only one.
pub(super) fn binary<'a>(
    metadata: &'a Metadata,
    manifest: &Path,
    named: Option<&str>,
) -> anyhow::Result<(&'a Package, String)> {
    let of_this_manifest: Vec<_> = metadata
        .packages
        .iter()
        .filter(|package| package.manifest_path == manifest)
        .collect();
    // A virtual workspace has no package of its own: then any member will do.
    let members: Vec<_> = if of_this_manifest.is_empty() {
        metadata.workspace_default_packages()
    } else {
        of_this_manifest
    };
    let mut found = Vec::new();
    for package in members {
        for target in package.targets.iter().filter(|target| target.is_bin()) {
            found.push((package, target.name.clone()));
        }
    }
    if let Some(named) = named {
        let names: Vec<_> = found.iter().map(|(_, name)| name.clone()).collect();
        return found
            .into_iter()
            .find(|(_, name)| name == named)
            .ok_or_else(|| {
                usage(format!(
                    "{} has no binary `{named}`; it has: {}",
                    manifest.display(),
                    list(&names)
                ))
            });
    }
    // `default-run` is how a package says which one `cargo run` means.
    if let Some(one) = found
        .iter()
        .find(|(package, name)| package.default_run.as_deref() == Some(name))
    {
        return Ok(one.clone());
    }
    match found.len() {
        0 => Err(usage(format!(
            "{} has no binary target: portkeep runs a program; add src/main.rs, or name another project with --project DIR",
            manifest.display()
        ))),
        1 => Ok(found.remove(0)),
        _ => {
            let names: Vec<_> = found.iter().map(|(_, name)| name.clone()).collect();
            Err(usage(format!(
                "{} has several binaries: {}; choose one with --bin NAME",
                manifest.display(),
                list(&names)
            )))
        }
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

/// A spec from `[package.metadata.portkeep]`, with the binary's name and the usual port where it says nothing.
pub(super) fn from_manifest(
    package: &Package,
    binary: &str,
    manners: Manners,
) -> anyhow::Result<Spec> {
    let mut fields = match package.metadata.get("portkeep") {
        None => serde_json::Map::new(),
        Some(serde_json::Value::Object(fields)) => fields.clone(),
        Some(_) => {
            return Err(usage(
                "[package.metadata.portkeep] in Cargo.toml must be a table",
            ));
        }
    };
    fields
        .entry("name")
        .or_insert_with(|| app_name(binary).into());
    fields
        .entry("exec")
        .or_insert_with(|| serde_json::json!([binary]));
    fields
        .entry("listen")
        .or_insert_with(|| serde_json::json!([{ "stream": listen::DEFAULT }]));
    if let Some(readiness) = manners.readiness() {
        fields
            .entry("readiness")
            .or_insert_with(|| readiness.into());
    }
    if let Some(moves) = manners.moves_connections() {
        fields
            .entry("moveConnections")
            .or_insert_with(|| moves.into());
    }
    let base = package
        .manifest_path
        .parent()
        .ok_or_else(|| anyhow!("a manifest without a directory"))?;
    Ok(
        Spec::from_json(&serde_json::Value::Object(fields).to_string())?
            .resolve(base.as_std_path()),
    )
}

/// Cargo allows names that units of ours do not.
fn app_name(binary: &str) -> String {
    let name: String = binary
        .to_ascii_lowercase()
        .chars()
        .map(|letter| {
            if letter.is_ascii_lowercase() || letter.is_ascii_digit() {
                letter
            } else {
                '-'
            }
        })
        .collect();
    let name = name.trim_matches('-');
    if name.starts_with(|first: char| first.is_ascii_lowercase()) {
        name.to_owned()
    } else {
        format!("app-{name}")
    }
}

/// What an app is made of, as far as it is not from a registry.
#[derive(Debug)]
pub(super) struct Reach {
    /// The directories of its package and of all packages that it depends on by path.
    pub(super) directories: Vec<PathBuf>,
    /// Those of them that are linked into it.
    pub(super) linked: Vec<PathBuf>,
    /// What those depend on by name. Not what only their tests and their building need.
    pub(super) dependencies: BTreeSet<String>,
}

/// Follows dependencies by path, without asking any registry.
pub(super) fn reach(metadata: &Metadata, package: &Package) -> Reach {
    let mut seen = BTreeMap::new();
    let mut dependencies = BTreeSet::new();
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
        for dependency in packages
            .filter(of)
            .flat_map(|package| &package.dependencies)
        {
            let is_linked = is_linked && dependency.kind == DependencyKind::Normal;
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
    }
}
