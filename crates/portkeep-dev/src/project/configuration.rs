//! cargo's configuration files.

use std::path::{Path, PathBuf};

/// One configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Configuration {
    /// Base of its relative paths.
    pub(super) base: PathBuf,
    pub(super) text: String,
}

/// The configurations for a directory, nearest first: its own, those of its parents, and that of cargo's home.
pub(super) fn configurations(directory: &Path, home: Option<&Path>) -> Vec<Configuration> {
    let above = directory.ancestors().map(|one| one.join(".cargo"));
    let places = above.chain(home.map(Path::to_owned));
    // The name without an extension is the older one, and wins if both exist.
    let found = places.filter_map(|place| {
        let mut texts = ["config", "config.toml"].iter();
        let text = texts.find_map(|name| std::fs::read_to_string(place.join(name)).ok())?;
        let base = place.parent().unwrap_or(&place).to_owned();
        Some(Configuration { base, text })
    });
    found.collect()
}

/// cargo's home directory.
pub(super) fn cargo_home() -> Option<PathBuf> {
    let named = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    named.or_else(|| Some(std::env::home_dir()?.join(".cargo")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_above_a_project_count_and_so_does_that_of_cargos_home() {
        let directory = tempfile::tempdir().unwrap();
        let (project, home) = (directory.path().join("a/b"), directory.path().join("home"));
        for (path, text) in [
            (project.join(".cargo/config.toml"), "# project"),
            (directory.path().join(".cargo/config.toml"), "# newer name"),
            (directory.path().join(".cargo/config"), "# above"),
            (home.join("config.toml"), "# home"),
        ] {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let found = configurations(&project, Some(&home));
        let found: Vec<_> = found.iter().map(|one| one.text.as_str()).collect();
        assert_eq!(found[..2], ["# project", "# above"]);
        assert_eq!(found.last(), Some(&"# home"));
    }
}
