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
/// The port is open while the project is built and started, so no connection is refused. Until the first version is ready,
/// requests wait for two seconds and then get a page that shows the build; after that, the last good version answers. If a
/// systemd user manager is reachable, systemd holds the port and runs the same units as in production; otherwise this
/// process does.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  portkeep dev\n  portkeep dev --project examples/hello --listen 127.0.0.1:3000\n  portkeep dev --bin server -- --verbose\n  portkeep dev --check 'cargo clippy -- -D warnings' --check 'cargo test' --open\n  portkeep dev wait --json                     whether the saved sources serve in a running one"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: Option<DevCommand>,
    /// The project: a directory with a Cargo.toml or a portkeep.json.
    #[arg(long, value_name = "DIR", default_value = ".")]
    project: PathBuf,
    /// The binary to run, if the project has several.
    #[arg(long, value_name = "NAME")]
    bin: Option<String>,
    /// The example to run, instead of a binary.
    #[arg(long, value_name = "NAME", conflicts_with = "bin")]
    example: Option<String>,
    /// Address to listen on: IP:PORT or the path of a Unix socket [default: the spec's, or 127.0.0.1:8080].
    #[arg(long, value_name = "[NAME=]ADDR")]
    listen: Vec<String>,
    /// The port to listen on, instead of the spec's or 8080; `auto` takes the next free one if another process has it.
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
    /// A host name whose pages reload from wherever they are requested: your own name for this machine, or `localhost`
    /// behind Docker or a proxy; `.HOST` means it and all names below it; may be given several times. Everybody who reaches
    /// the port by that name can read what pages show, such as the compiler's errors.
    #[arg(long, value_name = "HOST", conflicts_with = "no_inject")]
    allow_host: Vec<AllowedHost>,
    /// Who runs the app.
    #[arg(long, value_enum, default_value_t = BackendName::Auto)]
    backend: BackendName,
    /// A command that must succeed after each build and before the swap; may be given several times.
    #[arg(long, value_name = "COMMAND")]
    check: Vec<String>,
    /// What happens to requests during a build: the old version answers, or they wait for the new one.
    #[arg(long, value_enum, default_value_t = WhileBuilding::Serve)]
    while_building: WhileBuilding,
    /// Longest time that a request waits for a build (--while-building hold); then it gets a page that says so.
    #[arg(long, value_name = "TIME", default_value = "30s")]
    hold_at_most: Span,
    /// Build when the key b is pressed, and not when files change.
    #[arg(long)]
    build_on_key: bool,
    /// Pass standard input to the app: the newest version reads it, and keys have no effect (not with systemd).
    #[arg(long, conflicts_with_all = ["build_on_key", "detach"])]
    stdin: bool,
    /// End when standard input ends: with the script or editor that started this.
    #[arg(long, conflicts_with = "detach")]
    exit_with_stdin: bool,
    /// Open the app in the browser when it serves for the first time.
    #[arg(long)]
    open: bool,
    /// What opens links to source lines in the errors that pages show: an editor's name, or a URL with {file}, {line} and
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
    /// Look for changes at intervals. This is the default on NFS, 9p, virtiofs and the like, where the kernel does not
    /// report them.
    #[arg(long)]
    poll: bool,
    /// A pattern to ignore besides those of git: a line of a .gitignore; may be given several times.
    #[arg(long, value_name = "PATTERN")]
    ignore: Vec<String>,
    /// Append each event to this file, as a line of JSON (see docs/json.md).
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    /// Leave it running and return once it serves (systemd only).
    #[arg(long)]
    detach: bool,
    /// Arguments of the app.
    #[arg(last = true, value_name = "ARGS")]
    arguments: Vec<String>,
}

/// A question to a running `portkeep dev`.
#[derive(Debug, clap::Subcommand)]
enum DevCommand {
    Wait(wait::Args),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum BackendName {
    /// systemd if a user manager is reachable, else local.
    Auto,
    /// Units of the user manager.
    Systemd,
    /// Child processes of this process.
    Local,
}

/// The port to listen on.
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

/// What happens to requests during a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum WhileBuilding {
    /// The last good version answers.
    Serve,
    /// They wait for the new version (the app needs the server library).
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
