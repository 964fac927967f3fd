//! Decides whether a program runs in place, or as a copy that no build overwrites.

use std::fs;
use std::path::Path;

use portkeep_spec::{Home, Sandbox, Spec};

/// Stores whose files never change, and the distribution's own directories.
const FIXED: [&str; 6] = ["/nix/store", "/gnu/store", "/usr", "/bin", "/sbin", "/lib"];
/// Directories of homes.
const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];
/// Below those, but the administrator's own.
const LOCAL: &str = "/usr/local";

/// Whether a file at `path` stays unchanged as long as it exists.
pub(super) fn is_fixed(path: &Path) -> bool {
    !path.starts_with(LOCAL) && FIXED.iter().any(|place| path.starts_with(place))
}

/// Whether the program at `path` is run there: what finds its other files by where it is would not run elsewhere.
///
/// - one in a place that is fixed;
/// - one that was named by a symbolic link that leads out of its own directory, as those of a virtual environment do, and any
///   script that a link names, as those of `node_modules/.bin` are. A link to what a build puts below it is a build's output;
/// - one that is installed below a prefix: an interpreter in `PREFIX/bin` with libraries of its name in `PREFIX/lib`.
pub(super) fn runs_in_place(path: &Path, named: &Path, is_script: bool) -> bool {
    let leads_out = || {
        named
            .parent()
            .is_some_and(|directory| !path.starts_with(directory))
    };
    let by_link = named != path && (is_script || leads_out());
    is_fixed(path) || by_link || is_in_prefix(path)
}

/// Whether the system manager's sandbox hides this path from the app (`ProtectHome=`).
pub(super) fn is_hidden(spec: &Spec, path: &Path) -> bool {
    spec.sandbox == Sandbox::Strict
        && spec.allow.home == Home::Hidden
        && HOMES.iter().any(|home| path.starts_with(home))
}

fn is_in_prefix(path: &Path) -> bool {
    let directory = path.parent();
    let (Some(bin), Some(name)) = (
        directory.filter(|directory| directory.ends_with("bin")),
        path.file_name().and_then(|name| name.to_str()),
    ) else {
        return false;
    };
    let program = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let is_its =
        |entry: &str| !program.is_empty() && entry.trim_start_matches("lib").starts_with(program);
    ["lib", "lib64"].iter().any(|libraries| {
        let entries = fs::read_dir(bin.with_file_name(libraries)).into_iter();
        entries
            .flatten()
            .flatten()
            .any(|entry| entry.file_name().to_str().is_some_and(is_its))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_its_place_keeps_it() {
        let root = tempfile::tempdir().unwrap();
        for directory in [
            "python/bin",
            "python/lib/python3.11",
            "node/bin",
            "node/lib/node_modules",
            "jdk/bin",
            "jdk/lib64/libjava",
            "app/bin",
            "app/lib/other",
            "robin",
        ] {
            fs::create_dir_all(root.path().join(directory)).unwrap();
        }
        let below = |path: &str| root.path().join(path);
        let script = |name: &str| name.ends_with(".js");
        for (path, named, expected) in [
            ("/nix/store/x/bin/app".into(), None, true),
            (
                "/usr/bin/python3.11".into(),
                Some(below("venv/bin/python")),
                true,
            ),
            ("/usr/local/bin/app".into(), None, false),
            ("/usrx/app".into(), None, false),
            (below("target/debug/app"), None, false),
            (below("app/bin/app"), None, false),
            (below("app/bin/app"), Some(below("python/app")), true),
            (below("app/bin/app"), Some(below("run")), false),
            (below("app/cli.js"), Some(below("cli")), true),
            (below("app/cli.js"), None, false),
            (below("python/bin/python3"), None, true),
            (below("jdk/bin/java"), None, true),
            (below("node/bin/node"), None, true),
            (below("robin/node"), None, false),
            (below("python/bin/3"), None, false),
        ] {
            let named = named.unwrap_or_else(|| path.clone());
            let is_script = script(path.to_str().unwrap());
            let in_place = runs_in_place(&path, &named, is_script);
            assert_eq!(in_place, expected, "{}", path.display());
        }
        let mut spec = Spec::new("app".parse().unwrap(), Vec::new(), Vec::new());
        assert!(is_hidden(&spec, Path::new("/home/deploy/x")));
        assert!(!is_hidden(&spec, Path::new("/srv/home/x")));
        spec.sandbox = Sandbox::Off;
        assert!(!is_hidden(&spec, Path::new("/home/deploy/x")));
        assert!(is_fixed(Path::new("/usr/bin/x")));
        assert!(!is_fixed(Path::new("/usr/local/bin/x")));
    }
}
