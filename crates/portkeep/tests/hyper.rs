//! Which hyper it was verified with that connections can be moved.

/// Behaviour that hyper does not promise decides which connections may move (`connection/probe.rs`);
/// a mistake there is a security hole. When this fails, hyper was updated: read what changed in
/// `src/proto/h1`, run `PORTKEEP_MOVE_CASES=100000 cargo test -p portkeep --lib moving::tests`, and
/// write the new version here.
const VERIFIED: &str = "1.12.0";

#[test]
fn hyper_is_the_version_that_was_verified() {
    let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock");
    let lock = std::fs::read_to_string(lock).expect("the workspace has a lock file");
    let versions: Vec<_> = lock
        .split("[[package]]")
        .filter(|package| package.contains("\nname = \"hyper\"\n"))
        .filter_map(|package| package.split("version = \"").nth(1)?.split('"').next())
        .collect();
    assert_eq!(versions, [VERIFIED]);
}
