//! Targets of a release's symbolic links. Pure, over the names in the release.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// As many symbolic links as the kernel follows.
const MOST_LINKS: u32 = 40;

/// Kind of a name in a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named<'a> {
    Directory,
    File,
    Link(&'a Path),
}

/// Why a link cannot be captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrong {
    LeadsOut,
    LeadsNowhere,
    Loop,
}

/// Follows the link at `link`, and all others on its way, as the kernel would in the captured directory.
pub(super) fn follow(names: &BTreeMap<&Path, Named<'_>>, link: &Path) -> Result<(), Wrong> {
    let mut pending: Vec<Component<'_>> = components(link);
    let mut here = PathBuf::new();
    let mut links = 0;
    let mut is_file = false;
    while let Some(component) = pending.pop() {
        let name = match component {
            Component::CurDir => continue,
            Component::Prefix(_) | Component::RootDir => return Err(Wrong::LeadsOut),
            Component::ParentDir => {
                if !here.pop() {
                    return Err(Wrong::LeadsOut);
                }
                continue;
            }
            Component::Normal(name) => name,
        };
        if is_file {
            return Err(Wrong::LeadsNowhere);
        }
        here.push(name);
        match names.get(here.as_path()) {
            None => return Err(Wrong::LeadsNowhere),
            Some(Named::Directory) => {}
            Some(Named::File) => is_file = true,
            Some(Named::Link(target)) => {
                links += 1;
                if links > MOST_LINKS {
                    return Err(Wrong::Loop);
                }
                here.pop();
                pending.extend(components(target));
            }
        }
    }
    // A search for files in it would never end.
    if !is_file && link.starts_with(&here) {
        return Err(Wrong::Loop);
    }
    Ok(())
}

fn components(path: &Path) -> Vec<Component<'_>> {
    path.components().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_links_lead() {
        let names = [
            ("a", "d"),
            ("a/file", "f"),
            ("a/b", "d"),
            ("a/b/up", "-../file"),
            ("a/b/beside", "-up"),
            ("a/b/root", "-../.."),
            ("a/b/parent", "-.."),
            ("a/b/here", "-."),
            ("a/b/out", "-../../../etc"),
            ("a/b/absolute", "-/a/file"),
            ("a/b/nowhere", "-../other"),
            ("a/b/through", "-../file/x"),
            ("a/b/self", "-self"),
            ("a/b/one", "-two"),
            ("a/b/two", "-one"),
            ("c", "-a/b"),
            ("e", "-c/up"),
            ("a/b/wide", "-../../c/up"),
            ("sibling", "d"),
            ("sibling/to", "-../a/b"),
        ];
        let named = names.map(|(path, what)| {
            let named = match what {
                "d" => Named::Directory,
                "f" => Named::File,
                link => Named::Link(Path::new(&link[1..])),
            };
            (Path::new(path), named)
        });
        let named = BTreeMap::from(named);
        for (link, expected) in [
            ("a/b/up", Ok(())),
            ("a/b/beside", Ok(())),
            ("a/b/root", Err(Wrong::Loop)),
            ("a/b/parent", Err(Wrong::Loop)),
            ("a/b/here", Err(Wrong::Loop)),
            ("a/b/out", Err(Wrong::LeadsOut)),
            ("a/b/absolute", Err(Wrong::LeadsOut)),
            ("a/b/nowhere", Err(Wrong::LeadsNowhere)),
            ("a/b/through", Err(Wrong::LeadsNowhere)),
            ("a/b/self", Err(Wrong::Loop)),
            ("a/b/one", Err(Wrong::Loop)),
            ("c", Ok(())),
            ("e", Ok(())),
            ("a/b/wide", Ok(())),
            ("sibling/to", Ok(())),
        ] {
            assert_eq!(follow(&named, Path::new(link)), expected, "{link}");
        }
    }
}
