//! The spec of an app, with its defaults.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::health::{self, HealthBy, HealthSocket};
use crate::listen::{self, Listen, Protocol};
use crate::{
    Allow, AppName, Check, CpuQuota, DiskSize, FilePattern, Label, Limits, MemorySize, Span,
    TasksMax,
};

/// What to run, what to listen on, how to start, drain and restart it. Every field but `name`, `exec` and `listen` has a
/// default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Spec {
    /// The app's name; its port lives in `NAME.socket`.
    pub name: AppName,
    /// Label of the release, for people: a git revision, a version, a path in a Nix store. `status`, `history`, the metrics
    /// and the journal show it, and the app finds it in `$PORTKEEP_LABEL`. A new label makes a new release. Default: none.
    #[serde(default)]
    pub label: Option<Label>,
    /// The program and its arguments. A program with a `/` is a path, relative to the spec's directory; without one it is
    /// looked up in `PATH`.
    #[schemars(length(min = 1))]
    pub exec: Vec<String>,
    /// The sockets. The unit of the first one is `NAME.socket`, that of each further one `NAME-SOCKET.socket`.
    #[serde(deserialize_with = "listen::deserialize_list")]
    #[schemars(with = "Vec<listen::Entry>", length(min = 1))]
    pub listen: Vec<Listen>,
    /// Sockets on which load balancers ask whether to send requests to the app. systemd holds them like the others. Only
    /// under systemd. Default: none.
    #[serde(default, deserialize_with = "health::deserialize_list")]
    #[schemars(with = "health::Written")]
    pub health: Vec<HealthSocket>,
    /// Who answers on the health sockets: "app", which needs the server library, or "portkeep", a process that runs only
    /// while it is asked. Default: "app" if the program contains the server library, serves HTTP, says READY itself and has
    /// no `idleExit`; else "portkeep".
    #[serde(default)]
    pub health_by: Option<HealthBy>,
    /// How long load balancers are told to send no more requests before connections end: at `portkeep drain`, and, with
    /// health sockets, at a shutdown of the machine. Default: 10s, and less than 90s.
    #[serde(default = "default::drain_grace")]
    pub drain_grace: Span,
    /// Environment variables of the app.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Files with more environment variables, in systemd's format. They must exist; `environment` wins over them.
    #[serde(default)]
    pub environment_files: Vec<PathBuf>,
    /// Secrets: identifier to file. The app finds them in `$CREDENTIALS_DIRECTORY`.
    #[serde(default)]
    pub credentials: BTreeMap<String, PathBuf>,
    /// Hands over by itself when a file of `environmentFiles` or `credentials` changes, 150ms after the last change, unless
    /// the contents are the same. Only under systemd. Default: false.
    #[serde(default)]
    pub watch_secrets: bool,
    /// The app's working directory. Default: `/` under the system manager, the home directory under a user's.
    #[serde(default)]
    pub working_directory: Option<PathBuf>,
    /// Files of a release besides its executable: paths and patterns (`*`, `?`, `[ab]`, `{a,b}`, and `**` for any
    /// directories), relative to `filesFrom`. A directory includes everything in it. They are captured with the executable,
    /// and a rollback brings them back. The app finds them in `$PORTKEEP_RELEASE_DIR`, which is its working directory if
    /// `workingDirectory` names no other.
    #[serde(default)]
    pub files: Vec<FilePattern>,
    /// Directory of the `files`, which may not lead out of it. Default: the spec's directory.
    #[serde(default)]
    pub files_from: Option<PathBuf>,
    /// Total size that the `files` of one release may have. Default: 1G.
    #[serde(default = "default::files_max_size")]
    pub files_max_size: DiskSize,
    /// Number of `files` that one release may have, including directories and links. Default: 10000.
    #[serde(default = "default::files_max_count")]
    #[schemars(range(min = 1))]
    pub files_max_count: u32,
    /// How long the `files` of a release stay after another release has replaced it, for pages that are still open. Those
    /// of releases that are kept for a rollback (`keepGenerations`) stay longer. Default: 10m.
    #[serde(default = "default::keep_files")]
    pub keep_files: Span,
    /// When the app counts as ready.
    #[serde(default)]
    pub readiness: Readiness,
    /// How long a start may take until the app is ready. Default: 30s.
    #[serde(default = "default::start_timeout")]
    pub start_timeout: Span,
    /// A command that runs once for each new release before the release takes over, such as a database migration. It has
    /// the app's environment, secrets, user, working directory, limits and sandbox, and no sockets. Its program is found
    /// like that of `exec`; if both name the same program, that of the new release runs. If it fails, the release does not
    /// take over. Default: none.
    #[serde(default)]
    pub release: Vec<String>,
    /// How long the `release` command may take. Connections wait for it only if nothing serves yet. Default: 5m.
    #[serde(default = "default::release_timeout")]
    pub release_timeout: Span,
    /// How long an old generation may take to finish its requests. At a shutdown of the machine it has 90s at most
    /// (`portkeep-shutdown.service`). Default: 30s.
    #[serde(default = "default::drain_timeout")]
    pub drain_timeout: Span,
    /// The aim of a drain, for an app on the server library. Default: the app's own setting, else "lossless".
    #[serde(default)]
    pub drain: Option<Drain>,
    /// How long a draining generation keeps an idle connection open that cannot move, to answer a request that is on its
    /// way. For an app on the server library. Default: the app's own setting, else 5s.
    #[serde(default)]
    pub linger: Option<Span>,
    /// Moves idle connections of an app on the server library to the next generation. For that, systemd passes one more
    /// socket, `portkeep-move`. Write false for an app that ignores the names of its sockets. Default: true. No connections
    /// move without HTTP, or with `readiness` "started".
    #[serde(default = "default::move_connections")]
    pub move_connections: bool,
    /// Limits of connections, for an app on the server library.
    #[serde(default)]
    pub limits: Limits,
    /// How long the app may go without reporting that it is alive (`WATCHDOG=1`) before it is restarted. Default: off,
    /// because an app that never reports would be killed.
    #[serde(default)]
    pub watchdog: Option<Span>,
    /// What happens after a crash.
    #[serde(default)]
    pub restart: Restart,
    /// Time without a request and without a new connection after which an app on the server library exits. The next
    /// connection starts it and waits for it. Default: the app's own setting, else it never exits.
    #[serde(default)]
    pub idle_exit: Option<Span>,
    /// How many releases are kept for a rollback. Default: 3.
    #[serde(default = "default::keep_generations")]
    #[schemars(range(min = 1))]
    pub keep_generations: u32,
    /// How much of the machine the app can see.
    #[serde(default)]
    pub sandbox: Sandbox,
    /// Exceptions from the sandbox.
    #[serde(default)]
    pub allow: Allow,
    /// Limits of each generation.
    #[serde(default)]
    pub resources: Resources,
    /// Build output whose change starts a handover, in development.
    #[serde(default)]
    pub watch: Option<PathBuf>,
    /// Files and directories whose change starts a build in development, besides the packages that the app is made from (or
    /// the spec's directory, if it is no cargo project). They must exist.
    #[serde(default)]
    pub sources: Vec<PathBuf>,
    /// Files whose change starts no build in development, besides those that git ignores: lines of a `.gitignore` in the
    /// spec's directory.
    #[serde(default)]
    pub ignore: Vec<String>,
    /// The cargo profile that builds the app in development. Default: `portkeep dev`'s own, which inherits `dev`.
    #[serde(default)]
    pub profile: Option<String>,
    /// The command that builds the app, in development.
    #[serde(default)]
    pub build: Vec<String>,
    /// Commands that must succeed before a new build is published, in development.
    #[serde(default)]
    pub checks: Vec<Check>,
}

/// When an app counts as ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Readiness {
    /// When it says so (`READY=1`; the server library does).
    #[default]
    Notify,
    /// When it seems to accept connections, for programs that cannot say so. A thread of it waits in `accept` or `poll`, or
    /// its `epoll` contains the socket; or it has lived for 3 seconds.
    Accepts,
    /// As soon as its process has started.
    Started,
}

/// The aim of a drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Drain {
    /// No request is lost.
    Lossless,
    /// Old code answers no new request: for development. A connection that cannot move to the next generation is closed as
    /// soon as it is idle, and a request that is sent at that moment is lost.
    Fresh,
}

/// How much of the machine an app can see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Sandbox {
    /// Only its sockets, a read-only view of the system, Unix sockets, and what `allow` adds.
    #[default]
    Strict,
    /// Everything that other processes of its user see. Under the system manager, `allow.user` must be set.
    Off,
}

/// What happens after a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Restart {
    /// The pause before the first restart; it grows from crash to crash. Default: 100ms.
    pub delay: Span,
    /// The longest pause. Default: 10s.
    pub max_delay: Span,
    /// Number of crashes within `within` after which the last good release comes back. Default: 3.
    #[schemars(range(min = 1))]
    pub rollback_after: u32,
    /// Period over which crashes are counted. Default: 1m.
    pub within: Span,
}

impl Default for Restart {
    fn default() -> Self {
        Self {
            delay: Span::from_millis(100),
            max_delay: Span::from_secs(10),
            rollback_after: 3,
            within: Span::from_secs(60),
        }
    }
}

/// Limits of each generation. Two run side by side during a handover. Default: none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Resources {
    /// Memory use that kills the generation: "512M", "25%".
    pub memory_max: Option<MemorySize>,
    /// Memory use that slows the generation down.
    pub memory_high: Option<MemorySize>,
    /// Share of processor time: "50%", "200%" for two processors.
    pub cpu_quota: Option<CpuQuota>,
    /// Number of processes and threads: 512, "10%".
    pub tasks_max: Option<TasksMax>,
}

mod default {
    use crate::{DiskSize, Span};

    pub(super) fn files_max_size() -> DiskSize {
        DiskSize::from_gigabytes(1)
    }

    pub(super) fn files_max_count() -> u32 {
        10_000
    }

    pub(super) fn keep_files() -> Span {
        Span::from_secs(600)
    }

    pub(super) fn start_timeout() -> Span {
        Span::from_secs(30)
    }

    pub(super) fn release_timeout() -> Span {
        Span::from_secs(5 * 60)
    }

    pub(super) fn drain_timeout() -> Span {
        Span::from_secs(30)
    }

    pub(super) fn drain_grace() -> Span {
        Span::from_secs(10)
    }

    pub(super) fn move_connections() -> bool {
        true
    }

    pub(super) fn keep_generations() -> u32 {
        3
    }
}

impl Spec {
    /// A spec with defaults for all other fields.
    #[must_use]
    pub fn new(name: AppName, exec: Vec<String>, listen: Vec<Listen>) -> Self {
        Self {
            name,
            label: None,
            exec,
            listen,
            health: Vec::new(),
            health_by: None,
            drain_grace: default::drain_grace(),
            environment: BTreeMap::new(),
            environment_files: Vec::new(),
            credentials: BTreeMap::new(),
            watch_secrets: false,
            working_directory: None,
            files: Vec::new(),
            files_from: None,
            files_max_size: default::files_max_size(),
            files_max_count: default::files_max_count(),
            keep_files: default::keep_files(),
            readiness: Readiness::default(),
            start_timeout: default::start_timeout(),
            release: Vec::new(),
            release_timeout: default::release_timeout(),
            drain_timeout: default::drain_timeout(),
            drain: None,
            linger: None,
            move_connections: default::move_connections(),
            limits: Limits::default(),
            watchdog: None,
            restart: Restart::default(),
            idle_exit: None,
            keep_generations: default::keep_generations(),
            sandbox: Sandbox::default(),
            allow: Allow::default(),
            resources: Resources::default(),
            watch: None,
            sources: Vec::new(),
            ignore: Vec::new(),
            profile: None,
            build: Vec::new(),
            checks: Vec::new(),
        }
    }

    /// Whether systemd passes the app a socket over which connections move. Only an app on the server library, which says
    /// READY and serves HTTP, can use it.
    #[must_use]
    pub fn has_move_socket(&self) -> bool {
        self.move_connections && self.readiness == Readiness::Notify && self.speaks_http()
    }

    /// All addresses that clients and load balancers connect to: the listeners, then the health sockets.
    #[must_use]
    pub fn ports(&self) -> Vec<Listen> {
        let health = self.health.iter().map(HealthSocket::as_listen);
        self.listen.iter().cloned().chain(health).collect()
    }

    /// Whether the app could answer its health sockets itself. It then has to answer whenever nothing else does, as the
    /// holding page does.
    #[must_use]
    pub fn may_answer_health(&self) -> bool {
        self.readiness == Readiness::Notify && self.speaks_http() && self.idle_exit.is_none()
    }

    /// Whether the app answers its health sockets itself, by its spec.
    #[must_use]
    pub fn app_answers_health(&self) -> bool {
        !self.health.is_empty() && self.health_by == Some(HealthBy::App)
    }

    /// Whether a generation runs in the directory of its release's files.
    #[must_use]
    pub fn runs_in_its_release(&self) -> bool {
        !self.files.is_empty() && self.working_directory.is_none()
    }

    /// How long a start may take in all: that of the `release` command, if there is one, and that of the app.
    #[must_use]
    pub fn longest_start(&self) -> Duration {
        let release = if self.release.is_empty() {
            Duration::ZERO
        } else {
            self.release_timeout.0
        };
        self.start_timeout.0 + release
    }

    /// Whether secrets are watched: the spec has some, and asks for it.
    #[must_use]
    pub fn watches_secrets(&self) -> bool {
        self.watch_secrets && !(self.environment_files.is_empty() && self.credentials.is_empty())
    }

    /// Whether a socket speaks HTTP, so that a holding page can answer there while no release can serve.
    #[must_use]
    pub fn speaks_http(&self) -> bool {
        self.listen
            .iter()
            .any(|listen| listen.protocol == Protocol::Http)
    }
}
