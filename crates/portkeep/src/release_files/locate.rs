//! Finds a file in this release, or in one of the kept ones.

use std::env;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use portkeep_contract::{PORTKEEP_KEPT_FILES, PORTKEEP_RELEASE_DIR};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

/// Number of releases that are searched at most.
const MOST: usize = 256;
const LONGEST_LIST: u64 = 256 << 10;

/// Directories that may have the file.
#[derive(Debug, Clone)]
pub(super) struct Places {
    pub(super) own: PathBuf,
    /// The file that lists the others.
    pub(super) list: Option<PathBuf>,
    /// The directory below each of them.
    pub(super) below: PathBuf,
}

/// A file that was found.
#[derive(Debug)]
pub(super) struct Located {
    pub(super) file: File,
    pub(super) size: u64,
}

impl Places {
    pub(super) fn from_environment(below: PathBuf) -> Self {
        let path = |name| env::var_os(name).map(PathBuf::from);
        Self {
            own: path(PORTKEEP_RELEASE_DIR).unwrap_or_else(|| PathBuf::from(".")),
            list: path(PORTKEEP_KEPT_FILES),
            below,
        }
    }

    /// Opens the file at `path`, which [`relative`] has made.
    ///
    /// # Errors
    /// `NotFound` where no release has such a file.
    pub(super) fn open(&self, path: &Path) -> io::Result<Located> {
        match open_in(&self.own.join(&self.below), path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened,
        }
        for other in self.others() {
            // A removed release is like one without the file.
            if let Ok(located) = open_in(&other.join(&self.below), path) {
                return Ok(located);
            }
        }
        Err(io::ErrorKind::NotFound.into())
    }

    /// Read at each call: the next release is listed before it serves.
    fn others(&self) -> Vec<PathBuf> {
        let mut text = String::new();
        let list = self.list.as_ref().and_then(|list| File::open(list).ok());
        if let Some(list) = list {
            // A list that is not text is empty.
            let _ = list.take(LONGEST_LIST).read_to_string(&mut text);
        }
        let others = text.lines().map(PathBuf::from);
        others
            .filter(|other| *other != self.own)
            .take(MOST)
            .collect()
    }
}

/// The path below a directory that the path of a URL means, and the name of the file; nothing for a path that could mean
/// another place.
pub(super) fn relative(path: &str) -> Option<(PathBuf, &str)> {
    let parts: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-_~+@".contains(c);
    let is_name =
        |part: &&str| !part.is_empty() && !part.starts_with('.') && part.chars().all(is_plain);
    if !parts.iter().all(is_name) {
        return None;
    }
    let name = parts.last()?;
    Some((parts.iter().collect(), name))
}

/// Opens level by level, and follows no symbolic link.
fn open_in(directory: &Path, path: &Path) -> io::Result<Located> {
    let on_the_way = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut at: OwnedFd = openat(CWD, directory, on_the_way, Mode::empty())?;
    let mut names = path.iter().peekable();
    while let Some(name) = names.next() {
        let flags = match names.peek() {
            Some(_) => on_the_way | OFlags::NOFOLLOW,
            // Opening a FIFO must not block.
            None => OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC,
        };
        at = openat(&at, name, flags, Mode::empty()).map_err(|error| match error {
            Errno::NOTDIR | Errno::LOOP | Errno::NXIO => io::ErrorKind::NotFound.into(),
            error => io::Error::from(error),
        })?;
    }
    let file = File::from(at);
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(Located {
        file,
        size: metadata.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_means_one_place_or_none() {
        for (path, expected) in [
            ("/app-3f9a12c4.js", Some("app-3f9a12c4.js")),
            ("/css/a~b+c@2.css", Some("css/a~b+c@2.css")),
            ("", None),
            ("/", None),
            ("app.js", None),
            ("//app.js", None),
            ("/a//b.js", None),
            ("/a/", None),
            ("/../app.js", None),
            ("/a/../b.js", None),
            ("/./a.js", None),
            ("/.env", None),
            ("/%2e%2e/app.js", None),
            ("/a%2fb.js", None),
            ("/a\\b.js", None),
            ("/a\0.js", None),
            ("/ä.js", None),
        ] {
            let found = relative(path).map(|(path, _)| path);
            assert_eq!(found, expected.map(PathBuf::from), "{path:?}");
        }
    }
}
