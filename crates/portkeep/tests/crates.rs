//! What an app compiles for the sake of this library.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

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

/// Serves by axum itself, to see what an app compiles of hyper's connections.
const BY_AXUM: &str = r#"
#[tokio::main]
async fn main() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    axum::serve(listener, axum::Router::new()).await.unwrap();
}
"#;

const BY_PORTKEEP: &str = r"
#[tokio::main]
async fn main() {
    let server = portkeep::Server::new().accept_with(|connection| async { Ok(connection) });
    server.serve(axum::Router::new()).await.unwrap();
    portkeep::serve(axum::Router::new()).await.unwrap();
}
";

/// Else each build of an app would compile the stack from the socket to the app anew, which takes longer than the app.
#[test]
fn an_app_compiles_nothing_of_hypers_connections() {
    let path = env!("CARGO_MANIFEST_DIR");
    let manifest = format!("{PLAIN}portkeep = {{ path = {path:?} }}\n")
        .replace("\"rt-multi-thread\"", "\"rt-multi-thread\", \"net\"");
    let package = package(&manifest, &[("axum", BY_AXUM), ("portkeep", BY_PORTKEEP)]);
    // hyper's own connections; what asks the library for one; and the library's, which has them for its own app.
    let parts = ["5hyper5proto", "5hyper6server", "8portkeep10connection"];
    let by_axum = functions(package.path(), "axum", &parts);
    let by_portkeep = functions(package.path(), "portkeep", &parts);
    println!(
        "measured: functions of connections in an app: {} with axum::serve, {} with the library",
        by_axum.len(),
        by_portkeep.len()
    );
    assert!(by_axum.len() > 100, "nothing is found where much is");
    assert!(by_portkeep.is_empty(), "{by_portkeep:#?}");
}

/// The functions that the crate of the binary `name` defines itself and whose names have one of `parts`.
fn functions(package: &Path, name: &str, parts: &[&str]) -> Vec<String> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("app");
    let output = Command::new(env!("CARGO"))
        .args([
            "rustc",
            "--offline",
            "--quiet",
            "--bin",
            name,
            "--target-dir",
        ])
        .arg(&target)
        .args(["--", "--emit=llvm-ir", "-Ccodegen-units=1", "-Cdebuginfo=0"])
        .current_dir(package)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let made = fs::read_dir(target.join("debug/deps")).unwrap();
    let texts: Vec<_> = made
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let file = path.file_name().unwrap().to_str().unwrap();
            file.starts_with(&format!("{name}-")) && file.ends_with(".ll")
        })
        .collect();
    assert_eq!(texts.len(), 1, "{texts:?}");
    let text = fs::read_to_string(&texts[0]).unwrap();
    fs::remove_file(&texts[0]).unwrap();
    text.lines()
        .filter(|line| line.starts_with("define "))
        .filter(|line| parts.iter().any(|part| line.contains(part)))
        .map(str::to_owned)
        .collect()
}

/// The crates that a package with this manifest compiles for this machine, by name and version.
fn crates(manifest: &str) -> BTreeSet<String> {
    let directory = package(manifest, &[("main", "fn main() {}\n")]);
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

/// A package with these binaries.
fn package(manifest: &str, binaries: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let sources = directory.path().join("src/bin");
    fs::create_dir_all(&sources).unwrap();
    for (name, source) in binaries {
        fs::write(sources.join(name).with_extension("rs"), source).unwrap();
    }
    fs::write(directory.path().join("Cargo.toml"), manifest).unwrap();
    // The same versions, all of which are here.
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.lock");
    fs::copy(lock, directory.path().join("Cargo.lock")).unwrap();
    directory
}
