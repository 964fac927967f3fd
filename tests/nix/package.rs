//! `nix/package.nix` brings along what cargo reads: what it leaves out fails only on a machine with nixpkgs.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

#[test]
fn the_package_has_every_source_that_cargo_knows() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let package = std::fs::read_to_string(workspace.join("nix/package.nix")).unwrap();
    let taken: Vec<_> = package
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("../"))
        .map(|path| workspace.join(path))
        .collect();

    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version=1"])
        .current_dir(workspace)
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let sources = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|package| {
            let targets = package["targets"].as_array().unwrap().iter();
            let roots = targets.map(|target| &target["src_path"]);
            roots.chain([&package["manifest_path"]])
        });
    let left_out: Vec<_> = sources
        .map(|path| Path::new(path.as_str().unwrap()))
        .filter(|path| !taken.iter().any(|taken| path.starts_with(taken)))
        .collect();
    assert!(
        left_out.is_empty(),
        "nix/package.nix leaves out {left_out:?}"
    );
}
