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
    /// Addresses to listen on, each as `[NAME=]ADDR`; by default those of the spec, or 127.0.0.1:8080.
    pub listen: Vec<String>,
    /// Port to listen on, instead of the spec's.
    pub port: Option<Port>,
    /// Build with the profile `release`.
    pub release: bool,
    /// Features to build with, as cargo takes them.
    pub features: Option<String>,
    /// Do not build the package's default features.
    pub no_default_features: bool,
    /// The cargo profile to build with; by default the spec's, or `portkeep dev`'s own.
    pub profile: Option<String>,
    /// Leave pages as they are: no reloads, no errors in the browser.
    pub leaves_pages: bool,
    /// Hosts whose pages get the script, whatever the page's policy for other hosts.
    pub allowed_hosts: Vec<AllowedHost>,
    /// Who runs the app.
    pub backend: Backend,
    /// Commands that must succeed after each build and before the swap.
    pub checks: Vec<String>,
    /// What happens to requests while a build runs.
    pub while_building: WhileBuilding,
    /// Longest time that a request waits for a build.
    pub hold_at_most: Duration,
    /// Build when the user presses the key, and not when files change.
    pub builds_on_key: bool,
    /// Use of this process's standard input.
    pub input: Input,
    /// Open the app in the browser when it serves for the first time.
    pub opens: bool,
    /// Where links to source lines lead: a URL with `{file}`, `{line}` and `{column}`.
    pub editor: String,
    /// Files and directories to watch besides the packages of the app.
    pub watch: Vec<PathBuf>,
    /// Look for changes at intervals, without the kernel's notifications.
    pub polls: bool,
    /// Patterns to ignore besides those of git, each as a line of a .gitignore.
    pub ignore: Vec<String>,
    /// File for events, one JSON line each.
    pub events: Option<PathBuf>,
    /// Leave the app running, and return once it serves.
    pub detaches: bool,
    /// Arguments of the app.
    pub arguments: Vec<String>,
}

impl Options {
    /// The options for a project, with all defaults.
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

/// The port to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Port {
    /// This one.
    Given(u16),
    /// The spec's port, or the next free one if another process has it.
    Auto,
    /// Result of [`Port::Auto`]: the second of each pair replaces the first.
    Chosen(Vec<(SocketAddr, SocketAddr)>),
}

/// Use of standard input.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Input {
    /// The app reads it.
    pub is_for_the_app: bool,
    /// Its end ends `portkeep dev`.
    pub ends_us: bool,
}

/// Who runs the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// systemd if a user manager is reachable, else this process.
    Auto,
    /// Units of the user manager.
    Systemd,
    /// This process.
    Local,
}

/// What happens to requests while a build runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhileBuilding {
    /// The last good version answers them.
    Serve,
    /// They wait for the new version.
    Hold,
}
