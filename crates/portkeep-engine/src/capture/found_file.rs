//! File of a release: found once, checked, and read through the descriptor that it was found with.

use std::fs::{File, FileType, Metadata};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access as Rights, OFlags};
use rustix::process::geteuid;

use super::access::Access;
use super::error::{CaptureError, NotForOwner};
use super::file_states::Identity;
use crate::resolve_path::{Level, ResolvedPath, resolve_path};
use crate::user::{RunsAs, User, group_name, is_outside, may, name_of};

/// No program is larger, and a sparse file may be larger than any disk.
pub(super) const LARGEST: u64 = 4 << 30;

/// Size of the pieces in which a file is searched.
const PIECE: usize = 1 << 20;

/// A file that a path led to, not opened for reading yet.
#[derive(Debug)]
pub(super) struct FoundFile {
    resolved: ResolvedPath,
}

/// A regular file, open to be read.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) path: PathBuf,
    /// The name that it was reached by: see [`ResolvedPath::named`].
    pub(super) named: PathBuf,
    pub(super) file: File,
    pub(super) metadata: Metadata,
}

impl FoundFile {
    /// Follows `path`. Nothing is opened: a FIFO does not block, and no device is woken.
    ///
    /// # Errors
    /// When nothing is there, or it cannot be got to.
    pub(super) fn at(path: &Path) -> Result<Self, CaptureError> {
        match resolve_path(path) {
            Ok(resolved) => Ok(Self { resolved }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(CaptureError::Missing(path.to_owned()))
            }
            Err(source) => Err(CaptureError::Io {
                path: path.to_owned(),
                source,
            }),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.resolved.end.path
    }

    /// See [`ResolvedPath::named`].
    pub(super) fn named(&self) -> &Path {
        &self.resolved.named
    }

    pub(super) fn is_regular(&self) -> bool {
        self.resolved.end.kind().is_file()
    }

    pub(super) fn identity(&self) -> Identity {
        Identity::from(&self.resolved.end.metadata)
    }

    pub(super) fn size(&self) -> u64 {
        self.resolved.end.metadata.len()
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.resolved.end.descriptor.as_fd()
    }

    pub(super) fn not_a_file(&self) -> CaptureError {
        CaptureError::NotAFile {
            // As it was given: only a link's owner may see where it leads.
            path: self.resolved.named.clone(),
            kind: kind_name(self.resolved.end.kind()),
        }
    }

    /// Opens it if it is a regular file of no more than [`LARGEST`], and every user who controls where the path leads may
    /// read it. If it is to be run, they must be allowed to execute it too.
    ///
    /// # Errors
    /// When it is not, with the remedy.
    pub(super) fn open(self, rights: Rights) -> Result<Opened, CaptureError> {
        let end = &self.resolved.end;
        if !self.is_regular() {
            return Err(self.not_a_file());
        }
        let mut file = None;
        if geteuid().is_root() {
            for (chooser, level) in self.choosers() {
                file = Some(self.open_as(chooser, level, rights)?);
            }
        }
        let fail = |source| CaptureError::Io {
            path: end.path.clone(),
            source,
        };
        let file = file.map_or_else(|| reopen(end.descriptor.as_fd()).map_err(fail), Ok)?;
        let metadata = file.metadata().map_err(fail)?;
        if metadata.len() > LARGEST {
            return Err(CaptureError::TooLarge {
                path: end.path.clone(),
                bytes: metadata.len(),
            });
        }
        Ok(Opened {
            path: self.resolved.end.path,
            named: self.resolved.named,
            file,
            metadata,
        })
    }

    /// Users other than root who own a directory or link on the path, each with the first one: they control where it leads,
    /// and root would read for them what they may not.
    fn choosers(&self) -> Vec<(u32, usize)> {
        let mut choosers: Vec<(u32, usize)> = Vec::new();
        for (at, level) in self.resolved.levels.iter().enumerate() {
            let is_new = choosers.iter().all(|(owner, _)| *owner != level.owner());
            if level.owner() != 0 && is_new && !is_outside(level.owner()) {
                choosers.push((level.owner(), at));
            }
        }
        choosers
    }

    /// Opens it with the rights of one of them, who must reach it from the first place that this user controls.
    fn open_as(&self, chooser: u32, from: usize, rights: Rights) -> Result<File, CaptureError> {
        let user = User::of_number(chooser);
        let opened = user.with_rights(|| {
            let blocked = self.resolved.levels[from + 1..]
                .iter()
                .filter(|level| level.kind().is_dir())
                .find(|level| !may(&by_descriptor(level), Rights::EXEC_OK));
            if let Some(level) = blocked {
                return Err(level);
            }
            let end = &self.resolved.end;
            let file = reopen(end.descriptor.as_fd()).map_err(|_| end)?;
            may(&by_descriptor(end), rights).then_some(file).ok_or(end)
        });
        let chooses = &self.resolved.levels[from];
        match opened {
            Ok(Ok(file)) => Ok(file),
            Ok(Err(level)) => Err(CaptureError::NotForOwner(Box::new(NotForOwner {
                path: self.resolved.end.path.clone(),
                owner: user.name,
                of: chooses.path.clone(),
                at: level.path.clone(),
                mode: level.mode(),
                at_owner: name_of(level.owner()),
                at_group: group_name(level.group()),
            }))),
            Err(source) => Err(CaptureError::Rights {
                path: self.resolved.end.path.clone(),
                user: user.name,
                source,
            }),
        }
    }
}

impl Opened {
    pub(super) fn identity(&self) -> Identity {
        Identity::from(&self.metadata)
    }

    /// Whether nobody wrote to it since it was opened.
    pub(super) fn is_unchanged(&self) -> bool {
        self.file
            .metadata()
            .is_ok_and(|now| Identity::from(&now) == self.identity())
    }

    pub(super) fn access(&self) -> Access {
        Access::of(&self.file, &self.metadata)
    }

    /// A path to exactly the opened file.
    pub(super) fn by_descriptor(&self) -> PathBuf {
        descriptor_path(self.file.as_fd())
    }

    /// Whether it contains these bytes.
    pub(super) fn contains(&self, bytes: &[u8]) -> bool {
        let mut buffer = vec![0; PIECE];
        let (mut kept, mut at) = (0, 0);
        let finder = memchr::memmem::Finder::new(bytes);
        while let Ok(read @ 1..) = self.file.read_at(&mut buffer[kept..], at) {
            at += read as u64;
            let there = kept + read;
            if finder.find(&buffer[..there]).is_some() {
                return true;
            }
            // They may be in two pieces.
            kept = there.min(bytes.len().saturating_sub(1));
            buffer.copy_within(there - kept..there, 0);
        }
        false
    }

    /// Whether an interpreter runs it.
    pub(super) fn is_script(&self) -> bool {
        let mut start = [0; 2];
        let read = self.file.read_at(&mut start, 0);
        read.is_ok_and(|length| length == 2 && start == *b"#!")
    }

    /// Refuses a file that the app could not execute. An interpreter has to read a script; only the kernel reads a program.
    pub(super) fn check_for(&self, runs_as: &RunsAs, in_place: bool) -> Result<(), CaptureError> {
        let user = match runs_as.other_user() {
            Some(user) if geteuid().is_root() => user,
            _ => return Ok(()),
        };
        let rights = if self.is_script() {
            Rights::EXEC_OK | Rights::READ_OK
        } else {
            Rights::EXEC_OK
        };
        let path = if in_place {
            self.path.clone()
        } else {
            self.by_descriptor()
        };
        match user.with_rights(|| may(&path, rights)) {
            Ok(false) => Err(CaptureError::NotForApp {
                path: self.path.clone(),
                user: user.name,
                mode: self.metadata.mode() & 0o7777,
                owner: name_of(self.metadata.uid()),
                group: group_name(self.metadata.gid()),
            }),
            // If this cannot be checked, the start will show it.
            Ok(true) | Err(_) => Ok(()),
        }
    }
}

/// Opens the file of a descriptor again, for reading.
pub(super) fn reopen(descriptor: BorrowedFd<'_>) -> io::Result<File> {
    // It is a regular file; the flags guard against others a second time.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    File::options()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(descriptor_path(descriptor))
}

fn by_descriptor(level: &Level) -> PathBuf {
    descriptor_path(level.descriptor.as_fd())
}

pub(super) fn descriptor_path(descriptor: BorrowedFd<'_>) -> PathBuf {
    // On systems other than Linux, `/dev/fd` is the same.
    let directory = if cfg!(target_os = "linux") {
        "/proc/self/fd"
    } else {
        "/dev/fd"
    };
    Path::new(directory).join(descriptor.as_raw_fd().to_string())
}

fn kind_name(kind: FileType) -> &'static str {
    if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else if kind.is_char_device() || kind.is_block_device() {
        "a device"
    } else {
        "something else"
    }
}
