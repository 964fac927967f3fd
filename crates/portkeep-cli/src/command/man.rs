use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::CommandFactory;

use crate::cli::Cli;
use crate::man;

/// Write the man pages to a directory
///
/// One page for each command in `man1`, and `portkeep.json(5)`, which describes every field of the spec, in `man5`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  portkeep man ~/.local/share/man\n  man portkeep.json")]
pub(crate) struct Args {
    /// The directory; created if it is missing.
    directory: PathBuf,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        for page in man::pages(Cli::command()).context("cannot make the man pages")? {
            let path = self.directory.join(&page.path);
            let directory = path.parent().unwrap_or(&self.directory);
            fs::create_dir_all(directory)
                .with_context(|| format!("cannot make {}", directory.display()))?;
            fs::write(&path, &page.text)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
