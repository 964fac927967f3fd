//! The rules that keep the parts apart, checked.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand};

const LONGEST_FILE: usize = 600;

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
