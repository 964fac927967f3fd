use std::process::ExitCode;

use anyhow::{Context, anyhow};
use clap_complete::Shell;

use crate::{complete, output};

/// Print completions for a shell: commands, options, and names of apps
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  portkeep completions bash > ~/.local/share/bash-completion/completions/portkeep\n  portkeep completions zsh > ~/.zfunc/_portkeep      with ~/.zfunc in fpath\n  portkeep completions fish > ~/.config/fish/completions/portkeep.fish"
)]
pub(crate) struct Args {
    /// The shell.
    shell: Shell,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let shell = self.shell.to_string();
        let script = complete::script(&shell)
            .ok_or_else(|| anyhow!("there are no completions for {shell}"))?;
        output::raw(&script.context("cannot make the script")?)?;
        Ok(ExitCode::SUCCESS)
    }
}
