//! Options of `portkeep dev`, as plain values.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use portkeep_contract::development::AllowedHost;

/// What `portkeep dev` is asked to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// The project: a directory with a Cargo.toml or a portkeep.json.
    pub project: PathBuf,
    /// The binary to run, where the project has several.
    pub bin: Option<String>,
    /// The example to run, in place of a binary.
    pub example: Option<String>,
    /// Where to listen, each as `[NAME=]ADDR`; with none, where the spec says, or at 127.0.0.1:8080.
    pub listen: Vec<String>,
    /// Which port to listen at, in place of the one that the spec says.
    pub port: Option<Port>,
    /// Build with the profile `release`.
    pub release: bool,
    /// Features to build with, as cargo takes them.
    pub features: Option<String>,
    /// Do not build the package's default features.
    pub no_default_features: bool,
    /// The cargo profile to build with; with none, the spec's, or one of `portkeep dev`'s own.
    pub profile: Option<String>,
    /// Leave pages as they are: no reloads, no errors in the browser.
    pub leaves_pages: bool,
    /// Hosts whose pages get the script wherever they are asked for.
    pub allowed_hosts: Vec<AllowedHost>,
    /// Who runs the app.
    pub backend: Backend,
    /// Commands that must succeed after each build and before the swap.
    pub checks: Vec<String>,
    /// What becomes of requests while a build runs.
    pub while_building: WhileBuilding,
    /// How long a request waits for a build at most.
    pub hold_at_most: Duration,
    /// Build when the key for it is pressed, and not when files change.
    pub builds_on_key: bool,
    /// What our standard input is for.
    pub input: Input,
    /// Open the app in the browser when it serves for the first time.
    pub opens: bool,
    /// Where links to source lines lead: a URL with `{file}`, `{line}` and `{column}`.
    pub editor: String,
    /// Files and directories to watch besides the packages that the app is made of.
    pub watch: Vec<PathBuf>,
    /// Look for changes at intervals, and do not ask the kernel for them.
    pub polls: bool,
    /// What to ignore besides what git ignores, each as a line of a .gitignore.
    pub ignore: Vec<String>,
    /// A file that each event is written to, as a JSON line.
    pub events: Option<PathBuf>,
    /// Leave the app running and return once it serves.
    pub detaches: bool,
    /// Arguments of the app.
    pub arguments: Vec<String>,
}

impl Options {
    /// Of a project, with everything else as it is when nothing is asked for.
    #[must_use]
    pub fn of(project: impl Into<PathBuf>) -> Self {
        Self {
            project: project.into(),
            bin: None,
            example: None,
            listen: Vec::new(),
            port: None,
            release: false,
            features: None,
            no_default_features: false,
            profile: None,
            leaves_pages: false,
            allowed_hosts: Vec::new(),
            backend: Backend::Auto,
            checks: Vec::new(),
            while_building: WhileBuilding::Serve,
            hold_at_most: Duration::from_secs(30),
            builds_on_key: false,
            input: Input::default(),
            opens: false,
            editor: "vscode://file/{file}:{line}:{column}".to_owned(),
            watch: Vec::new(),
            polls: false,
            ignore: Vec::new(),
            events: None,
            detaches: false,
            arguments: Vec::new(),
        }
    }
}

/// Which port to listen at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Port {
    /// This one.
    Given(u16),
    /// The one that the spec says, or the next that is free where somebody else has that.
    Auto,
    /// What [`Port::Auto`] has led to: in place of the first of each pair, the second.
    Chosen(Vec<(SocketAddr, SocketAddr)>),
}

/// What our standard input is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Input {
    /// The app reads it.
    pub is_for_the_app: bool,
    /// We end with it.
    pub ends_us: bool,
}

/// Who runs the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// systemd where a user manager is reachable, else this process.
    Auto,
    /// Units of the user manager.
    Systemd,
    /// This process.
    Local,
}

/// What becomes of requests while a build runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhileBuilding {
    /// The last good version answers.
    Serve,
    /// They wait for the new version.
    Hold,
}
