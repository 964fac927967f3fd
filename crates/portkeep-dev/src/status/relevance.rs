//! Decides what a changed file needs: a build, new styles, a reloaded page, or nothing.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::change::{Change, Changed, Found, has_extension, is_source};

const STYLES: [&str; 4] = ["css", "scss", "sass", "less"];
/// Extensions of files that apps send as they are, or make pages from while they run.
const PAGES: [&str; 20] = [
    "html", "htm", "js", "mjs", "svg", "png", "jpg", "jpeg", "gif", "webp", "avif", "ico", "woff",
    "woff2", "wasm", "jinja", "j2", "tera", "hbs", "liquid",
];
/// Learns which files no build reads: the app's database, a log, a style sheet that is read at run time. Otherwise an app
/// that writes into its project would be built at every request.
///
/// It learns from a build after a change that finds nothing to do, for all files of that extension in that directory,
/// because an app gives its files new names. If the builder lists what it read, that list wins: a style sheet among those
/// may be compiled in.
#[derive(Debug, Default)]
pub(crate) struct Relevance {
    not_built: HashSet<(PathBuf, OsString)>,
    /// Files and directories of a release, whatever builds read.
    parts: HashSet<PathBuf>,
    /// Files and directories that the last good build read.
    inputs: HashSet<PathBuf>,
}

/// Files without an extension are a kind of their own.
fn kind_and_place(path: &Path) -> (PathBuf, OsString) {
    let Some(extension) = path.extension() else {
        return (path.to_owned(), OsString::new());
    };
    let parent = path.parent().unwrap_or(path).to_owned();
    (parent, extension.to_owned())
}

impl Relevance {
    pub(crate) fn new(parts: &[PathBuf]) -> Self {
        Self {
            parts: parts.iter().cloned().collect(),
            ..Self::default()
        }
    }

    pub(crate) fn needs_build(&self, changes: &[Change]) -> bool {
        changes.iter().any(|Change { path, .. }| {
            self.is_input(path) || !self.not_built.contains(&kind_and_place(path))
        })
    }

    /// Whether the last good build read the file, or any build would.
    pub(crate) fn is_input(&self, path: &Path) -> bool {
        // A build script may read a whole directory.
        is_source(path)
            || path
                .ancestors()
                .any(|one| self.inputs.contains(one) || self.parts.contains(one))
    }

    /// A build after exactly these changes had nothing to do.
    pub(crate) fn not_built(&mut self, changes: &[Change]) {
        for Change { path, found } in changes {
            // A directory stands for unknown files.
            if *found != Found::Directory && !self.is_input(path) {
                self.not_built.insert(kind_and_place(path));
            }
        }
    }

    /// A good build read these. A builder that does not say lists none.
    pub(crate) fn built(&mut self, inputs: Vec<PathBuf>) {
        if !inputs.is_empty() {
            self.inputs = inputs.into_iter().collect();
        }
    }
}

/// What pages do when a new generation was made from these changes.
pub(crate) fn of_generation(changes: &[Change]) -> Changed {
    let is_style = |change: &Change| has_extension(&change.path, &STYLES);
    if !changes.is_empty() && changes.iter().all(is_style) {
        Changed::Styles
    } else {
        Changed::Pages
    }
}

/// What pages do when these files changed and the app did not.
pub(crate) fn of_files(changes: &[Change]) -> Changed {
    let of = |Change { path, .. }: &Change| {
        if has_extension(path, &STYLES) {
            Changed::Styles
        } else if has_extension(path, &PAGES) {
            Changed::Pages
        } else {
            Changed::Nothing
        }
    };
    changes.iter().map(of).max().unwrap_or(Changed::Nothing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(names: &[&str]) -> Vec<Change> {
        let change = |name: &&str| Change {
            path: name.into(),
            found: Found::File,
        };
        names.iter().map(change).collect()
    }

    fn paths(names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn what_no_build_looks_at_asks_for_none_until_one_does() {
        let mut relevance = Relevance::default();
        let (database, upload) = (changes(&["/p/app.db"]), changes(&["/p/up/1.png"]));
        assert!(relevance.needs_build(&database));
        relevance.not_built(&database);
        relevance.not_built(&upload);
        relevance.not_built(&changes(&["/p/log"]));
        assert!(!relevance.needs_build(&database));
        assert!(!relevance.needs_build(&changes(&["/p/log"])));
        assert!(relevance.needs_build(&changes(&["/p/template"])));
        assert!(!relevance.needs_build(&changes(&["/p/up/2.png", "/p/app.db"])));
        assert!(relevance.needs_build(&changes(&["/p/up/2.png", "/p/src/main.rs"])));
        relevance.built(paths(&["/p/src/main.rs", "/p/up"]));
        assert!(relevance.needs_build(&upload));
        assert!(!relevance.needs_build(&database));
    }

    #[test]
    fn a_source_stays_one_though_a_build_had_nothing_to_do() {
        let mut relevance = Relevance::default();
        let sources = changes(&["/p/src/new.rs", "/p/Cargo.toml", "/p/Makefile"]);
        relevance.not_built(&sources);
        for source in sources {
            assert!(relevance.needs_build(&[source]));
        }
    }

    #[test]
    fn what_a_build_looked_at_is_built_whatever_was_learned_of_its_kind() {
        let mut relevance = Relevance::default();
        let (read, included) = (changes(&["/p/static/a.css"]), changes(&["/p/static/b.css"]));
        relevance.built(paths(&["/p/src/main.rs", "/p/static/b.css"]));
        relevance.not_built(&[read.clone(), included.clone()].concat());
        assert!(!relevance.needs_build(&read));
        assert!(relevance.needs_build(&included));
        // A builder that does not say changes nothing.
        relevance.built(Vec::new());
        assert!(relevance.needs_build(&included));
    }

    #[test]
    fn a_directory_says_nothing_of_what_is_in_it() {
        let mut relevance = Relevance::default();
        let unknown = [Change {
            path: "/p/unknown".into(),
            found: Found::Directory,
        }];
        relevance.not_built(&unknown);
        assert!(relevance.needs_build(&unknown));
    }

    #[test]
    fn pages_reload_for_what_they_show_only() {
        assert_eq!(
            of_generation(&changes(&["a.css", "b.scss"])),
            Changed::Styles
        );
        assert_eq!(
            of_generation(&changes(&["a.css", "main.rs"])),
            Changed::Pages
        );
        assert_eq!(of_generation(&[]), Changed::Pages);
        assert_eq!(of_files(&changes(&["main.rs"])), Changed::Nothing);
        assert_eq!(of_files(&changes(&["main.rs", "a.css"])), Changed::Styles);
        assert_eq!(of_files(&changes(&["a.css", "index.html"])), Changed::Pages);
    }
}
