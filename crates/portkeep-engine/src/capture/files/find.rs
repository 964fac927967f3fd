//! Finds the files that match a spec's patterns, and checks them before any is read.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use portkeep_spec::Spec;
use rustix::fs::{AtFlags, FileType, readlinkat, statat};
use rustix::io::Errno;

use super::error::FilesError;
use super::links::{self, Named, Wrong};
use super::patterns::{PatternProgress, Patterns, Verdict};
use super::place::{FilesRoot, Place, read};
use super::state::{State, kind_name};

/// The files that match the patterns of a spec, and their states.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(super) base: FilesRoot,
    /// By path below the base: each directory comes before its contents.
    pub(super) entries: BTreeMap<PathBuf, Entry>,
    /// The time of the look.
    pub(super) seen: SystemTime,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) state: State,
    /// The target of a link.
    pub(super) target: Option<PathBuf>,
}

impl Tree {
    /// Finds the files of `spec`; nothing if it has none.
    ///
    /// # Errors
    /// When there is something that no release can bring.
    pub(crate) fn find(spec: &Spec) -> Result<Option<Self>, FilesError> {
        if spec.files.is_empty() {
            return Ok(None);
        }
        let from = spec.files_from.as_ref().ok_or(FilesError::NoDirectory)?;
        let seen = SystemTime::now();
        let base = FilesRoot::at(from)?;
        let entries = Search::new(spec, &base).run()?;
        let tree = Self {
            base,
            entries,
            seen,
        };
        tree.check_links()?;
        Ok(Some(tree))
    }

    /// Digest of the states of all files.
    pub(crate) fn digest(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for (path, Entry { state, target }) in &self.entries {
            for path in [Some(path), target.as_ref()].into_iter().flatten() {
                hash_path(path, &mut hasher);
            }
            state.hash(&mut hasher);
        }
        hasher.finalize().to_hex()[..32].to_owned()
    }

    /// The first file whose state differs from that in `before`.
    pub(crate) fn first_difference(&self, before: &Self) -> Option<PathBuf> {
        let differs = |path: &&PathBuf| self.entries.get(*path) != before.entries.get(*path);
        let mut paths = self.entries.keys().chain(before.entries.keys());
        paths.find(differs).map(|path| self.base.path.join(path))
    }

    fn check_links(&self) -> Result<(), FilesError> {
        let named = self.entries.iter().map(|(path, entry)| {
            let named = match &entry.target {
                Some(target) => Named::Link(target),
                None if entry.state.kind().is_dir() => Named::Directory,
                None => Named::File,
            };
            (path.as_path(), named)
        });
        let named: BTreeMap<_, _> = named.collect();
        for (link, entry) in &self.entries {
            let Some(target) = entry.target.clone() else {
                continue;
            };
            let path = self.base.path.join(link);
            match links::follow(&named, link) {
                Ok(()) => {}
                Err(Wrong::LeadsNowhere) => return Err(FilesError::LeadsNowhere { path, target }),
                Err(Wrong::Loop) => return Err(FilesError::Loop { path, target }),
                Err(Wrong::LeadsOut) => {
                    return Err(FilesError::LeadsOut {
                        path,
                        target,
                        from: self.base.path.clone(),
                    });
                }
            }
        }
        Ok(())
    }
}

/// With its length, so that two lists of paths never give the same input.
pub(super) fn hash_path(path: &Path, hasher: &mut blake3::Hasher) {
    let text = path.as_os_str().as_encoded_bytes();
    hasher.update(&(text.len() as u64).to_le_bytes());
    hasher.update(text);
}

/// A search in progress.
struct Search<'a> {
    spec: &'a Spec,
    base: &'a FilesRoot,
    patterns: Patterns,
    entries: BTreeMap<PathBuf, Entry>,
    /// Directories that patterns pass through.
    passed: BTreeMap<PathBuf, Entry>,
    bytes: u64,
    largest: (u64, PathBuf),
}

impl<'a> Search<'a> {
    fn new(spec: &'a Spec, base: &'a FilesRoot) -> Self {
        Self {
            spec,
            base,
            patterns: Patterns::new(&spec.files),
            entries: BTreeMap::new(),
            passed: BTreeMap::new(),
            bytes: 0,
            largest: (0, PathBuf::new()),
        }
    }

    fn run(mut self) -> Result<BTreeMap<PathBuf, Entry>, FilesError> {
        let mut pending = vec![(PathBuf::new(), self.patterns.start())];
        while let Some((path, reached)) = pending.pop() {
            self.look_into(&path, &reached, &mut pending)?;
        }
        let paths = || self.entries.keys().map(PathBuf::as_path);
        if let Some(unused) = self.patterns.first_without(paths) {
            return Err(FilesError::Nothing {
                pattern: self.spec.files[unused].clone(),
                from: self.base.path.clone(),
            });
        }
        let brought: Vec<_> = self.entries.keys().cloned().collect();
        for above in brought.iter().flat_map(|path| path.ancestors().skip(1)) {
            if let Some(entry) = self.passed.remove(above) {
                self.entries.insert(above.to_owned(), entry);
            }
        }
        Ok(self.entries)
    }

    fn look_into(
        &mut self,
        path: &Path,
        reached: &PatternProgress,
        pending: &mut Vec<(PathBuf, PatternProgress)>,
    ) -> Result<(), FilesError> {
        let place = self.base.directory(path)?;
        let names = match self.patterns.names(reached) {
            Some(names) => {
                place.check_search()?;
                names.into_iter().map(OsString::from).collect()
            }
            None => place.names()?,
        };
        if *reached == PatternProgress::All {
            self.check_count(names.len(), path)?;
        }
        for name in names {
            let below = path.join(&name);
            let shown = self.base.path.join(&below);
            let Some(text) = name.to_str() else {
                if *reached == PatternProgress::All {
                    return Err(FilesError::NotText(shown));
                }
                continue;
            };
            let verdict = self.patterns.judge(reached, text);
            if verdict == Verdict::LeftOut {
                continue;
            }
            let state = match statat(&place.descriptor, &name, AtFlags::SYMLINK_NOFOLLOW) {
                // A missing name is reported at the end, with its pattern.
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(read(&shown, error.into())),
                Ok(stat) => State::of(&stat),
            };
            match (verdict, state.kind()) {
                (Verdict::Brought, FileType::Directory) => {
                    self.add(&below, Entry::at(state), path)?;
                    pending.push((below, PatternProgress::All));
                }
                (Verdict::Brought, _) => {
                    let entry = Entry::of(&place, &name, state, shown)?;
                    self.add(&below, entry, path)?;
                }
                (Verdict::Passed(next), FileType::Directory) => {
                    self.passed.insert(below.clone(), Entry::at(state));
                    pending.push((below, next));
                }
                (Verdict::Passed(_), FileType::Symlink) => {
                    if let Some(pattern) = self.patterns.that_names(reached, text) {
                        let pattern = self.spec.files[pattern].clone();
                        return Err(FilesError::ThroughALink {
                            path: shown,
                            pattern,
                        });
                    }
                }
                (Verdict::Passed(_) | Verdict::LeftOut, _) => {}
            }
        }
        Ok(())
    }

    fn add(&mut self, path: &Path, entry: Entry, directory: &Path) -> Result<(), FilesError> {
        let size = entry.state.size;
        self.bytes = self.bytes.saturating_add(size);
        if size >= self.largest.0 {
            self.largest = (size, self.base.path.join(path));
        }
        self.entries.insert(path.to_owned(), entry);
        if self.bytes > self.spec.files_max_size.bytes() {
            let (bytes, largest) = std::mem::take(&mut self.largest);
            return Err(FilesError::TooLarge {
                from: self.base.path.clone(),
                largest,
                bytes,
                limit: self.spec.files_max_size,
            });
        }
        self.check_count(0, directory)
    }

    fn check_count(&self, more: usize, directory: &Path) -> Result<(), FilesError> {
        let limit = self.spec.files_max_count;
        let count = u32::try_from(self.entries.len() + more).unwrap_or(u32::MAX);
        if count <= limit {
            return Ok(());
        }
        let mut counts = BTreeMap::from([(directory, more)]);
        for directory in self.entries.keys().filter_map(|path| path.parent()) {
            *counts.entry(directory).or_default() += 1;
        }
        let most = counts.into_iter().max_by_key(|(_, count)| *count);
        let most = most.map_or(directory, |(most, _)| most);
        Err(FilesError::TooMany {
            from: self.base.path.clone(),
            most: self.base.path.join(most),
            limit,
        })
    }
}

impl Entry {
    fn at(state: State) -> Self {
        Self {
            state,
            target: None,
        }
    }

    /// A file or a link in a directory.
    fn of(place: &Place, name: &OsStr, state: State, path: PathBuf) -> Result<Self, FilesError> {
        match state.kind() {
            FileType::RegularFile => Ok(Self::at(state)),
            FileType::Symlink => {
                let target = readlinkat(&place.descriptor, name, Vec::new())
                    .map_err(|_| FilesError::Changed(path))?;
                let target = OsString::from_vec(target.into_bytes());
                Ok(Self {
                    state,
                    target: Some(target.into()),
                })
            }
            kind => Err(FilesError::NotAFile {
                path,
                kind: kind_name(kind),
            }),
        }
    }
}
