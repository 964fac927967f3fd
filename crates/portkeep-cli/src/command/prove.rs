use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;

use portkeep_engine::Store;
use portkeep_spec::AppName;

use crate::exit::usage;
use crate::locate::{ManagerArgs, existing_store, place};
use crate::output;
use crate::prove::{self, Mode, Plan, Target, VersionIn};

/// Load a server while it is reloaded, and report what its clients saw
///
/// Works with any server and any way to reload it. Requests are due at a fixed rate, whatever the server does, and time
/// counts from when they were due, so that a stall is not hidden. No request is retried.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  portkeep prove http://127.0.0.1:8080/ --reload 'systemctl reload hello'\n  portkeep prove http://127.0.0.1/ --reload 'nginx -s reload' --mode close --rate 4000 --svg nginx.svg\n  portkeep prove ws://127.0.0.1:8080/echo --mode websocket --reload 'touch src/main.rs' --every 5s\n  portkeep prove http://127.0.0.1:8080/ --reload ./deploy --version-header x-version --json\n\nExit codes: 0 nothing was lost; 1 a request failed, a connection was cut in the middle of something, or a reload failed.\nConnections that the server ends in the way of the protocol are counted, and are no loss."
)]
pub(crate) struct Args {
    /// The server: http://… or ws://….
    url: String,
    /// The shell command that reloads the server.
    #[arg(long, value_name = "CMD")]
    reload: String,
    /// Number of reloads.
    #[arg(long, value_name = "N", default_value_t = 20)]
    times: u32,
    /// Time from one reload to the next.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = humantime::parse_duration)]
    every: Duration,
    /// Requests a second, over all connections; for --mode sse the server sets the pace.
    #[arg(long, value_name = "R", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: u32,
    /// Open connections; for HTTP/2, open requests.
    #[arg(long, value_name = "C", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    connections: u32,
    /// How the server is used.
    #[arg(long, value_enum, default_value_t = Mode::KeepAlive)]
    mode: Mode,
    /// An answer that takes longer counts as missing.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// How long after the end of the command a request still counts as "during" a reload.
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = humantime::parse_duration)]
    settle: Duration,
    /// The header of answers that has their version.
    #[arg(long, value_name = "NAME", conflicts_with = "version_body")]
    version_header: Option<String>,
    /// The body of answers is their version.
    #[arg(long)]
    version_body: bool,
    /// The app behind the address: report which of its releases served, with their labels.
    #[arg(long, value_name = "NAME")]
    app: Option<AppName>,
    #[command(flatten)]
    manager: ManagerArgs,
    /// Draw latency over time, with the reloads, into this file.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        if self.timeout.is_zero() {
            return Err(usage("--timeout must be more than zero"));
        }
        let version = match (self.version_header, self.version_body) {
            (Some(name), _) => VersionIn::Header(name.to_lowercase()),
            (None, true) => VersionIn::Body,
            (None, false) => VersionIn::Nowhere,
        };
        let plan = Plan {
            target: Target::resolve(&self.url).await?,
            mode: self.mode,
            reload: self.reload.clone(),
            times: self.times,
            every: self.every,
            rate: self.rate,
            connections: self.connections,
            timeout: self.timeout,
            settle: self.settle,
            version,
            app: self.app.map(|name| app(&name, self.manager)).transpose()?,
        };
        let report = prove::run(plan).await?;
        if let Some(path) = &self.svg {
            let title = format!(
                "{} while `{}` runs {} times",
                self.url, self.reload, self.times
            );
            std::fs::write(path, report.chart.svg(&title))
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        if self.json {
            output::json(&report)?;
        } else {
            let lines = report.lines().into_iter().chain(report.chart.terminal());
            for line in lines.chain([report.verdict()]) {
                crate::output::outln!("{line}");
            }
        }
        Ok(match report.lossless {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        })
    }
}

/// The store of the app whose releases are reported. It must exist and be readable.
fn app(name: &AppName, manager: ManagerArgs) -> anyhow::Result<Store> {
    let store = existing_store(name, place(manager.which()))?;
    let Some(current) = store.current() else {
        return Err(usage(format!(
            "no generation of {name} serves here; try --system or --user"
        )));
    };
    match store.digest_of(current) {
        Some(_) => Ok(store),
        None => Err(usage(format!(
            "the releases of {name} cannot be read; only the app's owner may read them"
        ))),
    }
}
