//! Puts what was built where the units (or the local backend) look for it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use portkeep_engine::Store;
use portkeep_spec::Spec;

use crate::dev::build::no_executable;
use crate::dev::project::Project;

/// The place of the built executable. A path of our own and not cargo's: what appears there was built whole, and has
/// passed whatever stands between the build and the swap.
#[derive(Debug, Clone)]
pub(super) enum Published {
    /// We put it there.
    Here(PathBuf),
    /// The spec names its executable itself.
    BySpec,
}

impl Published {
    /// Points `spec` at what will be published.
    pub(super) fn prepare(
        project: &Project,
        store: &Store,
        spec: &mut Spec,
    ) -> anyhow::Result<Self> {
        if project.has_own_exec {
            return Ok(Self::BySpec);
        }
        let path = store
            .state_directory()
            .join("build")
            .join(spec.name.as_str());
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)
                .with_context(|| format!("cannot make {}", parent.display()))?;
        }
        if let Some(first) = spec.exec.first_mut() {
            *first = path.display().to_string();
        }
        spec.watch = Some(path.clone());
        Ok(Self::Here(path))
    }

    /// Publishes by one rename, so that nobody sees a part of it.
    pub(super) fn publish(&self, executable: Option<&Path>) -> anyhow::Result<()> {
        let Self::Here(path) = self else {
            return Ok(());
        };
        let executable = executable.ok_or_else(no_executable)?;
        let fail = || format!("cannot put {} at {}", executable.display(), path.display());
        let staged = path.with_extension("new");
        let _ = fs::remove_file(&staged);
        // A link costs nothing; on another file system it takes a copy.
        if fs::hard_link(executable, &staged).is_err() {
            fs::copy(executable, &staged).with_context(fail)?;
        }
        // A rename onto another name of the same file does nothing at all and leaves the other name; that is what we want.
        fs::rename(&staged, path).with_context(fail)?;
        let _ = fs::remove_file(&staged);
        Ok(())
    }
}
