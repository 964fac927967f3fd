mod host;
mod screen;
mod wait;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use portkeep_dev::{AllowedHost, Backend, Input, Options, Port};
use portkeep_spec::Span;

/// Build, serve and reload the project at every change
///
/// The port is held while the project is built and started: nobody is refused. Requests wait for the first version, after
/// two seconds a page tells what is built, and the last good version answers ever after. Where a systemd user manager is
/// reachable, systemd holds the port and runs the same units as in production; elsewhere this process does.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  portkeep dev\n  portkeep dev --project examples/hello --listen 127.0.0.1:3000\n  portkeep dev --bin server -- --verbose\n  portkeep dev --check 'cargo clippy -- -D warnings' --check 'cargo test' --open\n  portkeep dev wait --json                     of one that runs: whether what is saved serves"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: Option<DevCommand>,
    /// The project: a directory with a Cargo.toml or a portkeep.json.
    #[arg(long, value_name = "DIR", default_value = ".")]
    project: PathBuf,
    /// The binary to run, where the project has several.
    #[arg(long, value_name = "NAME")]
    bin: Option<String>,
    /// The example to run, in place of a binary.
    #[arg(long, value_name = "NAME", conflicts_with = "bin")]
    example: Option<String>,
    /// Where to listen: IP:PORT or the path of a Unix socket [default: the spec's, or 127.0.0.1:8080].
    #[arg(long, value_name = "[NAME=]ADDR")]
    listen: Vec<String>,
    /// The port to listen at, in place of the spec's or 8080; `auto` takes the next free one where another process has it.
    #[arg(long, value_name = "PORT|auto", conflicts_with = "listen")]
    port: Option<PortChoice>,
    /// Build with optimisations.
    #[arg(long)]
    release: bool,
    /// Features to build with, as cargo takes them.
    #[arg(long, value_name = "FEATURES")]
    features: Option<String>,
    /// Do not build the package's default features.
    #[arg(long)]
    no_default_features: bool,
    /// The cargo profile to build with [default: the spec's, or portkeep-dev: a profile of its own that inherits dev].
    #[arg(long, value_name = "PROFILE", conflicts_with = "release")]
    profile: Option<String>,
    /// Leave pages as they are: no reloads, no errors in the browser.
    #[arg(long, conflicts_with = "while_building")]
    no_inject: bool,
    /// A host whose pages get the reloads wherever they are asked for: a name of your own for this machine, or `localhost`
    /// behind Docker or a proxy; `.HOST` for it and all names below it; may be given several times. Everybody who reaches
    /// the port by that name sees what pages show, such as the compiler's errors.
    #[arg(long, value_name = "HOST", conflicts_with = "no_inject")]
    allow_host: Vec<AllowedHost>,
    /// Who runs the app.
    #[arg(long, value_enum, default_value_t = BackendName::Auto)]
    backend: BackendName,
    /// A command that must succeed after each build and before the swap; may be given several times.
    #[arg(long, value_name = "COMMAND")]
    check: Vec<String>,
    /// What becomes of requests while a build runs: the old version answers, or they wait for the new one.
    #[arg(long, value_enum, default_value_t = WhileBuilding::Serve)]
    while_building: WhileBuilding,
    /// How long a request waits for a build at most (--while-building hold); then a page says so.
    #[arg(long, value_name = "TIME", default_value = "30s")]
    hold_at_most: Span,
    /// Build when the key b is pressed, and not when files change.
    #[arg(long)]
    build_on_key: bool,
    /// The app reads this command's standard input, and no keys are heard; the newest version reads (not with systemd).
    #[arg(long, conflicts_with_all = ["build_on_key", "detach"])]
    stdin: bool,
    /// End when standard input ends: with the script or editor that started this.
    #[arg(long, conflicts_with = "detach")]
    exit_with_stdin: bool,
    /// Open the app in the browser when it serves for the first time.
    #[arg(long)]
    open: bool,
    /// Where links to source lines lead, in the errors that pages show: an editor's name, or a URL with {file}, {line} and
    /// {column}.
    #[arg(
        long,
        value_name = "EDITOR",
        env = "PORTKEEP_EDITOR",
        default_value = "vscode"
    )]
    editor: Editor,
    /// A file or directory to watch besides the packages that the app is made of; may be given several times.
    #[arg(long, value_name = "PATH")]
    watch: Vec<PathBuf>,
    /// Look for changes at intervals. By itself on NFS, 9p, virtiofs and the like, where the kernel does not tell of them.
    #[arg(long)]
    poll: bool,
    /// What to ignore besides what git ignores, as a line of a .gitignore; may be given several times.
    #[arg(long, value_name = "PATTERN")]
    ignore: Vec<String>,
    /// Write what happens to this file, one JSON line an event (docs/json.md says which); it is appended to.
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    /// Leave it running and return once it serves (systemd only).
    #[arg(long)]
    detach: bool,
    /// Arguments of the app.
    #[arg(last = true, value_name = "ARGS")]
    arguments: Vec<String>,
}

/// What is asked of one that runs already.
#[derive(Debug, clap::Subcommand)]
enum DevCommand {
    Wait(wait::Args),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum BackendName {
    /// systemd where a user manager is reachable, else local.
    Auto,
    /// Units of the user manager.
    Systemd,
    /// Child processes of this one.
    Local,
}

/// Which port to listen at.
#[derive(Debug, Clone)]
struct PortChoice(Port);

impl std::str::FromStr for PortChoice {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            _ if text == "auto" => Ok(Self(Port::Auto)),
            Ok(port @ 1..) => Ok(Self(Port::Given(port))),
            _ => Err("neither a port from 1 to 65535 nor auto"),
        }
    }
}

/// What becomes of requests while a build runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum WhileBuilding {
    /// The last good version answers.
    Serve,
    /// They wait for the new version (needs the server library in the app).
    Hold,
}

/// Where links to source lines lead.
#[derive(Debug, Clone)]
struct Editor(String);

/// Editors that register a scheme of their own.
const EDITORS: [(&str, &str); 6] = [
    ("vscode", "vscode://file/{file}:{line}:{column}"),
    ("vscodium", "vscodium://file/{file}:{line}:{column}"),
    ("cursor", "cursor://file/{file}:{line}:{column}"),
    ("zed", "zed://file/{file}:{line}:{column}"),
    (
        "idea",
        "idea://open?file={file}&line={line}&column={column}",
    ),
    (
        "rustrover",
        "jetbrains://rustrover/navigate/reference?path={file}:{line}:{column}",
    ),
];

impl std::str::FromStr for Editor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((_, url)) = EDITORS.iter().find(|(name, _)| *name == text) {
            return Ok(Self((*url).to_owned()));
        }
        let is_url = text.contains("{file}")
            && text.contains(':')
            && !text
                .to_ascii_lowercase()
                .trim_start()
                .starts_with("javascript:");
        if is_url {
            return Ok(Self(text.to_owned()));
        }
        let names: Vec<_> = EDITORS.iter().map(|(name, _)| *name).collect();
        Err(format!(
            "neither a URL with {{file}} in it nor one of {}",
            names.join(", ")
        ))
    }
}

impl Args {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        if let Some(DevCommand::Wait(args)) = self.what {
            return args.run();
        }
        portkeep_dev::run(
            self.into(),
            Arc::new(host::Program),
            Arc::new(screen::Standard),
        )
        .await
    }
}

impl From<Args> for Options {
    fn from(args: Args) -> Self {
        Self {
            bin: args.bin,
            example: args.example,
            port: args.port.map(|PortChoice(port)| port),
            allowed_hosts: args.allow_host,
            builds_on_key: args.build_on_key,
            input: Input {
                is_for_the_app: args.stdin,
                ends_us: args.exit_with_stdin,
            },
            listen: args.listen,
            release: args.release,
            features: args.features,
            no_default_features: args.no_default_features,
            profile: args.profile,
            leaves_pages: args.no_inject,
            backend: match args.backend {
                BackendName::Auto => Backend::Auto,
                BackendName::Systemd => Backend::Systemd,
                BackendName::Local => Backend::Local,
            },
            checks: args.check,
            while_building: match args.while_building {
                WhileBuilding::Serve => portkeep_dev::WhileBuilding::Serve,
                WhileBuilding::Hold => portkeep_dev::WhileBuilding::Hold,
            },
            hold_at_most: *args.hold_at_most,
            opens: args.open,
            editor: args.editor.0,
            watch: args.watch,
            polls: args.poll,
            ignore: args.ignore,
            events: args.events,
            detaches: args.detach,
            arguments: args.arguments,
            ..Self::of(args.project)
        }
    }
}
