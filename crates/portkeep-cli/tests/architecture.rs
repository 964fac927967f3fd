//! The rules that keep the parts apart, checked.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "support/imports.rs"]
mod imports;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand};

use imports::Imports;

const LONGEST_FILE: usize = 600;

/// Circles of imports that are still to be opened: each is within these top-level modules of a crate.
const CIRCLES_LEFT: [(&str, &[&str]); 4] = [
    (
        "portkeep",
        &[
            "accept",
            "app",
            "connection",
            "dev",
            "listeners",
            "drain",
            "health_sockets",
            "limits",
            "moving",
            "notify",
            "serve",
            "server",
            "shutdown",
            "signals",
            "sweeper",
        ],
    ),
    ("portkeep-spec", &["environment_file", "render"]),
    (
        "portkeep-engine",
        &[
            "backend",
            "diagnosis",
            "execute",
            "error",
            "failpoint",
            "handover",
            "helper",
            "maintenance",
            "release",
            "release_command",
            "settle",
            "socket_file",
            "store",
            "capture",
            "units",
        ],
    ),
    (
        "portkeep-cli",
        &["command", "facts", "port_owner", "man", "output", "prove"],
    ),
];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// The dependencies that users of each package cannot but compile.
fn direct_dependencies() -> BTreeMap<String, Vec<String>> {
    let manifest = workspace().join("Cargo.toml");
    let metadata = MetadataCommand::new()
        .manifest_path(manifest)
        .no_deps()
        .exec()
        .unwrap();
    let packages = metadata.packages.into_iter().map(|package| {
        let normal = package
            .dependencies
            .into_iter()
            .filter(|one| one.kind == DependencyKind::Normal && !one.optional);
        (
            package.name.to_string(),
            normal.map(|one| one.name).collect(),
        )
    });
    packages.collect()
}

#[test]
fn each_crate_keeps_to_its_side() {
    let dependencies = direct_dependencies();
    assert!(
        dependencies["portkeep-contract"].is_empty(),
        "portkeep-contract is compiled into each app, and depends on nothing"
    );
    let forbidden = [
        (
            "portkeep",
            &["portkeep-spec", "portkeep-engine", "zbus", "clap", "axum"][..],
        ),
        (
            "portkeep-spec",
            &["tokio", "zbus", "clap", "portkeep", "portkeep-engine"],
        ),
        ("portkeep-engine", &["clap", "portkeep", "axum", "hyper"]),
        (
            "portkeep-dev",
            &["clap", "zbus", "portkeep", "portkeep-cli", "axum", "hyper"],
        ),
        ("portkeep-cli", &["zbus"]),
    ];
    for (package, names) in forbidden {
        for name in names {
            assert!(
                !dependencies[package].iter().any(|one| one == name),
                "{package} must not depend on {name}"
            );
        }
    }
}

/// Whoever imports, is not imported by what it imports: neither a neighbour, nor a module that assembles others.
#[test]
fn modules_do_not_import_each_other_in_circles() {
    let crates = workspace().join("crates");
    let mut found = Vec::new();
    for entry in fs::read_dir(&crates).unwrap().flatten() {
        let package = entry.file_name().to_string_lossy().into_owned();
        let left = CIRCLES_LEFT.iter().find(|(name, _)| *name == package);
        for circle in Imports::of(&entry.path().join("src")).circles() {
            let is_left = |module: &Vec<String>| {
                left.is_some_and(|(_, left)| {
                    module.first().is_some_and(|top| left.contains(&&**top))
                })
            };
            if !circle.iter().all(is_left) {
                let names: Vec<_> = circle.iter().map(|module| module.join("::")).collect();
                found.push(format!("{package}: {}", names.join(", ")));
            }
        }
    }
    assert!(
        found.is_empty(),
        "these modules import each other; what several of them need belongs in a module that imports none of them:\n{}",
        found.join("\n")
    );
}

#[test]
fn a_circle_is_found_through_re_exports_and_parents() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("lib.rs", "mod a; mod b; mod c;");
    write("a.rs", "mod deep; pub(crate) use deep::Thing;");
    write(
        "a/deep.rs",
        "use crate::b; pub(crate) struct Thing(b::Other);",
    );
    write(
        "b.rs",
        "pub(crate) struct Other; fn f() { let _: Option<super::a::Thing> = None; }",
    );
    write(
        "c.rs",
        "mod child; use child::F; pub(crate) struct G; fn f(_: F) {}",
    );
    write(
        "c/child.rs",
        "pub(crate) struct F; #[cfg(test)] mod tests { use crate::a::Thing; fn f(_: super::super::G) {} }",
    );
    let circles = || {
        let circles = Imports::of(directory.path()).circles();
        let names = circles.iter().map(|circle| {
            let names: Vec<_> = circle.iter().map(|module| module.join("::")).collect();
            names.join(" ")
        });
        names.collect::<Vec<_>>()
    };
    assert_eq!(circles(), ["a::deep b"]);
    write("c/child.rs", "pub(crate) struct F(super::G);");
    assert_eq!(circles(), ["a::deep b", "c c::child"]);
    write("b.rs", "pub(crate) struct Other;");
    assert_eq!(circles(), ["c c::child"]);
}

#[test]
fn dbus_stays_inside_its_backend() {
    for file in rust_files(&workspace().join("crates")) {
        // Its own directory, and this file.
        if file.components().any(|part| part.as_os_str() == "systemd")
            || file.ends_with("architecture.rs")
        {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        assert!(!text.contains("zbus::"), "{} speaks D-Bus", file.display());
    }
}

#[test]
fn files_stay_small() {
    let too_long: Vec<_> = ["crates", "examples", "tests"]
        .iter()
        .flat_map(|directory| rust_files(&workspace().join(directory)))
        .map(|file| (code_lines(&fs::read_to_string(&file).unwrap()), file))
        .filter(|(lines, _)| *lines > LONGEST_FILE)
        .collect();
    assert!(
        too_long.is_empty(),
        "longer than {LONGEST_FILE} lines, tests not counted: {too_long:?}"
    );
}

fn code_lines(text: &str) -> usize {
    text.lines()
        .take_while(|line| !line.starts_with("#[cfg(test)]"))
        .count()
}

fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        // What is hidden, and what a build wrote, is not source.
        if entry.file_name().to_string_lossy().starts_with('.') || entry.file_name() == "target" {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    found
}
