//! Files of release commands: what one is started with, and whether it has succeeded.

use std::io;

use portkeep_spec::{contract, environment_file};

use super::write::PRIVATE;
use super::{Store, atomic_symlink, atomic_write};
use crate::directories::{TRAVERSED, make};
use crate::generation::Generation;
use crate::release::{Digest, Release};
use crate::release_command::ReleaseCommand;

impl Store {
    /// Writes the files that the manager needs to run `command` for `generation`, prepared with `release`.
    pub(crate) fn prepare_release_command(
        &self,
        generation: Generation,
        release: &Release,
        command: &ReleaseCommand,
    ) -> io::Result<()> {
        let directory = self
            .generation_directory(generation)
            .join(contract::RELEASE_COMMAND);
        make(&directory, TRAVERSED)?;
        let program = directory.join(self.name.as_str());
        atomic_symlink(&command.program, &program)?;
        let argv0 = command.argv0.as_ref().unwrap_or(&program);
        let text = environment_file::render(
            &self.environment_of(generation, release),
            &argv0.to_string_lossy(),
            &command.arguments,
        )
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let file = directory.join(contract::ENVIRONMENT);
        atomic_write(&file, text.as_bytes(), PRIVATE)
    }

    /// Records that a release's command has succeeded. It does not run again as long as the release is kept.
    pub(crate) fn mark_released(&self, digest: &Digest) -> io::Result<()> {
        atomic_write(&self.released_path(digest), b"", PRIVATE)
    }

    /// Whether the release command of a release has succeeded.
    #[must_use]
    pub fn is_released(&self, digest: &Digest) -> bool {
        self.released_path(digest).exists()
    }

    fn released_path(&self, digest: &Digest) -> std::path::PathBuf {
        self.releases_directory()
            .join(digest.as_str())
            .join("released")
    }
}
