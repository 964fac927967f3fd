//! Files that cargo and rustc list as the sources of an artefact.

use std::path::{Component, Path, PathBuf};

/// The files that an executable was made from, as cargo lists them.
pub(super) fn inputs(executable: &Path) -> Vec<PathBuf> {
    let text = std::fs::read_to_string(executable.with_extension("d")).unwrap_or_default();
    parse_inputs(&text)
}

/// Reads a rule of a makefile: `output: input input`, with escaped spaces in names.
pub(super) fn parse_inputs(text: &str) -> Vec<PathBuf> {
    let inputs = text.lines().filter_map(|line| line.split_once(": "));
    inputs
        .flat_map(|(_, inputs)| {
            let escaped = inputs.replace("\\ ", "\0");
            let names: Vec<_> = escaped
                .split_whitespace()
                .map(|name| plain(Path::new(&name.replace('\0', " "))))
                .collect();
            names
        })
        .collect()
}

/// The path as the watcher names it: `include_str!("../a.css")` in `src/main.rs` is listed as `src/../a.css`.
pub(super) fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_tells_what_it_looked_at() {
        assert_eq!(
            parse_inputs(
                "/t/hello: /p/src/main.rs /p/with\\ space/a.css /p/src/../b.css\n\n/p/src/main.rs:\n"
            ),
            ["/p/src/main.rs", "/p/with space/a.css", "/p/b.css"].map(PathBuf::from)
        );
    }
}
