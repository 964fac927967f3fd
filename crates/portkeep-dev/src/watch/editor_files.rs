//! Files that editors write for themselves beside what they edit.

use std::path::Path;

const BEGINNINGS: [&str; 4] = [".#", ".~lock.", ".goutputstream-", ".fuse_hidden"];
const ENDINGS: [&str; 10] = [
    "~",
    ".swp",
    ".swo",
    ".swx",
    ".swpx",
    ".kate-swp",
    "___jb_tmp___",
    "___jb_old___",
    ".un~",
    ".crswap",
];
/// vim makes this file to test whether it may write.
const NAMES: [&str; 2] = ["4913", ".DS_Store"];

/// Whether this is such a file, by its name. If a build has read it, it is a source all the same.
pub(super) fn is_editors_own(path: &Path) -> bool {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return false;
    };
    let is_emacs_copy = name.len() > 1 && name.starts_with('#') && name.ends_with('#');
    is_emacs_copy
        || NAMES.contains(&name)
        || BEGINNINGS.iter().any(|one| name.starts_with(one))
        || ENDINGS.iter().any(|one| name.ends_with(one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_editors_write_for_themselves() {
        for (name, expected) in [
            (".main.rs.swp", true),
            ("main.rs~", true),
            (".#main.rs", true),
            ("#main.rs#", true),
            ("4913", true),
            ("main.rs___jb_tmp___", true),
            ("main.rs", false),
            ("#", false),
            ("4913.rs", false),
            (".env", false),
        ] {
            assert_eq!(
                is_editors_own(&Path::new("/p").join(name)),
                expected,
                "{name}"
            );
        }
    }
}
