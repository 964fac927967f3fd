use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::CommandFactory;

use crate::cli::Cli;

/// Write the man pages to a directory
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  portkeep man ~/.local/share/man/man1")]
pub(crate) struct Args {
    /// The directory; made if it is missing.
    directory: PathBuf,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let directory = self.directory;
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        clap_mangen::generate_to(Cli::command(), &directory)
            .with_context(|| format!("cannot write man pages to {}", directory.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}
