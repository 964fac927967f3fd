//! Environment of generations: that of `portkeep dev`, and the project's `.env`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use portkeep_spec::environment_file::is_variable_name;
use portkeep_spec::{contract, environment_file, small_file};

use super::dotenv;
use crate::options::WhileBuilding;
use crate::project::Project;

/// Variables about `portkeep dev` itself, besides those that no process inherits.
const OWN: [&str; 6] = [
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "OUT_DIR",
    "SYSTEMD_EXEC_PID",
    "_",
    "OLDPWD",
];
/// Variables that `cargo run` sets for its program, which is `portkeep`.
const OF_CARGO_RUN: [&str; 5] = [
    "CARGO_PKG_",
    "CARGO_MANIFEST_",
    "CARGO_BIN_",
    "CARGO_CRATE_",
    "CARGO_PRIMARY_",
];

/// This process's environment without its own variables, then the project's `.env`, then the socket `dev` for the server
/// library. Problems of `.env` are notices.
pub(crate) fn of_generations(
    project: &Project,
    dev: &Path,
    notices: &mut Vec<String>,
) -> BTreeMap<String, String> {
    let is_own = |name: &str| {
        contract::NOT_INHERITED.contains(&name)
            || OWN.contains(&name)
            || name.starts_with("PORTKEEP_")
            || OF_CARGO_RUN.iter().any(|prefix| name.starts_with(prefix))
    };
    let mut environment = of_dotenv(&project.directory.join(".env"), notices);
    // A value that is not UTF-8 cannot be written to the file that systemd reads.
    let own = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let run = &project.cargo_run;
    environment.extend(run.defaults.clone());
    environment.extend(own.filter(|(name, _)| !is_own(name) && is_variable_name(name)));
    environment.extend(run.forced.clone());
    look_for_libraries(&mut environment, &run.library_paths);
    if project.leaves_pages {
        return environment;
    }
    environment.insert(contract::PORTKEEP_DEV.to_owned(), dev.display().to_string());
    if !project.allowed_hosts.is_empty() {
        let hosts: Vec<_> = project
            .allowed_hosts
            .iter()
            .map(ToString::to_string)
            .collect();
        environment.insert(contract::PORTKEEP_DEV_HOSTS.to_owned(), hosts.join(","));
    }
    if project.while_building == WhileBuilding::Hold {
        environment.insert(contract::PORTKEEP_DEV_HOLD.to_owned(), "1".to_owned());
    }
    environment
}

/// As with `cargo run`, directories of the build come before existing ones.
fn look_for_libraries(environment: &mut BTreeMap<String, String>, paths: &[PathBuf]) {
    const NAME: &str = "LD_LIBRARY_PATH";
    let before = environment.get(NAME).cloned().unwrap_or_default();
    let before = std::env::split_paths(&before).filter(|path| !path.as_os_str().is_empty());
    let joined = std::env::join_paths(paths.iter().cloned().chain(before));
    // A path with a colon cannot be listed.
    let Some(joined) = joined.ok().and_then(|joined| joined.into_string().ok()) else {
        return;
    };
    if !joined.is_empty() {
        environment.insert(NAME.to_owned(), joined);
    }
}

fn of_dotenv(path: &Path, notices: &mut Vec<String>) -> BTreeMap<String, String> {
    if !path.exists() {
        return BTreeMap::new();
    }
    match small_file::read(path, environment_file::LONGEST_FILE) {
        Ok(bytes) => {
            let file = dotenv::parse(&String::from_utf8_lossy(&bytes));
            let told = file.warnings.into_iter();
            notices.extend(told.map(|(line, what)| format!("{}:{line}: {what}", path.display())));
            file.variables
        }
        Err(error) => {
            notices.push(format!("{} is not read: {error}", path.display()));
            BTreeMap::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_file_names_it_and_ends_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(".env");
        std::fs::write(&path, "TITLE=My App\nno value\n").unwrap();
        let mut notices = Vec::new();
        let environment = of_dotenv(&path, &mut notices);
        assert_eq!(environment["TITLE"], "My App");
        let expected = format!("{}:2: `no value` has no value", path.display());
        assert!(notices[0].starts_with(&expected), "{notices:?}");
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(of_dotenv(&path, &mut notices).is_empty());
        assert_eq!(notices.len(), 2);
    }
}
