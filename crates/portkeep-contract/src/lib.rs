//! Names, versions and messages that the server library, the engine and `portkeep dev` agree on. No dependencies.

pub mod development;

/// Number of passed sockets (systemd's protocol).
pub const LISTEN_FDS: &str = "LISTEN_FDS";
/// The names of the passed sockets, separated by colons (systemd's protocol).
pub const LISTEN_FDNAMES: &str = "LISTEN_FDNAMES";
/// The process that the sockets are for (systemd's protocol).
pub const LISTEN_PID: &str = "LISTEN_PID";
/// The same process by the inode of its pidfd, which is never reused (systemd 259 and newer).
pub const LISTEN_PIDFDID: &str = "LISTEN_PIDFDID";
/// The number of the first passed socket, if it is not 3 (watchexec's addition to the protocol).
pub const LISTEN_FDS_FIRST_FD: &str = "LISTEN_FDS_FIRST_FD";
/// Socket for READY=1 and other messages (systemd's protocol).
pub const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";
/// The watchdog's period in microseconds (systemd's protocol).
pub const WATCHDOG_USEC: &str = "WATCHDOG_USEC";
/// The process that the watchdog watches (systemd's protocol).
pub const WATCHDOG_PID: &str = "WATCHDOG_PID";

/// The app's name, in the environment of a generation.
pub const PORTKEEP_NAME: &str = "PORTKEEP_NAME";
/// The number of the generation, in its environment.
pub const PORTKEEP_GENERATION: &str = "PORTKEEP_GENERATION";
/// Label of the release, in the environment of a generation; not set if its spec has none.
pub const PORTKEEP_LABEL: &str = "PORTKEEP_LABEL";
/// The arguments of a release, quoted for systemd's word splitting; see `environment_file` of `portkeep-spec`.
pub const PORTKEEP_ARGS: &str = "PORTKEEP_ARGS";
/// `argv[0]` of a release, quoted in the same way.
pub const PORTKEEP_ARGV0: &str = "PORTKEEP_ARGV0";
/// Address that an app on the server library listens on when no socket is passed to it.
pub const PORTKEEP_LISTEN: &str = "PORTKEEP_LISTEN";
/// How long a generation may drain, in microseconds (as systemd writes `WATCHDOG_USEC`).
pub const PORTKEEP_DRAIN_TIMEOUT_USEC: &str = "PORTKEEP_DRAIN_TIMEOUT_USEC";
/// How long it may keep an idle connection open meanwhile, in microseconds.
pub const PORTKEEP_LINGER_USEC: &str = "PORTKEEP_LINGER_USEC";
/// How long it runs without a request before it exits, in microseconds.
pub const PORTKEEP_IDLE_EXIT_USEC: &str = "PORTKEEP_IDLE_EXIT_USEC";
/// How long a connection may be idle, in microseconds, or `off`. The limits below have the same form.
pub const PORTKEEP_LIMIT_IDLE_USEC: &str = "PORTKEEP_LIMIT_IDLE_USEC";
/// How long a request's head may take.
pub const PORTKEEP_LIMIT_HEAD_USEC: &str = "PORTKEEP_LIMIT_HEAD_USEC";
/// How long a client may send no byte of a request's body.
pub const PORTKEEP_LIMIT_BODY_USEC: &str = "PORTKEEP_LIMIT_BODY_USEC";
/// How long a client may take no byte of an answer.
pub const PORTKEEP_LIMIT_ANSWER_USEC: &str = "PORTKEEP_LIMIT_ANSWER_USEC";
/// How long an HTTP/2 client may be silent before it gets a ping.
pub const PORTKEEP_LIMIT_PING_USEC: &str = "PORTKEEP_LIMIT_PING_USEC";
/// How long it may take to answer a ping.
pub const PORTKEEP_LIMIT_PONG_USEC: &str = "PORTKEEP_LIMIT_PONG_USEC";
/// Longest age of a connection.
pub const PORTKEEP_LIMIT_AGE_USEC: &str = "PORTKEEP_LIMIT_AGE_USEC";
/// Number of open connections, or `off`.
pub const PORTKEEP_LIMIT_CONNECTIONS: &str = "PORTKEEP_LIMIT_CONNECTIONS";
/// Time without a packet after which TCP probes the other machine.
pub const PORTKEEP_LIMIT_TCP_KEEPALIVE_USEC: &str = "PORTKEEP_LIMIT_TCP_KEEPALIVE_USEC";
/// How long sent data may stay unacknowledged.
pub const PORTKEEP_LIMIT_TCP_USER_TIMEOUT_USEC: &str = "PORTKEEP_LIMIT_TCP_USER_TIMEOUT_USEC";
/// `lossless` or `fresh`: the aim of its drain.
pub const PORTKEEP_DRAIN: &str = "PORTKEEP_DRAIN";

/// Directory of the files of the release that a generation runs.
pub const PORTKEEP_RELEASE_DIR: &str = "PORTKEEP_RELEASE_DIR";
/// File with the directories of the files of all kept releases, one on each line.
pub const PORTKEEP_KEPT_FILES: &str = "PORTKEEP_KEPT_FILES";
/// The paths of [`DRAIN_FILE`] and [`LEAVING_FILE`], separated by a colon.
pub const PORTKEEP_DRAIN_FILES: &str = "PORTKEEP_DRAIN_FILES";
/// File that says whether there is maintenance, in the environment of a holding page.
pub const PORTKEEP_MAINTENANCE: &str = "PORTKEEP_MAINTENANCE";

/// Socket of `portkeep dev` for the pages of the app.
pub const PORTKEEP_DEV: &str = "PORTKEEP_DEV";
/// Set if requests wait while `portkeep dev` builds.
pub const PORTKEEP_DEV_HOLD: &str = "PORTKEEP_DEV_HOLD";
/// The [hosts](development::AllowedHost), separated by commas, whose pages get `portkeep dev`'s script, whichever machine
/// asks for them.
pub const PORTKEEP_DEV_HOSTS: &str = "PORTKEEP_DEV_HOSTS";

/// Variables that systemd or portkeep sets. A spec may not set them.
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

/// Key in every rendered file that names the app it belongs to. systemd ignores keys that begin with `X-`.
pub const MARK: &str = "X-Portkeep-App";

/// Variables that a manager sets for one process, and that are meaningless or wrong for its children.
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
/// The same, for apps that `portkeep dev` runs without systemd.
pub const LOCAL_DIRECTORY: &str = "portkeep-local";
/// The name of the passed socket over which connections move from generation to generation.
pub const MOVE_SOCKET: &str = "portkeep-move";
/// The file of that socket, in the app's runtime directory. The server library looks for [`CURRENT`] beside it.
pub const MOVE_FILE: &str = "move";
/// Name of a passed socket for health checks over HTTP.
pub const HEALTH_SOCKET: &str = "portkeep-health";
/// The same, for HAProxy's agent-check.
pub const AGENT_SOCKET: &str = "portkeep-agent-check";
/// Text in the file of every program that answers its health sockets itself.
pub const HEALTH_MARK: &str = "portkeep: this program answers its health socket";
/// File in the app's state directory that exists while a person has taken the app out. It outlives a reboot. Two numbers:
/// since when, and the grace, in microseconds.
pub const DRAIN_FILE: &str = "drain";
/// The same while the machine shuts down, in the app's runtime directory, which a reboot clears.
pub const LEAVING_FILE: &str = "leaving";
/// The file that callers of the helper lock, in the app's runtime directory.
pub const LOCK: &str = "lock";
/// The symlink to the current generation's directory, in the app's runtime directory.
pub const CURRENT: &str = "current";
/// The directory of the generations, one directory for each number, in the app's runtime directory.
pub const GENERATIONS: &str = "generations";
/// Directory of a generation's release command, in the generation's directory: its program, which has the app's name, and
/// its environment file.
pub const RELEASE_COMMAND: &str = "release-command";
/// Replaces a generation's number for the holding page: in the names of its settle units, and as its directory.
pub const HOLDING: &str = "holding";
/// Slice of all apps of the system manager.
pub const SLICE: &str = "portkeep.slice";

/// Unit that ends drains which hold up a shutdown for too long, in the system manager. One for all apps.
pub const SHUTDOWN: &str = "portkeep-shutdown.service";
/// Unit that writes metrics for node_exporter. One for all apps of a manager.
pub const METRICS_SERVICE: &str = "portkeep-metrics.service";
/// Timer of that unit.
pub const METRICS_TIMER: &str = "portkeep-metrics.timer";
/// Names that no app may have: its units would have the names of portkeep's own.
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
