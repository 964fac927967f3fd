//! Directories of generations, and the link to the current one.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use portkeep_spec::{contract, environment_file};

use super::releases::{read_release, write_release};
use super::write::PRIVATE;
use super::{Store, atomic_symlink, atomic_write};
use crate::directories::{TRAVERSED, make};
use crate::generation::Generation;
use crate::release::{Digest, Release};

impl Store {
    pub(super) fn generations_directory(&self) -> PathBuf {
        self.run.join("generations")
    }

    /// The directory of one generation.
    #[must_use]
    pub fn generation_directory(&self, generation: Generation) -> PathBuf {
        self.generations_directory().join(generation.to_string())
    }

    /// The symbolic link that the generation's manager executes. It has the app's name, which `ps` and the journal show.
    #[must_use]
    pub fn generation_executable(&self, generation: Generation) -> PathBuf {
        self.generation_directory(generation)
            .join(self.name.as_str())
    }

    /// Generations that have a directory, oldest first.
    #[must_use]
    pub fn generations(&self) -> Vec<Generation> {
        let Ok(entries) = fs::read_dir(self.generations_directory()) else {
            return Vec::new();
        };
        let mut found: Vec<_> = entries
            .filter_map(|entry| {
                entry
                    .ok()?
                    .file_name()
                    .to_str()?
                    .parse()
                    .ok()
                    .map(Generation)
            })
            .collect();
        found.sort_unstable();
        found
    }

    /// A number that no generation has had.
    pub(crate) fn next_generation(&self, running: impl Iterator<Item = Generation>) -> Generation {
        let noted = fs::read_to_string(self.counter_path())
            .ok()
            .and_then(|text| text.trim().parse().ok());
        let known = noted
            .map(Generation)
            .into_iter()
            .chain(self.generations())
            .chain(running);
        known.max().unwrap_or(Generation(0)).next()
    }

    fn counter_path(&self) -> PathBuf {
        self.state.join("last-generation")
    }

    /// Writes what the manager needs to start `generation` with `release`.
    pub(crate) fn prepare(&self, generation: Generation, release: &Release) -> io::Result<()> {
        let directory = self.generation_directory(generation);
        make(&directory, TRAVERSED)?;
        if release.digest.is_holding_page() {
            // Nothing of it is kept, so that it can be shown when the state directory is full or read-only.
            write_release(&directory, release)?;
            self.tell_holding_page(&self.environment_of(generation, release))?;
        } else {
            self.keep_release(release)?;
            self.open_release(&release.digest)?;
            self.show_files(&directory, release)?;
        }
        // The number is recorded before anything runs under it, so that a kill here cannot make it be used twice.
        let counted = atomic_write(
            &self.counter_path(),
            generation.to_string().as_bytes(),
            PRIVATE,
        );
        if let Err(error) = counted {
            // The directory above has the number too, as long as this generation is needed.
            tracing::warn!("the number of generation {generation} could not be noted: {error}");
        }
        self.point(generation, release)?;
        let started_as = self.generation_executable(generation);
        let argv0 = release.argv0().unwrap_or(&started_as);
        let text = environment_file::render(
            &self.environment_of(generation, release),
            &argv0.to_string_lossy(),
            release.arguments(),
        )
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        atomic_write(&directory.join("environment"), text.as_bytes(), PRIVATE)?;
        atomic_write(
            &directory.join("release"),
            release.digest.as_str().as_bytes(),
            PRIVATE,
        )
    }

    /// Points the generation to the present path of its release.
    pub(crate) fn point(&self, generation: Generation, release: &Release) -> io::Result<()> {
        let (link, executable) = (self.generation_executable(generation), release.runs_at());
        match fs::read_link(&link) {
            // Nothing to write: it can be started from a full disk.
            Ok(now) if now == executable => Ok(()),
            _ => atomic_symlink(executable, &link),
        }
    }

    /// The environment of the generation's processes: the release's, and their identity.
    #[must_use]
    pub fn environment_of(
        &self,
        generation: Generation,
        release: &Release,
    ) -> BTreeMap<String, String> {
        let mut environment = release.environment().clone();
        environment.insert(contract::PORTKEEP_NAME.to_owned(), self.name.to_string());
        environment.insert(
            contract::PORTKEEP_GENERATION.to_owned(),
            generation.to_string(),
        );
        environment.insert(
            contract::PORTKEEP_DRAIN_FILES.to_owned(),
            self.drain_files(),
        );
        if let Some(files) = release.files() {
            for (name, path) in [
                (contract::PORTKEEP_RELEASE_DIR, files),
                (contract::PORTKEEP_KEPT_FILES, &self.kept_files_path()),
            ] {
                environment.insert(name.to_owned(), path.to_string_lossy().into_owned());
            }
        }
        environment
    }

    /// The release that `generation` runs.
    #[must_use]
    pub fn release_of(&self, generation: Generation) -> Option<Release> {
        let digest =
            fs::read_to_string(self.generation_directory(generation).join("release")).ok()?;
        let digest = Digest(digest);
        if digest.is_holding_page() {
            return read_release(&self.generation_directory(generation));
        }
        self.release(&digest)
    }

    /// The digest of the release that `generation` runs, without reading the release.
    #[must_use]
    pub fn digest_of(&self, generation: Generation) -> Option<Digest> {
        let path = self.generation_directory(generation).join("release");
        fs::read_to_string(path).ok().map(Digest)
    }

    /// Whether `generation` is a holding page.
    #[must_use]
    pub fn is_holding_page(&self, generation: Generation) -> bool {
        fs::read_to_string(self.generation_directory(generation).join("release"))
            .is_ok_and(|digest| Digest(digest).is_holding_page())
    }

    /// The newest generation that is a holding page: only one runs at a time.
    #[must_use]
    pub fn holding_generation(&self) -> Option<Generation> {
        self.generations()
            .into_iter()
            .rev()
            .find(|generation| self.is_holding_page(*generation))
    }

    /// The environment file of the holding page's own unit: portkeep's variables, and none of the app's.
    fn tell_holding_page(&self, environment: &BTreeMap<String, String>) -> io::Result<()> {
        let ours: BTreeMap<_, _> = environment
            .iter()
            .filter(|(name, _)| name.starts_with("PORTKEEP_"))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let text = environment_file::render(&ours, "", &[])
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let directory = self.run.join(contract::HOLDING);
        make(&directory, TRAVERSED)?;
        atomic_write(
            &directory.join(contract::ENVIRONMENT),
            text.as_bytes(),
            PRIVATE,
        )
    }

    /// The generation that accepts connections, if it runs a release of the app.
    #[must_use]
    pub fn current_app(&self) -> Option<Generation> {
        self.current()
            .filter(|generation| !self.is_holding_page(*generation))
    }

    /// The generation that accepts connections, if one does.
    #[must_use]
    pub fn current(&self) -> Option<Generation> {
        let target = fs::read_link(self.run.join("current")).ok()?;
        target.file_name()?.to_str()?.parse().ok().map(Generation)
    }

    pub(crate) fn switch(&self, generation: Generation) -> io::Result<()> {
        atomic_symlink(
            &Path::new("generations").join(generation.to_string()),
            &self.run.join("current"),
        )
    }

    /// Records that no generation is current any more.
    ///
    /// # Errors
    /// When the link cannot be removed.
    pub fn clear_current(&self) -> io::Result<()> {
        match fs::remove_file(self.run.join("current")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes what is not needed any more: directories of generations that do not run, and releases that no generation
    /// runs and no fallback needs. The newest `keep` good releases stay; of others, the files stay for `keep_files` after
    /// they were replaced.
    pub(crate) fn prune(
        &self,
        keep: usize,
        keep_files: Duration,
        alive: &[Generation],
    ) -> io::Result<()> {
        let mut running = Vec::new();
        for generation in self.generations() {
            let directory = self.generation_directory(generation);
            if alive.contains(&generation) {
                let digest = fs::read_to_string(directory.join("release")).ok();
                running.extend(digest.map(Digest));
            } else {
                fs::remove_dir_all(directory)?;
            }
        }
        let mut needed = self.newest_good(keep);
        needed.extend(running.iter().cloned());
        // The last failure stays known, otherwise the next activation would start it again.
        needed.extend(self.failed_attempt().map(|attempt| attempt.digest));
        self.prune_releases(&needed, &running, keep_files)
    }

    /// The base environment that `portkeep dev` wrote for every release of this app.
    #[must_use]
    pub fn base_environment(&self) -> BTreeMap<String, String> {
        fs::read(self.run.join("environment.json"))
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default()
    }

    /// Writes a base environment for every release of this app, readable only by its owner.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn set_base_environment(&self, environment: &BTreeMap<String, String>) -> io::Result<()> {
        atomic_write(
            &self.run.join("environment.json"),
            &serde_json::to_vec(environment)?,
            PRIVATE,
        )
    }

    /// Records the path of the spec, for commands that get only the app's name.
    ///
    /// # Errors
    /// When the link cannot be made.
    pub fn note_spec(&self, spec: &Path) -> io::Result<()> {
        let link = self.run.join("spec");
        if fs::read_link(&link).is_ok_and(|target| target == spec) {
            return Ok(());
        }
        atomic_symlink(spec, &link)
    }

    /// The path of the spec, if the app was ever activated since the boot.
    #[must_use]
    pub fn spec_path(&self) -> Option<PathBuf> {
        fs::read_link(self.run.join("spec")).ok()
    }
}
