//! Text of faults, for `doctor` and `status`.

use portkeep_engine::Generation;
use portkeep_engine::diagnosis::{DirectoryFault, Fault, HelperFault, Remedy};

use portkeep_engine::stop_limits::{LimitOf, ShortLimit};

use super::{local_time, span};

/// The fault, in one sentence.
pub(crate) fn what(fault: &Fault) -> String {
    if let Some(words) = fault.words_of_the_journal() {
        return match fault {
            Fault::TakenOut { since } => format!("{words} (since {})", local_time(*since)),
            _ => words,
        };
    }
    match fault {
        Fault::ManagerUnreachable { why, .. } => why.clone(),
        Fault::NoLinger => {
            "your user manager ends with your last session, and the ports of its apps are closed then".to_owned()
        }
        Fault::ShortQueues { limit, wanted } => format!(
            "the kernel cuts queues of connections to {limit} (net.core.somaxconn), but {wanted} are asked for: beyond that, \
             connections that wait for a version to start are delayed by seconds"
        ),
        Fault::AbortOnOverflow => {
            "the kernel resets connections when a queue is full (net.ipv4.tcp_abort_on_overflow), where clients could wait"
                .to_owned()
        }
        Fault::Cgroups => {
            "control groups are not unified (version 2): limits and figures of memory may be missing".to_owned()
        }
        Fault::NotInstalled { load } => format!("its units are not loaded ({load})"),
        Fault::Spec { why } => {
            format!("its spec cannot be used, so it cannot be started or reloaded: {why}")
        }
        Fault::Helper { path, fault } => format!(
            "its units call {}, {}: nothing can be started or reloaded",
            path.display(),
            helper(fault)
        ),
        Fault::DaemonReload { of_generation } => {
            let applied = match of_generation {
                true => ", among them the generation's: what changed is not applied",
                false => "",
            };
            format!("unit files or drop-ins changed on disk since systemd read them{applied}")
        }
        Fault::OutdatedUnits { units } => format!(
            "the spec or portkeep changed since these were written: {}",
            units.join(", ")
        ),
        Fault::Executable { why } => format!("nothing can be started: {why}"),
        Fault::ShortLimit(short) => short_limit(short),
        Fault::Directory(fault) => directory(fault),
        _ => of_sockets(fault).unwrap_or_else(|| of_generations(fault)),
    }
}

/// The remedy, in one sentence.
pub(crate) fn remedy(remedy: &Remedy) -> String {
    let commands: Vec<_> = remedy
        .commands
        .iter()
        .map(|one| format!("`{one}`"))
        .collect();
    let commands = commands.join(", then ");
    match (remedy.first.as_str(), commands.as_str()) {
        (first, "") => first.to_owned(),
        ("", commands) => commands.to_owned(),
        (first, commands) => format!("{first}: {commands}"),
    }
}

fn helper(fault: &HelperFault) -> String {
    match fault {
        HelperFault::Missing => "which is missing".to_owned(),
        HelperFault::NotExecutable => "which is not executable".to_owned(),
        HelperFault::NoExec(mount) => format!(
            "and nothing is executed from its file system ({} is mounted with noexec)",
            mount.display()
        ),
        HelperFault::Untrusted(why) => format!("which somebody else could replace ({why})"),
        HelperFault::DoesNotRun(why) => format!("which does not run ({why})"),
    }
}

fn short_limit(short: &ShortLimit) -> String {
    let (limit, wanted) = (span(short.limit), span(short.wanted));
    let unit = &short.unit;
    match short.of {
        LimitOf::Shutdown => format!(
            "a shutdown of the machine ends the app after {limit} (TimeoutStopSec= of {unit}), within the {wanted} of \
             `drainGrace` in which load balancers still send requests to it: these are lost"
        ),
        LimitOf::Leave => format!(
            "at a shutdown of the machine load balancers are told for {limit} (TimeoutStopSec= of {unit}), and not for the \
             {wanted} of `drainGrace`: requests that they send after that are lost"
        ),
        LimitOf::Drain => format!(
            "a generation that drains is killed after {limit} (TimeoutStopSec= of {unit}), though `drainTimeout` gives it \
             {wanted}: requests that take longer are cut"
        ),
    }
}

fn directory(fault: &DirectoryFault) -> String {
    match fault {
        DirectoryFault::ReadOnly { directory, mount } => format!(
            "{} cannot be written: {} is mounted read-only. A handover that cannot be recorded is refused",
            directory.display(),
            mount.display()
        ),
        DirectoryFault::NoExec { directory, mount } => format!(
            "releases are run from {}, and nothing is executed there: {} is mounted with noexec",
            directory.display(),
            mount.display()
        ),
        DirectoryFault::Full { directory, free } => format!(
            "{} has {} MiB of space left; a handover that cannot be recorded is refused",
            directory.display(),
            free >> 20
        ),
        DirectoryFault::Untrusted(untrusted) => untrusted.to_string(),
    }
}

fn of_sockets(fault: &Fault) -> Option<String> {
    let state = |failed: &Option<String>| match failed {
        Some(result) => format!("failed ({result})"),
        None => "closed".to_owned(),
    };
    Some(match fault {
        Fault::ListenChanged {
            unit,
            loaded,
            wanted,
        } => format!("{unit} listens on {loaded}, but the spec says {wanted}"),
        Fault::WithoutDescriptor { unit, address } => format!(
            "systemd calls {unit} active, but nobody listens on {address}: its address changed while it was open, and a \
             daemon-reload closed it"
        ),
        Fault::LostPath { unit, path } => format!(
            "{unit} listens, but {} is gone: nobody can connect to it",
            path.display()
        ),
        Fault::PortClosed { unit, failed } => {
            format!("the port is not open: {unit} is {}", state(failed))
        }
        Fault::PortTaken {
            unit,
            failed,
            owner,
        } => format!(
            "{unit} is {}, and its address is held by {}",
            state(failed),
            owner.who
        ),
        Fault::AddressMissing { unit, address, .. } => format!(
            "{unit} waits for {address}, which no interface of this machine has: nobody reaches it there"
        ),
        Fault::NotEnabled { unit } => {
            format!("{unit} is not enabled: the port stays closed after the next boot")
        }
        Fault::MoveSocketClosed { unit } => {
            format!("{unit} is not open: a reload closes connections that it could move")
        }
        Fault::MoveSocketDead { unit } => format!(
            "systemd calls {unit} active, but nobody can connect to it, because its file is or was gone: a reload closes \
             connections that it could move"
        ),
        _ => return None,
    })
}

fn of_generations(fault: &Fault) -> String {
    match fault {
        Fault::NoGeneration { handle } => {
            format!("{handle} is active, but no generation runs: connections wait for ever")
        }
        Fault::TwoCurrent { current, others } => {
            let others: Vec<_> = others.iter().map(Generation::to_string).collect();
            format!(
                "generation {} serves beside the current one ({}): a helper was killed in mid-handover",
                others.join(", "),
                current.map_or_else(|| "none".to_owned(), |current| current.to_string())
            )
        }
        Fault::NotServed(instead) => {
            format!("what is installed does not serve: {instead}")
        }
        Fault::OpenFiles {
            generation,
            open,
            limit,
            ..
        } => format!(
            "generation {generation} has {open} of {limit} files open, connections included"
        ),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remedy_is_one_sentence() {
        let of = |first: &str, commands: &[&str]| {
            remedy(&Remedy {
                first: first.to_owned(),
                commands: commands.iter().map(|&one| one.to_owned()).collect(),
            })
        };
        assert_eq!(of("", &["a", "b"]), "`a`, then `b`");
        assert_eq!(of("build it", &["a"]), "build it: `a`");
        assert_eq!(of("build it", &[]), "build it");
    }

    #[test]
    fn a_reason_is_told_without_the_lines_below_it() {
        let reason = Some("it exited with status 3; its last lines:\n  | boom".to_owned());
        let told = what(&Fault::NothingServes { reason });
        assert!(told.ends_with("failed: it exited with status 3"), "{told}");
    }
}
