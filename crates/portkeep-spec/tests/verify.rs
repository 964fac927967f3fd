//! systemd's own verifier reads the golden units without a complaint but the known ones (`golden/allowed-warnings`).
//!
//! Runs the script that can be run elsewhere, with another systemd, as well. Without `systemd-analyze` it fails.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

use std::path::Path;
use std::process::Command;

#[test]
fn systemd_accepts_the_golden_units() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/verify");
    let output = Command::new(&script)
        .output()
        .unwrap_or_else(|error| panic!("cannot run {}: {error}", script.display()));
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{}:\n{said}", script.display());
}
