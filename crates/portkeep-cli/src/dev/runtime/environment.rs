//! The environment that generations see: that of `portkeep dev`, and the project's `.env`.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use portkeep_spec::{contract, environment_file, small_file};

use crate::dev::options::WhileBuilding;
use crate::dev::project::Project;

/// Variables that speak of `portkeep dev` itself, not of the app, besides those that no process hands on.
const OWN: [&str; 6] = [
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "OUT_DIR",
    "SYSTEMD_EXEC_PID",
    "_",
    "OLDPWD",
];
/// What `cargo run` sets for the program it runs, which is us.
const OF_CARGO_RUN: [&str; 5] = [
    "CARGO_PKG_",
    "CARGO_MANIFEST_",
    "CARGO_BIN_",
    "CARGO_CRATE_",
    "CARGO_PRIMARY_",
];

/// This process's environment less what is its own, and `.env` in the project for what it does not set; and how the server
/// library reaches us, at the socket `dev`.
pub(crate) fn of_generations(
    project: &Project,
    dev: &Path,
) -> anyhow::Result<BTreeMap<String, String>> {
    let is_own = |name: &str| {
        contract::NOT_INHERITED.contains(&name)
            || OWN.contains(&name)
            || name.starts_with("PORTKEEP_")
            || OF_CARGO_RUN.iter().any(|prefix| name.starts_with(prefix))
    };
    let mut environment = BTreeMap::new();
    let dotenv = project.directory.join(".env");
    if dotenv.exists() {
        let fail = || format!("cannot read {}", dotenv.display());
        let text = small_file::read(&dotenv, environment_file::LONGEST_FILE).with_context(fail)?;
        for entry in dotenvy::from_read_iter(text.as_slice()) {
            let (name, value) = entry.with_context(fail)?;
            environment.insert(name, value);
        }
    }
    // What is not UTF-8 cannot be written to the file that systemd reads.
    let own = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    environment.extend(own.filter(|(name, _)| !is_own(name) && is_variable_name(name)));
    if project.leaves_pages {
        return Ok(environment);
    }
    environment.insert(contract::PORTKEEP_DEV.to_owned(), dev.display().to_string());
    if project.while_building == WhileBuilding::Hold {
        environment.insert(contract::PORTKEEP_DEV_HOLD.to_owned(), "1".to_owned());
    }
    Ok(environment)
}

/// Shells export functions under names that systemd refuses.
fn is_variable_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}
