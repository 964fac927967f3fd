use std::path::PathBuf;
use std::process::ExitCode;

use crate::dev;

/// Build, serve and reload the project at every change
///
/// The port is held while the project is built and started: nobody is refused, requests wait for the first version and
/// are answered by the last good one ever after. Where a systemd user manager is reachable, systemd holds the port and
/// runs the same units as in production; elsewhere this process does.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  portkeep dev\n  portkeep dev --project examples/hello --listen 127.0.0.1:3000\n  portkeep dev --bin server -- --verbose"
)]
pub(crate) struct Args {
    /// The project: a directory with a Cargo.toml or a portkeep.json.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) project: PathBuf,
    /// The binary to run, where the project has several.
    #[arg(long, value_name = "NAME")]
    pub(crate) bin: Option<String>,
    /// Where to listen: IP:PORT or the path of a Unix socket [default: the spec's, or 127.0.0.1:8080].
    #[arg(long, value_name = "[NAME=]ADDR")]
    pub(crate) listen: Vec<String>,
    /// Build with optimisations.
    #[arg(long)]
    pub(crate) release: bool,
    /// Features to build with, as cargo takes them.
    #[arg(long, value_name = "FEATURES")]
    pub(crate) features: Option<String>,
    /// Who runs the app.
    #[arg(long, value_enum, default_value_t = BackendName::Auto)]
    pub(crate) backend: BackendName,
    /// Leave it running and return once it serves (systemd only).
    #[arg(long)]
    pub(crate) detach: bool,
    /// Arguments of the app.
    #[arg(last = true, value_name = "ARGS")]
    pub(crate) arguments: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum BackendName {
    /// systemd where a user manager is reachable, else local.
    Auto,
    /// Units of the user manager.
    Systemd,
    /// Child processes of this one.
    Local,
}

impl Args {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        dev::run(self).await
    }
}
