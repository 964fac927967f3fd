//! What a changed file means: a build, new styles, a page that has to be loaded again, or nothing.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use super::browser::Changed;

const STYLES: [&str; 4] = ["css", "scss", "sass", "less"];
/// What apps send as it is, or make pages of while they run.
const PAGES: [&str; 20] = [
    "html", "htm", "js", "mjs", "svg", "png", "jpg", "jpeg", "gif", "webp", "avif", "ico", "woff",
    "woff2", "wasm", "jinja", "j2", "tera", "hbs", "liquid",
];
/// A build looks at these even where none did so far.
const SOURCES: [&str; 3] = ["rs", "toml", "lock"];
const SOURCE_NAMES: [&str; 4] = ["Makefile", "makefile", "justfile", "Dockerfile"];

/// Learns which files no build looks at: the app's database, a log, a style sheet that is read at run time. Without that,
/// an app that writes into its project would be built at every request.
///
/// A build after a change that finds nothing to do is how it is learned; for all files of that kind in that directory, since
/// an app that writes files gives them new names. Where the builder says what it looked at, that is known better: a style
/// sheet beside those may be one that is compiled in.
#[derive(Debug, Default)]
pub(crate) struct Relevance {
    not_built: HashSet<(PathBuf, OsString)>,
    /// Files and directories that the last good build looked at.
    inputs: HashSet<PathBuf>,
}

/// A file without an extension is a kind of its own.
fn kind_and_place(path: &Path) -> (PathBuf, OsString) {
    let Some(extension) = path.extension() else {
        return (path.to_owned(), OsString::new());
    };
    let parent = path.parent().unwrap_or(path).to_owned();
    (parent, extension.to_owned())
}

/// Whether a build may look at it by its name, where none did so far.
pub(crate) fn is_source(path: &Path) -> bool {
    has_extension(path, &SOURCES)
        || path
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| SOURCE_NAMES.contains(&name))
}

fn has_extension(path: &Path, of: &[&str]) -> bool {
    path.extension()
        .and_then(|extension| extension.to_str())
        .is_some_and(|extension| of.contains(&extension))
}

impl Relevance {
    pub(crate) fn needs_build(&self, paths: &[PathBuf]) -> bool {
        paths
            .iter()
            .any(|path| self.is_input(path) || !self.not_built.contains(&kind_and_place(path)))
    }

    /// Whether the last good build looked at it, or any build would.
    pub(crate) fn is_input(&self, path: &Path) -> bool {
        // A build script may look at a whole directory.
        is_source(path) || path.ancestors().any(|one| self.inputs.contains(one))
    }

    /// A build after a change of these, and of nothing else, had nothing to do.
    pub(crate) fn not_built(&mut self, paths: &[PathBuf]) {
        // A directory stands for what is not known.
        let learned = paths
            .iter()
            .filter(|path| !self.is_input(path) && !path.is_dir());
        self.not_built
            .extend(learned.map(|path| kind_and_place(path)).collect::<Vec<_>>());
    }

    /// A good build looked at these. A builder that does not tell has none.
    pub(crate) fn built(&mut self, inputs: Vec<PathBuf>) {
        if !inputs.is_empty() {
            self.inputs = inputs.into_iter().collect();
        }
    }
}

/// What pages have to do when a new generation was made of these.
pub(crate) fn of_generation(paths: &[PathBuf]) -> Changed {
    if !paths.is_empty() && paths.iter().all(|path| has_extension(path, &STYLES)) {
        Changed::Styles
    } else {
        Changed::Pages
    }
}

/// What pages have to do when these changed and the app did not.
pub(crate) fn of_files(paths: &[PathBuf]) -> Changed {
    let of = |path: &PathBuf| {
        if has_extension(path, &STYLES) {
            Changed::Styles
        } else if has_extension(path, &PAGES) {
            Changed::Pages
        } else {
            Changed::Nothing
        }
    };
    paths.iter().map(of).max().unwrap_or(Changed::Nothing)
}

/// The files that cargo says an executable was made of.
pub(crate) fn inputs(executable: &Path) -> Vec<PathBuf> {
    let text = std::fs::read_to_string(executable.with_extension("d")).unwrap_or_default();
    parse_inputs(&text)
}

/// As in a makefile: `output: input input`, with spaces in names escaped.
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

/// As the watcher names it: `include_str!("../a.css")` in `src/main.rs` is told as `src/../a.css`.
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

    fn paths(names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn what_no_build_looks_at_asks_for_none_until_one_does() {
        let mut relevance = Relevance::default();
        let (database, upload) = (paths(&["/p/app.db"]), paths(&["/p/up/1.png"]));
        assert!(relevance.needs_build(&database));
        relevance.not_built(&database);
        relevance.not_built(&upload);
        relevance.not_built(&paths(&["/p/log"]));
        assert!(!relevance.needs_build(&database));
        assert!(!relevance.needs_build(&paths(&["/p/log"])));
        assert!(relevance.needs_build(&paths(&["/p/template"])));
        assert!(!relevance.needs_build(&paths(&["/p/up/2.png", "/p/app.db"])));
        assert!(relevance.needs_build(&paths(&["/p/up/2.png", "/p/src/main.rs"])));
        relevance.built(paths(&["/p/src/main.rs", "/p/up"]));
        assert!(relevance.needs_build(&upload));
        assert!(!relevance.needs_build(&database));
    }

    #[test]
    fn a_source_stays_one_though_a_build_had_nothing_to_do() {
        let mut relevance = Relevance::default();
        let sources = paths(&["/p/src/new.rs", "/p/Cargo.toml", "/p/Makefile"]);
        relevance.not_built(&sources);
        for source in sources {
            assert!(relevance.needs_build(&[source]));
        }
    }

    #[test]
    fn what_a_build_looked_at_is_built_whatever_was_learned_of_its_kind() {
        let mut relevance = Relevance::default();
        let (read, included) = (paths(&["/p/static/a.css"]), paths(&["/p/static/b.css"]));
        relevance.built(paths(&["/p/src/main.rs", "/p/static/b.css"]));
        relevance.not_built(&[read.clone(), included.clone()].concat());
        assert!(!relevance.needs_build(&read));
        assert!(relevance.needs_build(&included));
        // A builder that does not tell changes nothing.
        relevance.built(Vec::new());
        assert!(relevance.needs_build(&included));
    }

    #[test]
    fn a_directory_says_nothing_of_what_is_in_it() {
        let directory = tempfile::tempdir().unwrap();
        let mut relevance = Relevance::default();
        let unknown = [directory.path().to_owned()];
        relevance.not_built(&unknown);
        assert!(relevance.needs_build(&unknown));
    }

    #[test]
    fn pages_reload_for_what_they_show_only() {
        assert_eq!(of_generation(&paths(&["a.css", "b.scss"])), Changed::Styles);
        assert_eq!(of_generation(&paths(&["a.css", "main.rs"])), Changed::Pages);
        assert_eq!(of_generation(&[]), Changed::Pages);
        assert_eq!(of_files(&paths(&["main.rs"])), Changed::Nothing);
        assert_eq!(of_files(&paths(&["main.rs", "a.css"])), Changed::Styles);
        assert_eq!(of_files(&paths(&["a.css", "index.html"])), Changed::Pages);
    }

    #[test]
    fn cargo_tells_what_it_looked_at() {
        assert_eq!(
            parse_inputs(
                "/t/hello: /p/src/main.rs /p/with\\ space/a.css /p/src/../b.css\n\n/p/src/main.rs:\n"
            ),
            paths(&["/p/src/main.rs", "/p/with space/a.css", "/p/b.css"])
        );
    }
}
