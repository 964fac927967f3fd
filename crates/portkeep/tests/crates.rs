//! What an app compiles for the sake of this library.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Beyond what an app on axum and tokio compiles anyway.
const MOST: usize = 25;

const PLAIN: &str = r#"
[package]
name = "hello"
version = "0.0.0"
edition = "2024"

[workspace]

[dependencies]
axum = "0.8"
tokio = { version = "1", features = ["macros", "rt-multi-thread"] }
"#;

#[test]
fn few_crates_are_added_to_plain_axum() {
    let plain = crates(PLAIN);
    let added = |features: &str| {
        let path = env!("CARGO_MANIFEST_DIR");
        let library = format!("portkeep = {{ path = {path:?}{features} }}\n");
        let with_library = crates(&format!("{PLAIN}{library}"));
        assert!(with_library.is_superset(&plain));
        let added: Vec<_> = with_library.difference(&plain).cloned().collect();
        println!(
            "measured: {} crates beyond {}: {added:?}",
            added.len(),
            plain.len()
        );
        added
    };
    // As `cargo add portkeep` has it.
    let default = added("");
    let least = added(", default-features = false").len();
    assert!(
        default.len() <= MOST,
        "{} crates: {default:#?}",
        default.len()
    );
    // What the documentation says has to be true.
    let said = format!(
        "adds {} crates, itself included; {least} without the default features",
        default.len()
    );
    let documentation = include_str!("../src/lib.rs");
    assert!(
        documentation.contains(&said),
        "lib.rs does not say {said:?}"
    );
}

/// The crates that a package with this manifest compiles for this machine, by name and version.
fn crates(manifest: &str) -> BTreeSet<String> {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("src")).unwrap();
    fs::write(directory.path().join("src/main.rs"), "fn main() {}\n").unwrap();
    fs::write(directory.path().join("Cargo.toml"), manifest).unwrap();
    // The same versions, all of which are here.
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.lock");
    fs::copy(lock, directory.path().join("Cargo.lock")).unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--edges", "normal,build"])
        .args(["--prefix", "none", "--format", "{p}"])
        .current_dir(directory.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let tree = String::from_utf8(output.stdout).unwrap();
    let words = tree
        .lines()
        .map(|line| line.split(' ').take(2).collect::<Vec<_>>());
    words.map(|words| words.join(" ")).collect()
}
