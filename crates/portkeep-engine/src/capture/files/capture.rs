//! Captures the files: as copies, or as further links to those of an earlier release.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{Access as Rights, Stat, Timespec, Timestamps, fstat, futimens};
use rustix::process::geteuid;

use super::error::FilesError;
use super::find::{Entry, Tree, hash_path};
use super::manifest::{Captured, Manifest};
use super::place::{Place, read};
use super::state::State;
use crate::capture::access::{Access, For};
use crate::capture::clock::Clock;
use crate::capture::contents;
use crate::capture::found_file::descriptor_path;
use crate::store::Key;
use crate::user::{RunsAs, User, group_name, may, name_of};

/// Number of files that are open at once: a process may have 1024.
const AT_ONCE: usize = 64;
const CLOSED: u32 = 0o700;
/// Mode of the top directory: the release's directory restricts access.
const OPEN: u32 = 0o755;

/// Settings for capturing files.
#[derive(Debug)]
pub(crate) struct FilesContext<'a> {
    /// The user who has to read them.
    pub(crate) runs_as: &'a RunsAs,
    pub(crate) key: &'a Key,
    pub(crate) clock: Clock,
    /// An earlier release's files, with their manifest.
    pub(crate) before: Option<&'a (PathBuf, Manifest)>,
}

impl Tree {
    /// Captures the files below `to`, which it creates, and adds them to `hasher`.
    ///
    /// # Errors
    /// When one of them changes meanwhile, or somebody may not read it who has to.
    pub(crate) fn capture(
        &self,
        to: &Path,
        how: &FilesContext<'_>,
        hasher: &mut blake3::Hasher,
    ) -> Result<Manifest, FilesError> {
        let mut capture = Capture::new(self, Some(to), how);
        capture.make_directory(Path::new(""))?;
        for (path, entry) in &self.entries {
            match &entry.target {
                Some(target) => symlink(target, to.join(path))
                    .map_err(|source| not_copied(self, path, to, source))?,
                None if entry.state.kind().is_dir() => capture.make_directory(path)?,
                None => {}
            }
        }
        capture.contents()?;
        fs::set_permissions(to, fs::Permissions::from_mode(OPEN))
            .map_err(|source| not_copied(self, Path::new(""), to, source))?;
        capture.hash(hasher);
        Ok(capture.manifest)
    }

    /// Adds the files to `hasher` as a capture would, and keeps nothing.
    ///
    /// # Errors
    /// As [`capture`](Self::capture).
    pub(crate) fn digest_contents(
        &self,
        how: &FilesContext<'_>,
        hasher: &mut blake3::Hasher,
    ) -> Result<(), FilesError> {
        let mut capture = Capture::new(self, None, how);
        capture.contents()?;
        capture.hash(hasher);
        Ok(())
    }

    fn files_by_directory(&self) -> BTreeMap<&Path, Vec<(&OsStr, State)>> {
        let mut directories: BTreeMap<&Path, Vec<_>> = BTreeMap::new();
        for (path, entry) in &self.entries {
            if entry.target.is_none()
                && entry.state.kind().is_file()
                && let (Some(directory), Some(name)) = (path.parent(), path.file_name())
            {
                let files = directories.entry(directory).or_default();
                files.push((name, entry.state));
            }
        }
        directories
    }
}

/// A capture in progress.
struct Capture<'a> {
    tree: &'a Tree,
    /// None if nothing is to be kept.
    to: Option<&'a Path>,
    how: &'a FilesContext<'a>,
    /// The user who has to read them, if that is neither us nor root.
    app: Option<User>,
    manifest: Manifest,
    access: BTreeMap<PathBuf, Access>,
}

impl<'a> Capture<'a> {
    fn new(tree: &'a Tree, to: Option<&'a Path>, how: &'a FilesContext<'a>) -> Self {
        Self {
            tree,
            to,
            how,
            app: how.runs_as.other_user(),
            manifest: Manifest::default(),
            access: BTreeMap::new(),
        }
    }

    /// Nobody else may enter it before it has all its files.
    fn make_directory(&self, path: &Path) -> Result<(), FilesError> {
        let Some(to) = self.to else {
            return Ok(());
        };
        let made = DirBuilder::new().mode(CLOSED).create(to.join(path));
        made.map_err(|source| not_copied(self.tree, path, to, source))
    }

    fn contents(&mut self) -> Result<(), FilesError> {
        for (directory, files) in self.tree.files_by_directory() {
            let place = self.tree.base.directory(directory)?;
            for chunk in files.chunks(AT_ONCE) {
                self.files(&place, directory, chunk)?;
            }
        }
        self.open_directories()
    }

    /// Captures some files of one directory.
    fn files(
        &mut self,
        place: &Place,
        directory: &Path,
        files: &[(&OsStr, State)],
    ) -> Result<(), FilesError> {
        let opened = place.open(files)?;
        for (source, (name, state)) in opened.iter().zip(files) {
            let path = directory.join(name);
            let access = self.access_of(source, &path, *state)?;
            let captured = match (self.to, self.known(&path, state)) {
                (None, Some(known)) => known.clone(),
                (None, None) => self.read(source, &path, *state)?,
                (Some(to), known) => match known.and_then(|known| self.link(&path, to, known)) {
                    Some(linked) => linked,
                    None => self.copy(source, &path, *state, to, &access)?,
                },
            };
            self.manifest.add(path.clone(), captured);
            self.access.insert(path, access);
        }
        Ok(())
    }

    /// The access to a file, which must be enough for the app.
    fn access_of(&self, source: &File, path: &Path, state: State) -> Result<Access, FilesError> {
        let shown = || self.tree.base.path.join(path);
        let metadata = source.metadata().map_err(|source| read(&shown(), source))?;
        let access = Access::of(source, &metadata);
        let (kind, rights) = match metadata.is_dir() {
            true => (For::Directory, Rights::READ_OK | Rights::EXEC_OK),
            false => (For::File, Rights::READ_OK),
        };
        let Some(user) = self
            .app
            .as_ref()
            .filter(|_| geteuid().is_root() && !access.is_open(kind))
        else {
            return Ok(access);
        };
        let by_descriptor = descriptor_path(source.as_fd());
        match user.with_rights(|| may(&by_descriptor, rights)) {
            Ok(false) => Err(FilesError::NotForApp {
                path: shown(),
                user: user.name.clone(),
                mode: state.permissions(),
                owner: name_of(state.owner),
                group: group_name(state.group),
            }),
            // If this cannot be checked, the app will notice.
            Ok(true) | Err(_) => Ok(access),
        }
    }

    /// The same file in an earlier release.
    fn known(&self, path: &Path, state: &State) -> Option<&Captured> {
        self.how.before?.1.captured_from(path, state)
    }

    /// Adds another name of that.
    fn link(&self, path: &Path, to: &Path, known: &Captured) -> Option<Captured> {
        let us = geteuid();
        if !may_share(&known.copy, us.as_raw(), us.is_root() && self.app.is_none()) {
            return None;
        }
        let linked = to.join(path);
        fs::hard_link(self.how.before?.0.join(path), &linked).ok()?;
        let stat = rustix::fs::lstat(&linked).ok()?;
        if State::of(&stat).has_contents_of(&known.copy) {
            return Some(known.clone());
        }
        // Somebody wrote to it. If it cannot be removed, the copy fails and reports that.
        let _ = fs::remove_file(&linked);
        None
    }

    fn copy(
        &self,
        source: &File,
        path: &Path,
        state: State,
        to: &Path,
        access: &Access,
    ) -> Result<Captured, FilesError> {
        let fail = |source: io::Error| not_copied(self.tree, path, to, source);
        let copy = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(to.join(path))
            .map_err(fail)?;
        let mut hasher = blake3::Hasher::new_keyed(self.how.key);
        let clock = self.how.clock;
        contents::copy_and_digest(source, &copy, state.size, clock, &mut hasher).map_err(fail)?;
        let now = self.unchanged(source, path, state)?;
        // Apps report to clients when a file was changed: that was not the capture.
        futimens(&copy, &times_of(&now)).map_err(|error| fail(error.into()))?;
        access.give_for(For::File, &copy).map_err(fail)?;
        let made = fstat(&copy).map_err(|error| fail(error.into()))?;
        Ok(self.captured(state, &hasher, State::of(&made)))
    }

    /// The digest of a file that is not copied.
    fn read(&self, source: &File, path: &Path, state: State) -> Result<Captured, FilesError> {
        let mut hasher = blake3::Hasher::new_keyed(self.how.key);
        contents::digest(source, state.size, self.how.clock, &mut hasher)
            .map_err(|error| read(&self.tree.base.path.join(path), error))?;
        self.unchanged(source, path, state)?;
        Ok(self.captured(state, &hasher, state))
    }

    fn unchanged(&self, source: &File, path: &Path, then: State) -> Result<Stat, FilesError> {
        let path = || self.tree.base.path.join(path);
        let now = fstat(source).map_err(|error| read(&path(), error.into()))?;
        match State::of(&now) == then {
            true => Ok(now),
            false => Err(FilesError::Changed(path())),
        }
    }

    fn captured(&self, source: State, hasher: &blake3::Hasher, copy: State) -> Captured {
        Captured {
            source,
            is_settled: source.is_settled(self.tree.seen),
            contents: hasher.finalize().to_hex()[..32].to_owned(),
            copy,
        }
    }

    /// Gives the directories the access of their sources, deepest first.
    fn open_directories(&mut self) -> Result<(), FilesError> {
        let entries = self.tree.entries.iter().rev();
        let directories = entries.filter(|(_, Entry { state, .. })| state.kind().is_dir());
        for (path, entry) in directories {
            let place = self.tree.base.directory(path)?;
            if place.state != entry.state {
                return Err(FilesError::Changed(self.tree.base.path.join(path)));
            }
            let access = self.access_of(&place.descriptor, path, entry.state)?;
            if let Some(to) = self.to {
                File::open(to.join(path))
                    .and_then(|copy| access.give_for(For::Directory, &copy))
                    .map_err(|source| not_copied(self.tree, path, to, source))?;
            }
            self.access.insert(path.clone(), access);
        }
        Ok(())
    }

    fn hash(&self, hasher: &mut blake3::Hasher) {
        for (path, entry) in &self.tree.entries {
            hash_path(path, hasher);
            match (&entry.target, self.access.get(path)) {
                (Some(target), _) => hash_path(target, hasher),
                (None, access) => {
                    let contents = self.manifest.contents(path).unwrap_or("directory");
                    hash_path(Path::new(contents), hasher);
                    if let Some(access) = access {
                        access.hash(hasher);
                    }
                }
            }
        }
        // So that its digest differs from one with other files.
        hasher.update(&(self.tree.entries.len() as u64).to_le_bytes());
    }
}

fn not_copied(tree: &Tree, path: &Path, to: &Path, source: io::Error) -> FilesError {
    FilesError::Copy {
        path: tree.base.path.join(path),
        to: to.to_owned(),
        source,
    }
}

/// Whether two releases may share a copy. It must be ours and read-only, so that an app which writes to its files by
/// mistake is refused; an app that is root is not, and gets its own copy.
fn may_share(copy: &State, us: u32, app_is_root: bool) -> bool {
    copy.owner == us && copy.permissions() & 0o222 == 0 && !app_is_root
}

#[allow(
    clippy::useless_conversion,
    clippy::cast_possible_wrap,
    reason = "the types differ between systems"
)]
fn times_of(stat: &Stat) -> Timestamps {
    let modified = Timespec {
        tv_sec: stat.st_mtime.into(),
        tv_nsec: stat.st_mtime_nsec as _,
    };
    Timestamps {
        last_access: modified,
        last_modification: modified,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_copy_that_nobody_writes_into_is_shared() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "x").unwrap();
        let us = geteuid().as_raw();
        for (mode, owner, app_is_root, expected) in [
            (0o444, us, false, true),
            (0o400, us, false, true),
            (0o644, us, false, false),
            (0o464, us, false, false),
            (0o444, us + 1, false, false),
            (0o444, us, true, false),
        ] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let state = State::of(&rustix::fs::lstat(&path).unwrap());
            assert_eq!(may_share(&state, owner, app_is_root), expected, "{mode:o}");
        }
    }
}
