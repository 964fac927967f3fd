//! Captures the release that the spec describes now: find, open once, judge, copy, digest.
//!
//! Root captures for the owner of a build only what the owner could read himself. What a path leads to is opened once, with
//! the rights of everybody who controls where it leads. Type, size, digest and copy are those of the opened file, and a
//! copy is never more accessible than its source. A file that replaces another one meanwhile belongs to the next build.

mod access;
mod built;
mod clock;
mod contents;
mod error;
mod file_states;
mod files;
mod found_file;
mod parameters;
mod place;
mod settings_file;

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use portkeep_spec::Spec;
use rustix::fs::Access as Rights;

pub(crate) use access::Access;
pub(crate) use built::Built;
pub(crate) use clock::LIMIT;
pub use error::{CaptureError, NotForOwner};
pub(crate) use file_states::{FileStates, program_at};
pub use files::FilesError;
pub(crate) use files::{MANIFEST, Manifest, ReleaseFiles};
pub(crate) use parameters::Parameters;

use clock::Clock;
use file_states::FoundFiles;
use files::{FilesContext, Tree};
use found_file::{FoundFile, Opened};

use crate::release::{Digest, Release};
use crate::store::{Key, Store};
use crate::user::RunsAs;

/// Number of attempts on a file that changes while it is copied.
const ATTEMPTS: u32 = 50;
/// Pause between attempts, so that we do not compete with the writer for the disk.
const PAUSE: Duration = Duration::from_millis(20);

/// Input of a capture besides the files.
#[derive(Debug)]
pub(crate) struct Order<'a> {
    pub(crate) spec: &'a Spec,
    pub(crate) parameters: Parameters,
    /// The user that will run it.
    pub(crate) runs_as: RunsAs,
    /// The key of its digest.
    pub(crate) key: Key,
}

/// Captures what the spec describes, or returns one of `known` if nothing has changed since that was captured.
///
/// # Errors
/// When the executable is missing, not executable, still being written, or not allowed to those who control its path.
pub(crate) fn capture(
    order: &Order<'_>,
    store: &Store,
    known: &[Release],
) -> Result<Release, CaptureError> {
    let clock = Clock::of(LIMIT);
    let mut path = PathBuf::new();
    let before = known.iter().find_map(files::of_release);
    for _ in 0..ATTEMPTS {
        let seen = match FoundFiles::at(order.spec) {
            Err(CaptureError::Files(FilesError::Changed(changed))) => {
                path = changed;
                std::thread::sleep(PAUSE);
                continue;
            }
            seen => seen?,
        };
        let states = seen.states();
        if let Some(known) = known
            .iter()
            .find(|known| known.is_made_of(&states, &order.parameters))
        {
            return Ok(known.clone());
        }
        if path.as_os_str().is_empty() {
            path = states.executable().to_owned();
        }
        if clock.is_over() {
            return Err(clock.too_slow(&path));
        }
        let files = Files::open(seen)?;
        files.check(order)?;
        match files.capture(order, store, clock, before.as_ref()) {
            Err(CaptureError::Files(FilesError::Changed(changed))) => path = changed,
            // The build's directory, or our own, was removed meanwhile: try again.
            Err(
                CaptureError::Io { source, .. }
                | CaptureError::Copy { source, .. }
                | CaptureError::Files(FilesError::Copy { source, .. }),
            ) if source.kind() == io::ErrorKind::NotFound => {}
            Err(
                CaptureError::Io { source, path }
                | CaptureError::Copy {
                    source, from: path, ..
                }
                | CaptureError::Files(FilesError::Copy { source, path, .. }),
            ) if source.kind() == io::ErrorKind::TimedOut => {
                return Err(clock.too_slow(&path));
            }
            Err(error) => return Err(error),
            Ok(Captured {
                digest,
                executable,
                files: brought,
            }) => {
                let now = FoundFiles::at(order.spec);
                if files.are_unchanged() && now.as_ref().is_ok_and(|now| now.states() == states) {
                    let named = (executable == files.executable.path)
                        .then(|| files.executable.named.clone());
                    let built = files.built(order, store, clock);
                    let release =
                        Release::new(digest, executable, states, order.parameters.clone());
                    return Ok(release.called(named).with_files(brought).built_at(built));
                }
                let now = now.ok().and_then(|now| now.files);
                if let (Some(now), Some(before)) = (now, &files.tree) {
                    path = now.first_difference(before).unwrap_or(path);
                }
            }
        }
        std::thread::sleep(PAUSE);
    }
    Err(CaptureError::StillBeingWritten(path))
}

/// The executable that a handover would run now.
///
/// # Errors
/// When it is missing, empty or not executable: a handover would be refused for the same reason.
pub fn executable_of(spec: &Spec) -> Result<Executable, CaptureError> {
    let files = Files::open(FoundFiles::at(spec)?)?;
    files.executable.check()?;
    let runs_in_place = files.runs_in_place();
    Ok(Executable {
        path: files.executable.path,
        runs_in_place,
    })
}

/// Whether the file of `exec`'s program contains `mark`. False if that is unknown: the program is missing, or an
/// interpreter runs it.
#[must_use]
pub(crate) fn has_mark(spec: &Spec, mark: &str) -> bool {
    let found = spec
        .exec
        .first()
        .map(|program| file_states::resolve(program));
    let opened = found.and_then(|found| found.ok()?.open(rustix::fs::Access::EXEC_OK).ok());
    opened.is_some_and(|opened| opened.contains(mark.as_bytes()))
}

/// An executable that a handover would run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executable {
    /// Its path.
    pub path: PathBuf,
    /// True if it runs there; else the store has a copy.
    pub runs_in_place: bool,
}

/// The digest of the release that a handover would capture now. Stores nothing. Files that `before` brings and that have
/// not changed are not read again.
///
/// # Errors
/// When a handover would be refused for its executable or its files.
pub(crate) fn digest_of(
    spec: &Spec,
    parameters: &Parameters,
    key: &Key,
    before: &Release,
) -> Result<Digest, CaptureError> {
    let clock = Clock::of(LIMIT);
    let files = Files::open(FoundFiles::at(spec)?)?;
    files.executable.check()?;
    let mut hasher = blake3::Hasher::new_keyed(key);
    files.executable.digest(clock, &mut hasher)?;
    files.digest_others(clock, &mut hasher)?;
    if let Some(tree) = &files.tree {
        let before = files::of_release(before);
        let how = FilesContext {
            runs_as: &RunsAs::Us,
            key,
            clock,
            before: before.as_ref(),
        };
        tree.digest_contents(&how, &mut hasher)?;
    }
    Ok(finished(parameters, hasher))
}

/// The digest of a release whose files are in `hasher`.
fn finished(parameters: &Parameters, mut hasher: blake3::Hasher) -> Digest {
    parameters.hash(&mut hasher);
    Digest(hasher.finalize().to_hex()[..32].to_owned())
}

/// The opened files of a release.
#[derive(Debug)]
struct Files {
    executable: Opened,
    /// The program of the release command. It runs where it is.
    releaser: Option<Opened>,
    others: Vec<Opened>,
    /// Not opened yet: there may be many.
    tree: Option<Tree>,
}

/// A captured release: its digest, and the paths of its files.
#[derive(Debug)]
struct Captured {
    digest: Digest,
    executable: PathBuf,
    files: Option<ReleaseFiles>,
}

impl Files {
    fn open(seen: FoundFiles) -> Result<Self, CaptureError> {
        let others = seen.others.into_iter();
        let program = |found: FoundFile| found.open(Rights::READ_OK | Rights::EXEC_OK);
        Ok(Self {
            executable: program(seen.executable)?,
            releaser: seen.releaser.map(program).transpose()?,
            others: others
                .map(|other| other.open(Rights::READ_OK))
                .collect::<Result<_, _>>()?,
            tree: seen.files,
        })
    }

    fn check(&self, order: &Order<'_>) -> Result<(), CaptureError> {
        let releaser = self.releaser.iter().map(|program| (program, true));
        for (program, in_place) in [(&self.executable, self.runs_in_place())]
            .into_iter()
            .chain(releaser)
        {
            program.check()?;
            if in_place
                && order.runs_as != RunsAs::Us
                && place::is_hidden(order.spec, &program.path)
            {
                return Err(CaptureError::Hidden(program.path.clone()));
            }
            program.check_for(&order.runs_as, in_place)?;
        }
        Ok(())
    }

    fn runs_in_place(&self) -> bool {
        let Opened { path, named, .. } = &self.executable;
        place::runs_in_place(path, named, self.executable.is_script())
    }

    /// The name beside the build that `portkeep dev` runs.
    fn built(&self, order: &Order<'_>, store: &Store, clock: Clock) -> Option<Built> {
        let is_ours = order.runs_as == RunsAs::Us && !self.runs_in_place();
        let path = is_ours.then(|| store.built(&self.executable.path))??;
        Built::of(path, &self.executable, clock)
    }

    fn are_unchanged(&self) -> bool {
        self.beside()
            .chain([&self.executable])
            .all(Opened::is_unchanged)
    }

    /// The files of the release except for its executable.
    fn beside(&self) -> impl Iterator<Item = &Opened> {
        self.releaser.iter().chain(&self.others)
    }

    fn digest_others(&self, clock: Clock, hasher: &mut blake3::Hasher) -> Result<(), CaptureError> {
        self.beside()
            .try_for_each(|other| other.digest(clock, hasher))
    }

    /// Digests the release, and puts its executable where no build overwrites it.
    fn capture(
        &self,
        order: &Order<'_>,
        store: &Store,
        clock: Clock,
        before: Option<&(PathBuf, Manifest)>,
    ) -> Result<Captured, CaptureError> {
        let source = &self.executable;
        let copying = |error| CaptureError::Copy {
            from: source.path.clone(),
            to: store.releases_directory(),
            source: error,
        };
        let in_place = self.runs_in_place();
        let staging = match in_place && self.tree.is_none() {
            true => None,
            false => Some(store.stage().map_err(copying)?),
        };
        let staged = |name: &str| staging.as_ref().map(|staging| staging.path().join(name));
        let mut hasher = blake3::Hasher::new_keyed(&order.key);
        let staged_executable = staged("executable").filter(|_| !in_place);
        match &staged_executable {
            None => source.digest(clock, &mut hasher)?,
            Some(staged)
                if store.may_share(&source.path, &source.metadata)
                    && source.link_to(staged).is_ok() =>
            {
                source.digest(clock, &mut hasher)?;
            }
            Some(staged) => {
                // Nobody else can enter its directory until the release is kept.
                let copy = File::options()
                    .read(true)
                    .write(true)
                    .create_new(true)
                    .open(staged)
                    .map_err(copying)?;
                let size = source.metadata.len();
                contents::copy_and_digest(&source.file, &copy, size, clock, &mut hasher)
                    .and_then(|()| source.access().give(&copy))
                    .map_err(copying)?;
            }
        }
        self.digest_others(clock, &mut hasher)?;
        let staged_files = match (&self.tree, staged("files")) {
            (Some(tree), Some(staged)) => {
                let how = FilesContext {
                    runs_as: &order.runs_as,
                    key: &order.key,
                    clock,
                    before,
                };
                let manifest = tree.capture(&staged, &how, &mut hasher)?;
                Some((staged, manifest))
            }
            _ => None,
        };
        let digest = finished(&order.parameters, hasher);
        let executable = match &staged_executable {
            None => source.path.clone(),
            Some(staged) => {
                let name = source.path.file_name().unwrap_or(OsStr::new("app"));
                store
                    .keep_executable(staged, &digest, name, &source.access())
                    .map_err(copying)?
            }
        };
        let files = staged_files.map(|(staged, manifest)| {
            store
                .keep_files(&staged, &digest, manifest)
                .map(|(kept, manifest)| ReleaseFiles::new(kept, &manifest))
                .map_err(copying)
        });
        Ok(Captured {
            files: files.transpose()?,
            digest,
            executable,
        })
    }
}

impl Opened {
    fn check(&self) -> Result<(), CaptureError> {
        use std::os::unix::fs::MetadataExt;

        if self.metadata.len() == 0 {
            return Err(CaptureError::Empty(self.path.clone()));
        }
        if self.metadata.mode() & 0o111 == 0 {
            return Err(CaptureError::NotExecutable(self.path.clone()));
        }
        Ok(())
    }

    fn digest(&self, clock: Clock, hasher: &mut blake3::Hasher) -> Result<(), CaptureError> {
        contents::digest(&self.file, self.metadata.len(), clock, hasher).map_err(|source| {
            CaptureError::Io {
                path: self.path.clone(),
                source,
            }
        })
    }

    /// Adds a link to the opened file, whatever its name leads to now.
    fn link_to(&self, path: &Path) -> io::Result<()> {
        use rustix::fs::{AtFlags, CWD, linkat};

        linkat(
            CWD,
            self.by_descriptor(),
            CWD,
            path,
            AtFlags::SYMLINK_FOLLOW,
        )?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
