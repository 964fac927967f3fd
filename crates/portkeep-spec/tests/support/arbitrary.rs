//! Arbitrary specs, full of characters that mean something to one of the parsers on the way.

use std::path::{Path, PathBuf};
use std::time::Duration;

use portkeep_spec::{Address, Listen, Manager, Readiness, Sandbox, Span, Spec};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;

/// Some hundreds of cases, or as many as `PROPTEST_CASES` says.
pub fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok();
    ProptestConfig {
        cases: cases.map_or(512, |cases| cases.parse().unwrap()),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Characters with a meaning for some parser on the way, the worst ones often, and some harmless ones.
const NASTY: &str = "%%%%\\\\\\\\$$$$\"\"\"''';;   #=[]{}*?@+!:|~-.(),<>&^_it0aé\u{a0}\u{2007}";
/// The same, and line breaks and other control characters.
const HOSTILE: &str =
    "%%\\\\\\$$\"\"'';   #=[]{}*?@+!:-.ita\n\n\r\t\u{1}\u{b}\u{1b}\u{7f}\u{85}\u{2028}é";

fn text(characters: &'static str, longest: usize) -> BoxedStrategy<String> {
    let characters: Vec<char> = characters.chars().collect();
    vec(proptest::sample::select(characters), 0..=longest)
        .prop_map(String::from_iter)
        .boxed()
}

fn component() -> BoxedStrategy<String> {
    text(NASTY, 6).prop_map(|text| text + "a").boxed()
}

/// Any text that is possible as an argument.
pub fn hostile_text() -> BoxedStrategy<String> {
    text(HOSTILE, 12)
}

/// A path that a unit file can hold.
pub fn path() -> BoxedStrategy<PathBuf> {
    let joined =
        vec(component(), 1..4).prop_map(|parts| PathBuf::from(format!("/{}", parts.join("/"))));
    joined
        .prop_filter("systemd refuses ..", |path| {
            !path.to_str().unwrap().split('/').any(|part| part == "..")
        })
        .boxed()
}

/// The path of a socket, which is short.
pub fn socket_path() -> BoxedStrategy<PathBuf> {
    component()
        .prop_map(|name| Path::new("/run").join(name))
        .boxed()
}

/// Any path that is possible on a file system.
pub fn hostile_path() -> BoxedStrategy<PathBuf> {
    ("/?[a-z]{0,2}", text(HOSTILE, 4), "[a-z]?")
        .prop_map(|(start, middle, end)| PathBuf::from(start + &middle + &end))
        .boxed()
}

/// A path of portkeep's own executable: no quote, backslash or dollar.
pub fn program() -> BoxedStrategy<PathBuf> {
    path()
        .prop_map(|path| {
            path.to_str()
                .unwrap()
                .replace(['"', '\'', '\\', '$'], "q")
                .into()
        })
        .boxed()
}

fn span() -> impl Strategy<Value = Span> {
    (1_u64..10_000_000_000).prop_map(|micros| Duration::from_micros(micros).into())
}

fn listen(unix: BoxedStrategy<PathBuf>) -> impl Strategy<Value = Vec<Listen>> {
    let one = (
        0..5_usize,
        any::<[u8; 4]>(),
        any::<[u16; 8]>(),
        any::<bool>(),
        unix,
        1..u32::MAX,
    );
    (btree_set("[a-z][a-z0-9_-]{0,8}", 1..4), vec(one, 4)).prop_map(|(names, all)| {
        let each = names.into_iter().zip(all).enumerate();
        let listen = each.map(|(index, (name, (kind, v4, v6, is_v4, path, backlog)))| {
            let ip = if is_v4 {
                std::net::IpAddr::from(v4)
            } else {
                std::net::IpAddr::from(v6)
            };
            // Each socket has its own port and its own path.
            let ip = std::net::SocketAddr::new(ip, 1000 + u16::try_from(index).unwrap());
            let path = PathBuf::from(format!("{}{index}", path.display()));
            let address = match kind {
                0 => Address::Tcp(ip),
                1 => Address::Udp(ip),
                2 => Address::UnixStream(path),
                3 => Address::UnixDatagram(path),
                _ => Address::UnixSeqpacket(path),
            };
            let mut listen = Listen::new(name.as_str().try_into().unwrap(), address);
            listen.backlog = backlog;
            match listen.address.path() {
                Some(_) if is_v4 => {
                    let modes = ["0600", "0660", "0777"];
                    listen.mode = Some(modes[usize::from(v4[0] % 3)].parse().unwrap());
                }
                Some(_) => {
                    listen.user = (v4[1] > 99).then(|| "deploy".to_owned());
                    listen.group = (v4[2] > 99).then(|| "www-data".to_owned());
                }
                None => listen.free_bind = [None, Some(true), Some(false)][usize::from(v4[0] % 3)],
            }
            listen
        });
        listen.collect()
    })
}

pub fn spec(
    path: BoxedStrategy<PathBuf>,
    socket_path: BoxedStrategy<PathBuf>,
) -> impl Strategy<Value = Spec> {
    let who = (
        "[a-z][a-z0-9-]{0,40}",
        vec(any::<String>(), 1..3),
        listen(socket_path),
    );
    let files = (
        vec(path.clone(), 0..3),
        btree_map("[a-zA-Z0-9_-]{1,8}", path.clone(), 0..3),
    );
    let places = (option::of(path.clone()), option::of(path));
    let times = (span(), span(), option::of(span()), span());
    let flags = (any::<bool>(), any::<bool>(), option::of(1_u32..900));
    (who, files, places, times, flags).prop_map(
        |(
            (name, exec, listen),
            (environment_files, credentials),
            (working_directory, watch),
            times,
            flags,
        )| {
            let mut spec = Spec::new(name.parse().unwrap(), exec, listen);
            (spec.environment_files, spec.credentials) = (environment_files, credentials);
            (spec.working_directory, spec.watch) = (working_directory, watch);
            (
                spec.start_timeout,
                spec.drain_timeout,
                spec.watchdog,
                spec.restart.delay,
            ) = times;
            spec.restart.max_delay = spec.restart.delay;
            spec.sandbox = if flags.0 {
                Sandbox::Strict
            } else {
                Sandbox::Off
            };
            // Where it may stand for both managers.
            spec.allow.user = (spec.sandbox == Sandbox::Off).then(|| "deploy".to_owned());
            spec.readiness = if flags.1 {
                Readiness::Notify
            } else if flags.0 {
                Readiness::Accepts
            } else {
                Readiness::Started
            };
            spec.move_connections = flags.2.is_some();
            spec.files
                .extend(flags.2.map(|_| "static".parse().unwrap()));
            spec.release = flags
                .2
                .map(|_| "/bin/migrate".to_owned())
                .into_iter()
                .collect();
            spec.release_timeout = spec.drain_timeout;
            spec.watch_secrets = flags.1;
            spec.resources.memory_max = flags
                .2
                .map(|percent| format!("{percent}M").parse().unwrap());
            spec.resources.cpu_quota = flags
                .2
                .map(|percent| format!("{percent}%").parse().unwrap());
            spec
        },
    )
}

pub fn manager() -> impl Strategy<Value = Manager> {
    prop_oneof![Just(Manager::System), Just(Manager::User)]
}
