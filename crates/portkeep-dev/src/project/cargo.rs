//! Facts about a project that cargo knows.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::anyhow;
use cargo_metadata::{CrateType, Metadata, Package};
use portkeep_spec::Spec;

use super::listen;
use super::socket_support::SocketSupport;
use crate::usage::usage;

/// The package and its example of this name.
pub(super) fn example<'a>(
    metadata: &'a Metadata,
    manifest: &Path,
    named: &str,
) -> anyhow::Result<(&'a Package, String)> {
    let examples = members(metadata, manifest).into_iter().flat_map(|package| {
        let examples = package.targets.iter().filter(|target| target.is_example());
        examples.map(move |target| (package, target))
    });
    let mut names = Vec::new();
    for (package, target) in examples {
        // Some examples are libraries.
        if target.crate_types.contains(&CrateType::Bin) {
            if target.name == named {
                return Ok((package, target.name.clone()));
            }
            names.push(target.name.clone());
        }
    }
    Err(usage(format!(
        "{} has no example `{named}`; it has: {}",
        manifest.display(),
        list(&names)
    )))
}

/// The package of a manifest. A virtual workspace has none: then any member is a candidate.
fn members<'a>(metadata: &'a Metadata, manifest: &Path) -> Vec<&'a Package> {
    let of_this_manifest: Vec<_> = metadata
        .packages
        .iter()
        .filter(|package| package.manifest_path == manifest)
        .collect();
    if of_this_manifest.is_empty() {
        metadata.workspace_default_packages()
    } else {
        of_this_manifest
    }
}

/// The package and its binary: the named one, or the only one.
pub(super) fn binary<'a>(
    metadata: &'a Metadata,
    manifest: &Path,
    named: Option<&str>,
) -> anyhow::Result<(&'a Package, String)> {
    let mut found = Vec::new();
    for package in members(metadata, manifest) {
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
    // With `default-run`, a package chooses the binary of `cargo run`.
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

/// A spec from `[package.metadata.portkeep]`; defaults are the binary's name and the usual port.
pub(super) fn from_manifest(
    package: &Package,
    binary: &str,
    support: SocketSupport,
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
    if let Some(readiness) = support.readiness() {
        fields
            .entry("readiness")
            .or_insert_with(|| readiness.into());
    }
    if let Some(moves) = support.moves_connections() {
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

/// The binary's name as an app name: cargo allows names that units do not.
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

/// The directory of the toolchain's shared libraries.
pub(super) fn toolchain_libraries(directory: &Path) -> Option<PathBuf> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let asked = Command::new(rustc)
        .args(["--print", "sysroot"])
        .current_dir(directory)
        .stderr(Stdio::null())
        .output();
    let text = String::from_utf8(asked.ok()?.stdout).ok()?;
    Some(Path::new(text.trim()).join("lib"))
}
