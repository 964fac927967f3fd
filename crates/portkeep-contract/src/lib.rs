//! What the server library, the engine and `portkeep dev` agree on: names, versions, messages. No dependencies.

pub mod development;

/// How many sockets are passed (systemd's protocol).
pub const LISTEN_FDS: &str = "LISTEN_FDS";
/// The names of the passed sockets, separated by colons (systemd's protocol).
pub const LISTEN_FDNAMES: &str = "LISTEN_FDNAMES";
/// The process the sockets are meant for (systemd's protocol).
pub const LISTEN_PID: &str = "LISTEN_PID";
/// The same process by the inode of its pidfd, which is never used again (systemd 259 and newer).
pub const LISTEN_PIDFDID: &str = "LISTEN_PIDFDID";
/// The number of the first passed socket, where it is not 3 (watchexec's addition to the protocol).
pub const LISTEN_FDS_FIRST_FD: &str = "LISTEN_FDS_FIRST_FD";
/// Where READY=1 and the like are sent (systemd's protocol).
pub const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";
/// The watchdog's period in microseconds (systemd's protocol).
pub const WATCHDOG_USEC: &str = "WATCHDOG_USEC";
/// The process the watchdog watches (systemd's protocol).
pub const WATCHDOG_PID: &str = "WATCHDOG_PID";

/// The app's name, in the environment of a generation.
pub const PORTKEEP_NAME: &str = "PORTKEEP_NAME";
/// The number of the generation, in its environment.
pub const PORTKEEP_GENERATION: &str = "PORTKEEP_GENERATION";
/// What people call the release, in the environment of a generation; not set where its spec says nothing.
pub const PORTKEEP_LABEL: &str = "PORTKEEP_LABEL";
/// The arguments of a release, quoted for systemd's word splitting; see `environment_file` of `portkeep-spec`.
pub const PORTKEEP_ARGS: &str = "PORTKEEP_ARGS";
/// What a release is told that it is called, quoted in the same way: `argv[0]`.
pub const PORTKEEP_ARGV0: &str = "PORTKEEP_ARGV0";
/// Where an app on the server library listens when no socket is passed to it.
pub const PORTKEEP_LISTEN: &str = "PORTKEEP_LISTEN";
/// How long a generation may drain, in microseconds (as systemd writes `WATCHDOG_USEC`).
pub const PORTKEEP_DRAIN_TIMEOUT_USEC: &str = "PORTKEEP_DRAIN_TIMEOUT_USEC";
/// How long it may keep an idle connection open meanwhile, in microseconds.
pub const PORTKEEP_LINGER_USEC: &str = "PORTKEEP_LINGER_USEC";
/// After how long without a request it ends, in microseconds.
pub const PORTKEEP_IDLE_EXIT_USEC: &str = "PORTKEEP_IDLE_EXIT_USEC";
/// How long a connection may be idle, in microseconds, or `off`; so are the next ones.
pub const PORTKEEP_LIMIT_IDLE_USEC: &str = "PORTKEEP_LIMIT_IDLE_USEC";
/// How long a request's head may take.
pub const PORTKEEP_LIMIT_HEAD_USEC: &str = "PORTKEEP_LIMIT_HEAD_USEC";
/// How long nothing may come of a request's body.
pub const PORTKEEP_LIMIT_BODY_USEC: &str = "PORTKEEP_LIMIT_BODY_USEC";
/// How long a client may take nothing of an answer.
pub const PORTKEEP_LIMIT_ANSWER_USEC: &str = "PORTKEEP_LIMIT_ANSWER_USEC";
/// After how long an HTTP/2 client is asked whether it is there.
pub const PORTKEEP_LIMIT_PING_USEC: &str = "PORTKEEP_LIMIT_PING_USEC";
/// How long it may take to say so.
pub const PORTKEEP_LIMIT_PONG_USEC: &str = "PORTKEEP_LIMIT_PONG_USEC";
/// How old a connection may become.
pub const PORTKEEP_LIMIT_AGE_USEC: &str = "PORTKEEP_LIMIT_AGE_USEC";
/// How many connections may be open, or `off`.
pub const PORTKEEP_LIMIT_CONNECTIONS: &str = "PORTKEEP_LIMIT_CONNECTIONS";
/// After how long TCP asks whether the other machine is there.
pub const PORTKEEP_LIMIT_TCP_KEEPALIVE_USEC: &str = "PORTKEEP_LIMIT_TCP_KEEPALIVE_USEC";
/// How long what was sent may stay without an acknowledgement.
pub const PORTKEEP_LIMIT_TCP_USER_TIMEOUT_USEC: &str = "PORTKEEP_LIMIT_TCP_USER_TIMEOUT_USEC";
/// `lossless` or `fresh`: what matters more while it drains.
pub const PORTKEEP_DRAIN: &str = "PORTKEEP_DRAIN";

/// The directory that has the files of the release that a generation runs.
pub const PORTKEEP_RELEASE_DIR: &str = "PORTKEEP_RELEASE_DIR";
/// A file that names the directories with the files of all releases that are kept, one a line.
pub const PORTKEEP_KEPT_FILES: &str = "PORTKEEP_KEPT_FILES";
/// The paths of [`DRAIN_FILE`] and [`LEAVING_FILE`], separated by a colon.
pub const PORTKEEP_DRAIN_FILES: &str = "PORTKEEP_DRAIN_FILES";
/// The file that says whether there is maintenance, in the environment of a holding page.
pub const PORTKEEP_MAINTENANCE: &str = "PORTKEEP_MAINTENANCE";

/// Where `portkeep dev` listens for the pages of the app.
pub const PORTKEEP_DEV: &str = "PORTKEEP_DEV";
/// Set where requests wait while `portkeep dev` builds.
pub const PORTKEEP_DEV_HOLD: &str = "PORTKEEP_DEV_HOLD";
/// The [hosts](development::AllowedHost), separated by commas, whose pages get `portkeep dev`'s script from wherever they are
/// asked for.
pub const PORTKEEP_DEV_HOSTS: &str = "PORTKEEP_DEV_HOSTS";

/// Variables that systemd or portkeep sets itself: a spec may not.
pub const RESERVED_VARIABLES: [&str; 32] = [
    LISTEN_FDS,
    LISTEN_FDNAMES,
    LISTEN_PID,
    LISTEN_PIDFDID,
    NOTIFY_SOCKET,
    WATCHDOG_USEC,
    WATCHDOG_PID,
    PORTKEEP_NAME,
    PORTKEEP_GENERATION,
    PORTKEEP_LABEL,
    PORTKEEP_ARGS,
    PORTKEEP_ARGV0,
    PORTKEEP_DRAIN_TIMEOUT_USEC,
    PORTKEEP_DEV,
    PORTKEEP_DEV_HOLD,
    PORTKEEP_DEV_HOSTS,
    PORTKEEP_MAINTENANCE,
    PORTKEEP_DRAIN_FILES,
    PORTKEEP_LINGER_USEC,
    PORTKEEP_IDLE_EXIT_USEC,
    PORTKEEP_RELEASE_DIR,
    PORTKEEP_KEPT_FILES,
    PORTKEEP_LIMIT_IDLE_USEC,
    PORTKEEP_LIMIT_HEAD_USEC,
    PORTKEEP_LIMIT_BODY_USEC,
    PORTKEEP_LIMIT_ANSWER_USEC,
    PORTKEEP_LIMIT_PING_USEC,
    PORTKEEP_LIMIT_PONG_USEC,
    PORTKEEP_LIMIT_AGE_USEC,
    PORTKEEP_LIMIT_CONNECTIONS,
    PORTKEEP_LIMIT_TCP_KEEPALIVE_USEC,
    PORTKEEP_LIMIT_TCP_USER_TIMEOUT_USEC,
];

/// The key in every rendered file that says whose it is; systemd ignores keys that begin with `X-`.
pub const MARK: &str = "X-Portkeep-App";

/// Variables that a manager sets for one process and that mean nothing, or something wrong, to a process it starts.
pub const NOT_INHERITED: [&str; 10] = [
    LISTEN_FDS,
    LISTEN_FDNAMES,
    LISTEN_PID,
    LISTEN_PIDFDID,
    LISTEN_FDS_FIRST_FD,
    NOTIFY_SOCKET,
    WATCHDOG_USEC,
    WATCHDOG_PID,
    "MAINPID",
    "MANAGERPID",
];

/// Portkeep's directory below the runtime, state and cache directories; an app's is `portkeep/NAME` there.
pub const DIRECTORY: &str = "portkeep";
/// The same for apps that `portkeep dev` runs without systemd.
pub const LOCAL_DIRECTORY: &str = "portkeep-local";
/// The name of the passed socket over which connections move from generation to generation.
pub const MOVE_SOCKET: &str = "portkeep-move";
/// The file of that socket, in the app's runtime directory. The server library looks for [`CURRENT`] beside it.
pub const MOVE_FILE: &str = "move";
/// The name of a passed socket on which HTTP health checks come.
pub const HEALTH_SOCKET: &str = "portkeep-health";
/// The same for those of HAProxy's agent-check.
pub const AGENT_SOCKET: &str = "portkeep-agent-check";
/// In the file of every program that answers its health sockets itself.
pub const HEALTH_MARK: &str = "portkeep: this program answers its health socket";
/// The file that is there while a person wants an app taken out, in its state directory: so that a reboot does not put it
/// back. Two numbers: since when, and the grace, in microseconds.
pub const DRAIN_FILE: &str = "drain";
/// The same while the machine shuts down, in the app's runtime directory: so that it is over with the boot.
pub const LEAVING_FILE: &str = "leaving";
/// The file that callers of the helper lock, in the app's runtime directory.
pub const LOCK: &str = "lock";
/// The symlink to the current generation's directory, in the app's runtime directory.
pub const CURRENT: &str = "current";
/// The directory of the generations, one directory for each number, in the app's runtime directory.
pub const GENERATIONS: &str = "generations";
/// The directory of a generation's release command, in that generation's own: its program, which carries the app's name, and
/// its environment file.
pub const RELEASE_COMMAND: &str = "release-command";
/// Stands for the holding page where generations have a number: in the names of its settle units, and as its directory.
pub const HOLDING: &str = "holding";
/// The slice that all apps of the system manager are in.
pub const SLICE: &str = "portkeep.slice";

/// What ends drains that hold up a shutdown for too long, in the system manager. One for all apps.
pub const SHUTDOWN: &str = "portkeep-shutdown.service";
/// What writes metrics for node_exporter, and how often. One for all apps of a manager.
pub const METRICS_SERVICE: &str = "portkeep-metrics.service";
/// The timer of that.
pub const METRICS_TIMER: &str = "portkeep-metrics.timer";
/// Names that no app may have: its units would have those of portkeep's own.
pub const OWN_NAMES: [&str; 4] = [
    DIRECTORY,
    LOCAL_DIRECTORY,
    "portkeep-shutdown",
    "portkeep-metrics",
];
/// The environment file of a generation, in its directory. The executable beside it carries the app's name.
pub const ENVIRONMENT: &str = "environment";
/// The files of a release: a directory beside its executable, and a symlink to that in the directory of each generation.
pub const FILES: &str = "files";
/// The file that [`PORTKEEP_KEPT_FILES`] names, in the app's runtime directory.
pub const KEPT_FILES: &str = "kept-files";
/// The file of a spec in a project.
pub const SPEC_FILE: &str = "portkeep.json";
