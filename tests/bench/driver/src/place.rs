//! Where a tool runs its app, and the releases that are put there.

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use crate::client::Tls;

/// What a release does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Good,
    Panics,
    Crashes,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Panics => "panics",
            Self::Crashes => "crashes",
        }
    }
}

/// A directory with an app in it, and an address for it.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) directory: PathBuf,
    pub(crate) address: SocketAddr,
    /// How long the app's start takes.
    pub(crate) start: Duration,
    /// Where the programs of the benchmark are.
    pub(crate) programs: PathBuf,
    /// For tools that need one.
    pub(crate) name: String,
    /// If its app serves TLS; the certificate is in the directory.
    pub(crate) tls: Option<Tls>,
}

impl Place {
    /// An empty one below `root`, with a port that nobody uses.
    pub(crate) fn new(
        root: &Path,
        programs: &Path,
        name: &str,
        start: Duration,
    ) -> anyhow::Result<Self> {
        let directory = root.join(name);
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        fs::create_dir_all(&directory)?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        Ok(Self {
            directory,
            address,
            start,
            programs: programs.to_owned(),
            name: name.to_owned(),
            tls: None,
        })
    }

    /// The app's executable.
    pub(crate) fn app(&self) -> PathBuf {
        self.directory.join("bin/app")
    }

    /// Environment of the app.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let mut environment = vec![
            ("BENCH_LISTEN", self.address.to_string()),
            ("START_MS", self.start.as_millis().to_string()),
        ];
        if self.tls.is_some() {
            environment.push(("BENCH_TLS", self.directory.to_string_lossy().into_owned()));
        }
        environment
    }

    /// Puts a release of the program `base` into place, in one step, as builds do.
    pub(crate) fn publish(&self, base: &str, version: &str, kind: Kind) -> anyhow::Result<()> {
        let source = self.programs.join(base);
        let mut program =
            fs::read(&source).with_context(|| format!("{} is missing", source.display()))?;
        write!(program, "\nbench-release {version} {}", kind.word())?;
        fs::create_dir_all(self.directory.join("bin"))?;
        // Outside of the directory that tools watch.
        let next = self.directory.join("next");
        fs::write(&next, program)?;
        fs::set_permissions(&next, fs::Permissions::from_mode(0o755))?;
        fs::rename(&next, self.app())?;
        Ok(())
    }
}
