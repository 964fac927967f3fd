//! Prerequisites of a generation: files, directories and accounts of the machine that its unit names.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use portkeep_spec::Spec;
use rustix::fs::Access;
use serde::{Deserialize, Serialize};

use crate::end::{Cause, Step};

/// The prerequisites that the app's spec names, in their present state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prerequisites(Vec<Prerequisite>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Prerequisite {
    kind: Kind,
    path: PathBuf,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Kind {
    EnvironmentFile,
    Credential,
    WorkingDirectory,
    WritablePath,
    Device,
    /// The user and group databases.
    Accounts,
}

/// State of a prerequisite: enough to see that it changed, without its contents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum State {
    There {
        device: u64,
        inode: u64,
        changed: Option<(i64, i64)>,
        is_directory: bool,
    },
    Missing(String),
}

impl State {
    fn of(kind: Kind, path: &Path) -> Self {
        match fs::metadata(path) {
            Ok(_) if kind.is_read() && rustix::fs::access(path, Access::READ_OK).is_err() => {
                Self::Missing("cannot be read".to_owned())
            }
            Ok(metadata) => Self::There {
                device: metadata.dev(),
                inode: metadata.ino(),
                // An app writes to its own paths all the time; only their existence counts.
                changed: kind
                    .is_read()
                    .then(|| (metadata.ctime(), metadata.ctime_nsec())),
                is_directory: metadata.is_dir(),
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Self::Missing("does not exist".to_owned())
            }
            Err(error) => Self::Missing(format!("cannot be looked at: {error}")),
        }
    }
}

impl Kind {
    /// Whether systemd reads its contents.
    fn is_read(self) -> bool {
        matches!(
            self,
            Self::EnvironmentFile | Self::Credential | Self::Accounts
        )
    }

    fn is_asked_for_at(self, step: Step) -> bool {
        match self {
            Self::EnvironmentFile => step == Step::Resources,
            Self::Credential => step == Step::CREDENTIALS,
            Self::WorkingDirectory => matches!(step, Step::WORKING_DIRECTORY | Step::NAMESPACE),
            Self::WritablePath | Self::Device => step == Step::NAMESPACE,
            Self::Accounts => false,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EnvironmentFile => "environment file",
            Self::Credential => "credential file",
            Self::WorkingDirectory => "working directory",
            Self::WritablePath => "writable path",
            Self::Device => "device",
            Self::Accounts => "list of users",
        })
    }
}

impl Prerequisites {
    /// The prerequisites of `spec`, as they are now.
    #[must_use]
    pub fn of(spec: &Spec) -> Self {
        let named = |kind, paths: &mut dyn Iterator<Item = &PathBuf>| -> Vec<Prerequisite> {
            paths
                .map(|path| Prerequisite {
                    kind,
                    path: path.clone(),
                    state: State::of(kind, path),
                })
                .collect()
        };
        let allow = &spec.allow;
        let accounts = ["/etc/passwd", "/etc/group"].map(PathBuf::from);
        let all = [
            named(Kind::EnvironmentFile, &mut spec.environment_files.iter()),
            named(Kind::Credential, &mut spec.credentials.values()),
            named(Kind::WorkingDirectory, &mut spec.working_directory.iter()),
            named(Kind::WritablePath, &mut allow.writable_paths.iter()),
            named(Kind::Device, &mut allow.devices.iter()),
            named(Kind::Accounts, &mut accounts.iter()),
        ];
        Self(all.into_iter().flatten().collect())
    }

    /// Only those that hold secrets.
    #[must_use]
    pub(crate) fn secrets(&self) -> Self {
        let secrets = self
            .0
            .iter()
            .filter(|one| matches!(one.kind, Kind::EnvironmentFile | Kind::Credential));
        Self(secrets.cloned().collect())
    }

    /// What is missing, in words: `its environment file /run/keys/app.env does not exist`.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        self.0.iter().filter_map(Prerequisite::complaint).collect()
    }

    /// Why a process ended, with the missing prerequisite if that is the reason.
    #[must_use]
    pub fn explain(&self, cause: &Cause) -> String {
        let Cause::Setup(step) = cause else {
            return cause.to_string();
        };
        let asked = self.0.iter().filter(|one| one.kind.is_asked_for_at(*step));
        let complaints: Vec<_> = asked.filter_map(Prerequisite::complaint).collect();
        if complaints.is_empty() {
            return cause.to_string();
        }
        format!("{cause}: {}", complaints.join(", "))
    }
}

impl Prerequisite {
    fn complaint(&self) -> Option<String> {
        let (kind, path) = (self.kind, self.path.display());
        match &self.state {
            State::Missing(how) => Some(format!("its {kind} {path} {how}")),
            State::There { is_directory, .. }
                if *is_directory && matches!(kind, Kind::EnvironmentFile) =>
            {
                Some(format!("its {kind} {path} is a directory"))
            }
            State::There { is_directory, .. }
                if !*is_directory && kind == Kind::WorkingDirectory =>
            {
                Some(format!("its {kind} {path} is not a directory"))
            }
            State::There { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use portkeep_spec::{Address, Listen, SocketName};

    use super::*;

    #[test]
    fn what_is_missing_is_named_where_its_step_failed() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("app.env");
        let http = Listen::new(SocketName::http(), Address::stream("127.0.0.1:80").unwrap());
        let mut spec = Spec::new("a".parse().unwrap(), vec!["/bin/a".into()], vec![http]);
        spec.environment_files = vec![file.clone()];
        spec.working_directory = Some(file.clone());
        let cause = Cause::Setup(Step::Resources);
        let before = Prerequisites::of(&spec);
        let named = format!("its environment file {} does not exist", file.display());
        assert!(before.explain(&cause).ends_with(&named));
        assert_eq!(before.missing().len(), 2);
        // Another step has other reasons.
        let user = Cause::Setup(Step::USER);
        assert_eq!(before.explain(&user), user.to_string());

        // The app's own writes change nothing.
        let mut writing = spec.clone();
        writing.allow.writable_paths = vec![directory.path().to_owned()];
        let quiet = Prerequisites::of(&writing);
        fs::write(directory.path().join("log"), "").unwrap();
        assert_eq!(quiet, Prerequisites::of(&writing));

        fs::write(&file, "").unwrap();
        let after = Prerequisites::of(&spec);
        assert_ne!(before, after);
        assert_eq!(after.explain(&cause), cause.to_string());
        assert_eq!(
            after.missing(),
            [format!(
                "its working directory {} is not a directory",
                file.display()
            )]
        );
    }
}
