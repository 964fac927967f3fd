//! Directory of the files: opened level by level below the common one, through no symbolic link, and read only with the
//! rights of every user who controls its contents.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Access as Rights, Dir, Mode, OFlags, fstat, openat};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::error::FilesError;
use super::state::State;
use crate::capture::found_file::{descriptor_path, reopen};
use crate::resolve_path::{LOOK, resolve_path};
use crate::user::{User, is_outside, may};

/// The common directory.
#[derive(Debug)]
pub(super) struct FilesRoot {
    pub(super) path: PathBuf,
    descriptor: File,
    choosers: Vec<Chooser>,
}

/// A user who controls what is at a place, and what that user owns there. Root must not read for this user more than the
/// user may.
#[derive(Debug, Clone)]
struct Chooser {
    user: Arc<User>,
    number: u32,
    of: PathBuf,
}

/// A directory that was found, and not opened for reading.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    pub(super) state: State,
    pub(super) descriptor: File,
    choosers: Vec<Chooser>,
}

impl FilesRoot {
    /// Follows `path`, including links: the spec names it.
    pub(super) fn at(path: &Path) -> Result<Self, FilesError> {
        let walk = resolve_path(path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => FilesError::Missing(path.to_owned()),
            _ => FilesError::Read {
                path: path.to_owned(),
                source,
            },
        })?;
        if !walk.end.kind().is_dir() {
            return Err(FilesError::NotADirectory(path.to_owned()));
        }
        let mut choosers = Vec::new();
        for level in walk.levels.iter().chain([&walk.end]) {
            add(&mut choosers, level.owner(), &level.path);
        }
        Ok(Self {
            path: walk.end.path,
            descriptor: walk.end.descriptor,
            choosers,
        })
    }

    /// The directory at a path below; the base itself for an empty path.
    ///
    /// # Errors
    /// [`FilesError::Changed`] where it is none any more.
    pub(super) fn directory(&self, below: &Path) -> Result<Place, FilesError> {
        let mut path = self.path.clone();
        let mut choosers = self.choosers.clone();
        let mut descriptor = self
            .descriptor
            .try_clone()
            .map_err(|source| read(&path, source))?;
        for name in below {
            path.push(name);
            let flags = LOOK | OFlags::NOFOLLOW | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let opened = openat(&descriptor, name, flags, Mode::empty());
            descriptor = File::from(opened.map_err(|_| FilesError::Changed(path.clone()))?);
            let owner = State::of(&fstat(&descriptor).map_err(|error| read(&path, error.into()))?);
            add(&mut choosers, owner.owner, &path);
        }
        let stat = fstat(&descriptor).map_err(|error| read(&path, error.into()))?;
        Ok(Place {
            path,
            state: State::of(&stat),
            descriptor,
            choosers,
        })
    }
}

impl Place {
    /// Checks that every user who controls it may access its contents.
    pub(super) fn check_search(&self) -> Result<(), FilesError> {
        let path = descriptor_path(self.descriptor.as_fd());
        self.as_choosers(|| match may(&path, Rights::EXEC_OK) {
            true => Ok(()),
            false => Err(Stopped::at(&self.path, Errno::ACCESS)),
        })
    }

    /// The names in it, sorted.
    pub(super) fn names(&self) -> Result<Vec<OsString>, FilesError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        // By this name, so that the opener must be allowed to search it as well.
        let opened = self.as_choosers(|| {
            openat(&self.descriptor, ".", flags, Mode::empty())
                .map_err(|error| Stopped::at(&self.path, error))
        })?;
        let fail = |error: Errno| read(&self.path, error.into());
        let mut names = Vec::new();
        for entry in Dir::new(opened).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." {
                names.push(name.to_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Opens some of its files for reading, which were found in these states.
    ///
    /// # Errors
    /// [`FilesError::Changed`] where one of them is not what was found.
    pub(super) fn open(&self, files: &[(&OsStr, State)]) -> Result<Vec<File>, FilesError> {
        let mut found = Vec::new();
        for (name, then) in files {
            let path = self.path.join(name);
            let flags = LOOK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let opened = openat(&self.descriptor, *name, flags, Mode::empty());
            let opened = File::from(opened.map_err(|_| FilesError::Changed(path.clone()))?);
            let stat = fstat(&opened).map_err(|error| read(&path, error.into()))?;
            if State::of(&stat) != *then {
                return Err(FilesError::Changed(path));
            }
            found.push((path, opened));
        }
        self.as_choosers(|| {
            let files = found.iter().map(|(path, file)| {
                reopen(file.as_fd()).map_err(|source| Stopped {
                    path: path.clone(),
                    source,
                })
            });
            files.collect()
        })
    }

    /// The result of `work` with the rights of each user who controls the place; with our own if nobody else does.
    fn as_choosers<T: Send>(
        &self,
        work: impl Fn() -> Result<T, Stopped> + Sync,
    ) -> Result<T, FilesError> {
        let mut done = None;
        for Chooser { user, of, .. } in &self.choosers {
            match user.with_rights(&work) {
                Ok(Ok(result)) => done = Some(result),
                Ok(Err(stopped)) if stopped.source.kind() == io::ErrorKind::PermissionDenied => {
                    return Err(FilesError::NotForOwner {
                        path: stopped.path,
                        owner: user.name.clone(),
                        of: of.clone(),
                    });
                }
                Ok(Err(stopped)) => return Err(read(&stopped.path, stopped.source)),
                Err(source) => return Err(read(&self.path, source)),
            }
        }
        match done {
            Some(done) => Ok(done),
            None => work().map_err(|stopped| read(&stopped.path, stopped.source)),
        }
    }
}

/// Where an operation failed.
#[derive(Debug)]
struct Stopped {
    path: PathBuf,
    source: io::Error,
}

impl Stopped {
    fn at(path: &Path, error: Errno) -> Self {
        Self {
            path: path.to_owned(),
            source: error.into(),
        }
    }
}

fn add(choosers: &mut Vec<Chooser>, owner: u32, of: &Path) {
    let is_new = choosers.iter().all(|chooser| chooser.number != owner);
    if owner != 0 && is_new && geteuid().is_root() && !is_outside(owner) {
        choosers.push(Chooser {
            user: Arc::new(User::of_number(owner)),
            number: owner,
            of: of.to_owned(),
        });
    }
}

pub(super) fn read(path: &Path, source: io::Error) -> FilesError {
    FilesError::Read {
        path: path.to_owned(),
        source,
    }
}
