//! The names of an app's units. The same in the system and the user manager.

use std::path::{Component, Path};

use crate::{AppName, Listen, Spec};

/// The app as a whole; stopping it closes the port.
#[must_use]
pub fn target(name: &AppName) -> String {
    format!("{name}.target")
}

/// The socket unit of the first listener.
#[must_use]
pub fn socket(name: &AppName) -> String {
    format!("{name}.socket")
}

/// The socket units: of all listeners, in order, then the health sockets, then the move socket, if the app has it. systemd
/// gives all descriptors of a socket unit one name, so each socket has a unit of its own.
#[must_use]
pub fn sockets(spec: &Spec) -> Vec<String> {
    ports(spec)
        .into_iter()
        .chain(spec.has_move_socket().then(|| move_socket(&spec.name)))
        .collect()
}

/// The socket units of [`Spec::ports`], in order: clients and load balancers connect there.
#[must_use]
pub fn ports(spec: &Spec) -> Vec<String> {
    let listeners = spec.listen.iter().enumerate();
    listeners
        .map(|(index, listen)| socket_of(&spec.name, index, listen))
        .chain(health_sockets(spec))
        .collect()
}

/// The socket units of the health sockets, in their order.
#[must_use]
pub fn health_sockets(spec: &Spec) -> Vec<String> {
    let unit = |index: usize| format!("{}-{}.socket", spec.name, health_word(index));
    (0..spec.health.len()).map(unit).collect()
}

/// The first of these.
#[must_use]
pub fn health_socket(name: &AppName) -> String {
    format!("{name}-{}.socket", health_word(0))
}

/// Whether a unit could be a health socket of this app.
#[must_use]
pub fn is_health_socket(name: &AppName, unit: &str) -> bool {
    let word = unit
        .strip_prefix(name.as_str())
        .and_then(|rest| rest.strip_prefix("-health")?.strip_suffix(".socket"));
    let number = |rest: &str| rest.strip_prefix('-')?.parse::<u32>().ok();
    word.is_some_and(|rest| rest.is_empty() || number(rest).is_some())
}

/// The suffix of a health socket's unit after the app's name.
pub(crate) fn health_word(index: usize) -> String {
    match index {
        0 => "health".to_owned(),
        index => format!("health-{}", index + 1),
    }
}

/// The sockets that systemd passes to a generation and to the holding page, in the order of [`sockets`].
#[must_use]
pub fn passed(spec: &Spec) -> Vec<String> {
    let mut passed = sockets(spec);
    if !spec.app_answers_health() {
        let health = health_sockets(spec);
        passed.retain(|unit| !health.contains(unit));
    }
    passed
}

/// Answers on the health sockets of an app that does not do so itself, while it is asked.
#[must_use]
pub fn health(name: &AppName) -> String {
    format!("{name}-health.service")
}

/// Reports on the health sockets that the machine shuts down. Only an app with health sockets has it.
#[must_use]
pub fn leave(name: &AppName) -> String {
    format!("{name}-leave.service")
}

/// The socket over which connections move from generation to generation.
#[must_use]
pub fn move_socket(name: &AppName) -> String {
    format!("{name}-move.socket")
}

/// The service of that socket, which does nothing.
#[must_use]
pub fn move_service(name: &AppName) -> String {
    format!("{name}-move.service")
}

pub(crate) fn socket_of(name: &AppName, index: usize, listen: &Listen) -> String {
    if index == 0 {
        socket(name)
    } else {
        format!("{name}-{}.socket", listen.name)
    }
}

/// The handle: the unit that people start, reload and stop.
#[must_use]
pub fn handle(name: &AppName) -> String {
    format!("{name}.service")
}

/// One started release.
#[must_use]
pub fn generation(name: &AppName, number: u64) -> String {
    format!("{name}@{number}.service")
}

/// Matches all generations, for `systemctl` and for the manager's `ListUnitsByPatterns`.
#[must_use]
pub fn generation_pattern(name: &AppName) -> String {
    format!("{name}@*.service")
}

/// The template of the generations.
#[must_use]
pub fn generation_template(name: &AppName) -> String {
    format!("{name}@.service")
}

/// The release command of one generation, which runs once before its release takes over.
#[must_use]
pub fn release(name: &AppName, number: u64) -> String {
    format!("{name}-release@{number}.service")
}

/// Matches the release commands of all generations.
#[must_use]
pub fn release_pattern(name: &AppName) -> String {
    format!("{name}-release@*.service")
}

/// The template of the release commands. Only an app whose spec names one has it.
#[must_use]
pub fn release_template(name: &AppName) -> String {
    format!("{name}-release@.service")
}

/// The templates of the units that settle the end of a generation: after a failure, and after a success.
#[must_use]
pub fn settle_templates(name: &AppName) -> [String; 2] {
    settle_units(name, "")
}

/// The same for one `instance`: the number of a generation, or `holding` for the page; `*` matches all.
#[must_use]
pub fn settle_units(name: &AppName, instance: &str) -> [String; 2] {
    ["settle", "ended"].map(|hook| format!("{name}-{hook}@{instance}.service"))
}

/// The holding page. Only an app that speaks HTTP has it.
#[must_use]
pub fn holding(name: &AppName) -> String {
    format!("{name}-holding.service")
}

/// Waits for a release that can serve, while a holding page is shown. Only an app that speaks HTTP has it.
#[must_use]
pub fn retry(name: &AppName) -> String {
    format!("{name}-retry.service")
}

/// Watches the build output. Development only, like `deploy` and `recheck`.
#[must_use]
pub fn path(name: &AppName) -> String {
    format!("{name}.path")
}

/// Hands over to a changed build output.
#[must_use]
pub fn deploy(name: &AppName) -> String {
    format!("{name}-deploy.service")
}

/// Looks again after a deploy.
#[must_use]
pub fn recheck(name: &AppName) -> String {
    format!("{name}-recheck.service")
}

/// Watches a directory for secrets that change; `None` if its path is too long for the name of a unit. Only an app that
/// watches its secrets has it, and the units below.
#[must_use]
pub fn secrets_path(name: &AppName, directory: &Path) -> Option<String> {
    let unit = format!("{name}-secrets@{}.path", escape_path(directory));
    (unit.len() <= LONGEST_UNIT).then_some(unit)
}

/// Matches all of these.
#[must_use]
pub fn secrets_pattern(name: &AppName) -> String {
    format!("{name}-secrets@*.path")
}

/// The template of these.
#[must_use]
pub fn secrets_template(name: &AppName) -> String {
    format!("{name}-secrets@.path")
}

/// Hands over to secrets that have changed.
#[must_use]
pub fn secrets(name: &AppName) -> String {
    format!("{name}-secrets.service")
}

/// Looks again after that.
#[must_use]
pub fn secrets_recheck(name: &AppName) -> String {
    format!("{name}-secrets-recheck.service")
}

/// `UNIT_NAME_MAX` of systemd.
const LONGEST_UNIT: usize = 255;

/// A path as systemd writes it in the name of a unit: systemd-escape(1), `--path`.
fn escape_path(path: &Path) -> String {
    use std::fmt::Write as _;
    use std::os::unix::ffi::OsStrExt;

    let mut escaped = String::new();
    for component in path.components() {
        let Component::Normal(name) = component else {
            continue;
        };
        if !escaped.is_empty() {
            escaped.push('-');
        }
        for byte in name.as_bytes() {
            let is_first = escaped.is_empty();
            match byte {
                b'.' if is_first => escaped.push_str(r"\x2e"),
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b':' | b'_' | b'.' => {
                    escaped.push(char::from(*byte));
                }
                // Writing to a string cannot fail.
                byte => drop(write!(escaped, r"\x{byte:02x}")),
            }
        }
    }
    if escaped.is_empty() {
        escaped.push('-');
    }
    escaped
}

/// The number of a generation of this app; `None` for any other unit.
#[must_use]
pub fn parse_generation(name: &AppName, unit: &str) -> Option<u64> {
    let number = unit
        .strip_prefix(name.as_str())?
        .strip_prefix('@')?
        .strip_suffix(".service")?;
    // Only what `generation` writes: "01" and "+1" are other units.
    number
        .parse()
        .ok()
        .filter(|parsed: &u64| parsed.to_string() == number)
}

/// The generation of this app that a unit speaks of: its own, one that settles its ends, or its release command.
#[must_use]
pub fn parse_about_generation(name: &AppName, unit: &str) -> Option<u64> {
    parse_generation(name, unit).or_else(|| {
        let of_template = |template: String| {
            let own: AppName = template.strip_suffix("@.service")?.parse().ok()?;
            parse_generation(&own, unit)
        };
        let templates = settle_templates(name).into_iter();
        templates
            .chain([release_template(name)])
            .find_map(of_template)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `systemd-escape --path` writes it.
    #[test]
    fn a_directory_is_part_of_a_name() {
        let name: AppName = "hello".parse().unwrap();
        for (path, instance) in [
            ("/", "-"),
            ("/run", "run"),
            ("/run/agenix.d/1", "run-agenix.d-1"),
            ("/.hidden/.x", r"\x2ehidden-.x"),
            ("/a-b/c d/é", r"a\x2db-c\x20d-\xc3\xa9"),
        ] {
            let unit = secrets_path(&name, Path::new(path));
            assert_eq!(
                unit,
                Some(format!("hello-secrets@{instance}.path")),
                "{path}"
            );
        }
        let long = format!("/{}", "-".repeat(80));
        assert_eq!(secrets_path(&name, Path::new(&long)), None);
    }

    #[test]
    fn a_generation_is_recognised() {
        let name: AppName = "hello".parse().unwrap();
        for number in [0, 1, 17, u64::MAX] {
            assert_eq!(
                parse_generation(&name, &generation(&name, number)),
                Some(number)
            );
        }
        for other in [
            "hello@.service",
            "hello@01.service",
            "hello@+1.service",
            "hello@1.socket",
            "hello-2@1.service",
            "hello.service",
            "hell@1.service",
        ] {
            assert_eq!(parse_generation(&name, other), None, "{other}");
        }
        for (unit, about) in [
            ("hello@3.service", Some(3)),
            ("hello-settle@3.service", Some(3)),
            ("hello-ended@17.service", Some(17)),
            ("hello-release@5.service", Some(5)),
            ("hello-ended@holding.service", None),
            ("hello-other@3.service", None),
        ] {
            assert_eq!(parse_about_generation(&name, unit), about, "{unit}");
        }
    }
}
