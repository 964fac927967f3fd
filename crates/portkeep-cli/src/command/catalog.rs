use std::process::ExitCode;

use portkeep_engine::decision::catalog;

use crate::output;

/// Print the message catalog: the explanations that `journalctl -x` shows for portkeep's entries
///
/// `install --system` places it. This is for packages, and for a machine on which only users install apps.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  portkeep catalog | sudo install -D -m 644 /dev/stdin /usr/local/lib/systemd/catalog/portkeep.catalog\n  sudo journalctl --update-catalog\n  journalctl -x PORTKEEP_APP=hello"
)]
pub(crate) struct Args {}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        output::raw(catalog::text().as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }
}
