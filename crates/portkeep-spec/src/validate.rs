//! Rules of a spec beyond the types of its fields.

mod allow;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::environment_file::{arguments_too_long, is_variable_name, too_long};
use crate::escape::{check_credential_path, check_path, is_credential_id};
use crate::overlap::{Overlap, overlap};
use crate::unit_names::health_word;
use crate::{
    Address, CountLimit, HealthBy, Limit, Limits, Listen, Problem, Protocol, Readiness, Span, Spec,
    SpecError,
};
use portkeep_contract::{AGENT_SOCKET, HEALTH_SOCKET, MOVE_FILE, MOVE_SOCKET, RESERVED_VARIABLES};

/// `sun_path` of Linux, without the NUL.
const LONGEST_SOCKET_PATH: usize = 107;
const A_YEAR: Duration = Duration::from_secs(366 * 24 * 60 * 60);

impl Spec {
    /// Checks every rule. Paths may still be relative; rendering wants them [resolved](Self::resolve).
    ///
    /// # Errors
    /// The first rule that is broken, with the path of the field.
    pub fn validate(&self) -> Result<(), SpecError> {
        commands(self)?;
        sockets(self)?;
        health(self)?;
        environment(&self.environment)?;
        paths(self)?;
        allow::check(&self.allow)?;
        times(self)
    }

    /// Where the socket at `index` of [`Spec::ports`] is written.
    pub(crate) fn entry(&self, index: usize) -> String {
        match index.checked_sub(self.listen.len()) {
            None => format!("listen[{index}]"),
            Some(index) => format!("health[{index}]"),
        }
    }
}

fn commands(spec: &Spec) -> Result<(), SpecError> {
    if spec.exec.first().is_none_or(String::is_empty) {
        return Err(
            Problem::Empty("write the program to run, like [\"target/debug/hello\"]").at("exec"),
        );
    }
    if spec.build.first().is_some_and(String::is_empty) {
        return Err(
            Problem::Empty("write the program that builds, like [\"cargo\", \"build\"]")
                .at("build[0]"),
        );
    }
    if spec.release.first().is_some_and(String::is_empty) {
        return Err(Problem::Empty(
            "write the program to run, like [\"target/release/hello\", \"migrate\"]",
        )
        .at("release[0]"));
    }
    for (field, words) in [
        ("exec", &spec.exec),
        ("release", &spec.release),
        ("build", &spec.build),
    ] {
        if let Some(index) = words.iter().position(|word| word.contains('\0')) {
            return Err(Problem::Nul.at(format!("{field}[{index}]")));
        }
    }
    for (field, words) in [("exec", &spec.exec), ("release", &spec.release)] {
        let arguments = words.get(1..).unwrap_or_default();
        if let Some((length, limit)) = arguments_too_long(arguments) {
            return Err(Problem::ArgumentsTooLong { length, limit }.at(field));
        }
    }
    for (index, check) in spec.checks.iter().enumerate() {
        let field = || format!("checks[{index}]");
        if check.is_empty() {
            return Err(Problem::Empty("write a command, like \"cargo test\"").at(field()));
        }
        if check.command().iter().any(|word| word.contains('\0')) {
            return Err(Problem::Nul.at(field()));
        }
    }
    Ok(())
}

fn sockets(spec: &Spec) -> Result<(), SpecError> {
    let list = &spec.ports()[..];
    if spec.listen.is_empty() {
        return Err(Problem::Empty(
            "write at least one socket, like [{ \"stream\": \"127.0.0.1:8080\" }]",
        )
        .at("listen"));
    }
    for (index, listen) in list.iter().enumerate() {
        let at = |field: &str, problem: Problem| {
            Err(problem.at(format!("{}.{field}", spec.entry(index))))
        };
        let is_ours = index >= spec.listen.len();
        if listen.name.is_missing() {
            return at("name", Problem::NameMissing);
        }
        // The unit of the first listener is not named after it.
        let name = listen.name.as_str();
        let health = (0..spec.health.len()).map(health_word);
        let of_a_unit = || name == MOVE_FILE || health.into_iter().any(|word| name == word);
        let ours = [MOVE_SOCKET, HEALTH_SOCKET, AGENT_SOCKET];
        if !is_ours && (ours.contains(&name) || (index > 0 && of_a_unit())) {
            return at("name", Problem::ReservedSocket(name.to_owned()));
        }
        let same = |is_same: &dyn Fn(&Listen) -> bool| list[..index].iter().position(is_same);
        let same_name = same(&|other| other.name == listen.name);
        if let Some(first) = same_name.filter(|_| !is_ours) {
            let value = format!("the name {:?}", listen.name.as_str());
            return at(
                "name",
                Problem::Duplicate {
                    value,
                    first: spec.entry(first),
                },
            );
        }
        if let Some(first) = same(&|other| clashes(&other.address, &listen.address)) {
            let value = format!("the address {}", listen.address);
            return at(
                listen.address.field(),
                Problem::Duplicate {
                    value,
                    first: spec.entry(first),
                },
            );
        }
        let overlapping = list[..index].iter().enumerate().find_map(|(first, other)| {
            let overlap = overlap(&other.address, &listen.address, list)?;
            Some((first, other, overlap))
        });
        if let Some((first, other, overlap)) = overlapping {
            let problem = Problem::Overlap {
                address: listen.address.clone(),
                other: format!("{} of {}", other.address, spec.entry(first)),
                why: remedy(overlap),
            };
            return at(listen.address.field(), problem);
        }
        access(listen).or_else(|(field, problem)| at(field, problem))?;
        if listen.protocol == Protocol::Http && listen.address.field() != "stream" {
            return at("protocol", Problem::NotAStream);
        }
        if listen.backlog == 0 {
            return at("backlog", Problem::Zero("leave the field out for 4096"));
        }
        address(&listen.address).or_else(|problem| at(listen.address.field(), problem))?;
    }
    Ok(())
}

/// At a shutdown of the machine an app has so long in all (`portkeep-shutdown.service`).
const SHUTDOWN: Duration = Duration::from_secs(90);

fn health(spec: &Spec) -> Result<(), SpecError> {
    if spec.health_by == Some(HealthBy::App) {
        let why = if spec.health.is_empty() {
            Some("there is no `health` socket; write one, or leave this out")
        } else if !spec.speaks_http() {
            Some(
                "no socket of the app speaks HTTP, so that no holding page could answer for it; write \"portkeep\"",
            )
        } else if spec.readiness != Readiness::Notify {
            Some(
                "an app that does not say READY does not have the server library; write \"portkeep\"",
            )
        } else if spec.idle_exit.is_some() {
            Some(
                "each question would start an app that has ended by `idleExit`; write \"portkeep\"",
            )
        } else {
            None
        };
        if let Some(why) = why {
            return Err(Problem::NotHere(why).at("healthBy"));
        }
    }
    grace(*spec.drain_grace).map_err(|problem| problem.at("drainGrace"))
}

/// Whether a grace is shorter than what a shutdown of the machine gives an app in all, 90 s.
///
/// # Errors
/// When it is not.
pub fn grace(grace: Duration) -> Result<(), Problem> {
    if grace >= SHUTDOWN {
        return Err(Problem::GraceTooLong {
            grace: grace.into(),
            limit: SHUTDOWN.into(),
        });
    }
    Ok(())
}

fn clashes(one: &Address, other: &Address) -> bool {
    // Two Unix sockets cannot share a path, of whatever kind they are; TCP and UDP have ports of their own.
    one == other || one.path().is_some_and(|path| other.path() == Some(path))
}

fn remedy(overlap: Overlap) -> &'static str {
    match overlap {
        Overlap::Same => "both are the same address; remove one of them",
        Overlap::EveryIpv4 => "0.0.0.0 takes every IPv4 address; remove one of them",
        Overlap::EveryIpv6 => "[::] takes every IPv6 address; remove one of them",
        Overlap::EveryAddress => {
            "[::] takes every address, of IPv4 as well; remove one of them, or write 0.0.0.0 beside [::]"
        }
    }
}

/// The fields that one kind of address has and the other has not.
fn access(listen: &Listen) -> Result<(), (&'static str, Problem)> {
    let names = [("user", &listen.user), ("group", &listen.group)];
    if listen.address.path().is_none() {
        let written = [("mode", listen.mode.is_some())]
            .into_iter()
            .chain(names.map(|(field, name)| (field, name.is_some())));
        return match written.into_iter().find(|(_, is_written)| *is_written) {
            Some((field, _)) => Err((field, Problem::OnlyUnix(listen.address.clone()))),
            None => Ok(()),
        };
    }
    if listen.free_bind.is_some() {
        return Err(("freeBind", Problem::OnlyIp));
    }
    for (field, name) in names {
        if let Some(name) = name.as_ref().filter(|name| !allow::is_user_name(name)) {
            let problem = Problem::NotA("the name of a user or group", name.clone());
            return Err((field, problem));
        }
    }
    Ok(())
}

fn address(address: &Address) -> Result<(), Problem> {
    if let Some(ip) = address.ip() {
        if ip.port() == 0 {
            return Err(Problem::Zero(
                "write the port that clients are to connect to",
            ));
        }
        if matches!(ip, std::net::SocketAddr::V6(v6) if v6.scope_id() != 0) {
            return Err(Problem::Scope);
        }
    }
    if let Some(path) = address.path() {
        let text = check_path(path)?;
        if !path.is_absolute() {
            return Err(Problem::NotAbsolute(text.to_owned()));
        }
        if path.file_name().is_none() {
            return Err(Problem::Empty(
                "the path of a Unix socket must end with the name of the socket",
            ));
        }
        if text.len() > LONGEST_SOCKET_PATH {
            return Err(Problem::TooLong {
                length: text.len(),
                limit: LONGEST_SOCKET_PATH,
            });
        }
    }
    Ok(())
}

fn environment(variables: &BTreeMap<String, String>) -> Result<(), SpecError> {
    for (name, value) in variables {
        let problem = if !is_variable_name(name) {
            Problem::VariableName
        } else if RESERVED_VARIABLES.contains(&name.as_str()) {
            Problem::ReservedVariable
        } else if value.contains('\0') {
            Problem::Nul
        } else if let Some((length, limit)) = too_long(name, value) {
            Problem::VariableTooLong { length, limit }
        } else {
            continue;
        };
        return Err(problem.at(format!("environment.{name}")));
    }
    Ok(())
}

fn paths(spec: &Spec) -> Result<(), SpecError> {
    let check = |field: String, path: &Path| {
        if path.as_os_str().is_empty() {
            return Err(Problem::Empty("write a path").at(field));
        }
        check_path(path)
            .map(drop)
            .map_err(|problem| problem.at(field))
    };
    for (index, path) in spec.environment_files.iter().enumerate() {
        check(format!("environmentFiles[{index}]"), path)?;
    }
    for (id, path) in &spec.credentials {
        let field = format!("credentials.{id}");
        if !is_credential_id(id) {
            return Err(Problem::CredentialId.at(field));
        }
        check(field.clone(), path)?;
        check_credential_path(path).map_err(|problem| problem.at(field))?;
    }
    if let Some(path) = &spec.working_directory {
        check("workingDirectory".to_owned(), path)?;
    }
    if let Some(path) = &spec.files_from {
        check("filesFrom".to_owned(), path)?;
    }
    if spec.files.is_empty() && spec.files_from.is_some() {
        return Err(Problem::NoFiles.at("filesFrom"));
    }
    if let Some(path) = &spec.watch {
        check("watch".to_owned(), path)?;
        if path.file_name().is_none() {
            return Err(Problem::NothingToWatch(path.display().to_string()).at("watch"));
        }
    }
    for (index, path) in spec.sources.iter().enumerate() {
        check(format!("sources[{index}]"), path)?;
    }
    if spec
        .profile
        .as_ref()
        .is_some_and(|name| name.trim().is_empty())
    {
        let hint = "name a profile of cargo's or of your Cargo.toml, like \"dev\"";
        return Err(Problem::Empty(hint).at("profile"));
    }
    for (index, pattern) in spec.ignore.iter().enumerate() {
        if pattern.trim().is_empty() {
            let hint = "write a pattern, like \"*.generated.rs\"";
            return Err(Problem::Empty(hint).at(format!("ignore[{index}]")));
        }
    }
    Ok(())
}

fn times(spec: &Spec) -> Result<(), SpecError> {
    let restart = &spec.restart;
    // systemd takes 0 for "no limit" in most of these, the opposite of what it says.
    let positive = [
        (
            "startTimeout",
            Some(spec.start_timeout),
            "write the longest time a start may take",
        ),
        (
            "releaseTimeout",
            Some(spec.release_timeout),
            "write the longest time that the release command may take",
        ),
        (
            "drainTimeout",
            Some(spec.drain_timeout),
            "write \"1ms\" to cut everything at once",
        ),
        ("watchdog", spec.watchdog, "write null for no watchdog"),
        ("idleExit", spec.idle_exit, "write null to never exit"),
        (
            "restart.within",
            Some(restart.within),
            "write the time in which crashes are counted",
        ),
    ];
    for (field, span, hint) in positive {
        if span.is_some_and(|span| span.is_zero()) {
            return Err(Problem::Zero(hint).at(field));
        }
    }
    limits(&spec.limits)?;
    let may_be_zero = [
        ("restart.delay", Some(restart.delay)),
        ("restart.maxDelay", Some(restart.max_delay)),
        ("linger", spec.linger),
        ("drainGrace", Some(spec.drain_grace)),
        ("keepFiles", Some(spec.keep_files)),
    ];
    let all = positive
        .into_iter()
        .map(|(field, span, _)| (field, span))
        .chain(may_be_zero)
        .filter_map(|(field, span)| Some((field, span?)));
    for (field, span) in all {
        representable(span).map_err(|problem| problem.at(field))?;
    }
    if restart.delay > restart.max_delay {
        let problem = Problem::DelayAboveMaximum {
            delay: restart.delay,
            max_delay: restart.max_delay,
        };
        return Err(problem.at("restart.delay"));
    }
    for (field, count, hint) in [
        (
            "restart.rollbackAfter",
            restart.rollback_after,
            "write 1 to roll back after the first crash",
        ),
        (
            "keepGenerations",
            spec.keep_generations,
            "the current one is always kept",
        ),
        (
            "filesMaxCount",
            spec.files_max_count,
            "leave `files` out where a release brings none",
        ),
    ] {
        if count == 0 {
            return Err(Problem::Zero(hint).at(field));
        }
    }
    Ok(())
}

fn limits(limits: &Limits) -> Result<(), SpecError> {
    const HINT: &str = "write \"off\" for no limit";
    for (field, _, limit) in limits.times() {
        let Some(Limit::Span(span)) = limit else {
            continue;
        };
        let problem = match span.is_zero() {
            true => Err(Problem::Zero(HINT)),
            false => representable(span),
        };
        problem.map_err(|problem| problem.at(format!("limits.{field}")))?;
    }
    if limits.connections == Some(CountLimit::Most(0)) {
        return Err(Problem::Zero(HINT).at("limits.connections"));
    }
    Ok(())
}

fn representable(span: Span) -> Result<(), Problem> {
    if *span > A_YEAR {
        return Err(Problem::TooLongSpan);
    }
    if !span.subsec_nanos().is_multiple_of(1000) {
        return Err(Problem::TooPrecise);
    }
    Ok(())
}
