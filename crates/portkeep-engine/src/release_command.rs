//! Release command (`release` of the spec): runs once for a release, before it takes over.

use std::path::{Path, PathBuf};
use std::time::Duration;

use portkeep_spec::Spec;

use crate::backend::StartFailure;
use crate::capture::{CaptureError, program_at};
use crate::end::Cause;
use crate::release::Release;

/// The `release` command of one release, ready to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseCommand {
    /// What is run.
    pub program: PathBuf,
    /// What it is told that it is called, where that is not the path by which it is started.
    pub argv0: Option<PathBuf>,
    /// Its arguments, without the program.
    pub arguments: Vec<String>,
    /// How long it may take.
    pub timeout: Duration,
}

impl ReleaseCommand {
    /// The command of `release`, which was made of `spec`: none where that names none. A program that is the app's own is
    /// that of the release, whatever was built since.
    ///
    /// # Errors
    /// When its program is missing.
    pub fn of(spec: &Spec, release: &Release) -> Result<Option<Self>, CaptureError> {
        let Some((program, arguments)) = spec.release.split_first() else {
            return Ok(None);
        };
        let (program, argv0) = if spec.exec.first() == Some(program) {
            let argv0 = release.argv0().map(Path::to_owned);
            (release.executable.clone(), argv0)
        } else {
            let (program, named) = program_at(program)?;
            (program, Some(named))
        };
        Ok(Some(Self {
            program,
            argv0,
            arguments: arguments.to_vec(),
            timeout: spec.release_timeout.0,
        }))
    }

    /// Why it failed, told of the command and not of the app.
    #[must_use]
    pub(crate) fn explain(&self, failure: &StartFailure) -> String {
        let reason = match &failure.cause {
            Some(Cause::TimedOut) => format!("it did not end within {:?}", self.timeout),
            _ => failure.reason.clone(),
        };
        let told = StartFailure {
            reason: format!("its release command failed: {reason}"),
            ..failure.clone()
        };
        told.describe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Blame;

    #[test]
    fn the_reason_is_the_commands_own() {
        let command = ReleaseCommand {
            program: "/bin/true".into(),
            argv0: None,
            arguments: Vec::new(),
            timeout: Duration::from_secs(5),
        };
        let failure = |cause: Option<Cause>| StartFailure {
            reason: cause
                .as_ref()
                .map_or("stopped".to_owned(), Cause::to_string),
            cause,
            said: None,
            blame: Blame::Release,
            log: vec!["no table".to_owned()],
        };
        for (cause, reason) in [
            (Some(Cause::TimedOut), "it did not end within 5s"),
            (
                Some(Cause::Exited("3".to_owned())),
                "it exited with status 3",
            ),
            (None, "stopped"),
        ] {
            let told = command.explain(&failure(cause));
            let expected =
                format!("its release command failed: {reason}; its last lines:\n  | no table");
            assert_eq!(told, expected);
        }
    }
}
