//! Faults of the machine.

use super::facts::{AppFacts, MachineFacts};
use super::finding::{Fault, Finding};
use super::remedy;

/// Faults of the machine that matter to its apps.
#[must_use]
pub fn findings(machine: &MachineFacts, apps: &[AppFacts]) -> Vec<Finding> {
    let faults = faults(machine, apps).into_iter();
    faults
        .map(|fault| Finding {
            app: None,
            remedy: remedy::of_machine(machine.which, &fault),
            fault,
        })
        .collect()
}

fn faults(machine: &MachineFacts, apps: &[AppFacts]) -> Vec<Fault> {
    let mut found = Vec::new();
    if let Err(why) = &machine.version {
        found.push(Fault::ManagerUnreachable {
            which: machine.which,
            why: why.clone(),
        });
    }
    let sockets = || apps.iter().flat_map(|app| &app.sockets);
    let any_enabled = sockets().any(|socket| socket.state.enabled == "enabled");
    if machine.lingers == Some(false) && any_enabled {
        found.push(Fault::NoLinger);
    }
    let longest_queue = sockets().filter_map(|socket| socket.backlog).max();
    if let (Some(limit), Some(wanted)) = (machine.somaxconn, longest_queue)
        && limit < wanted
    {
        found.push(Fault::ShortQueues { limit, wanted });
    }
    if machine.aborts_on_overflow {
        found.push(Fault::AbortOnOverflow);
    }
    if !machine.unified_cgroups && machine.version.is_ok() {
        found.push(Fault::Cgroups);
    }
    found
}

#[cfg(test)]
mod tests {
    use portkeep_spec::Manager as Which;

    use super::super::app::tests::healthy;
    use super::*;

    fn machine() -> MachineFacts {
        MachineFacts {
            which: Which::User,
            version: Ok("257".to_owned()),
            lingers: Some(true),
            somaxconn: Some(4096),
            aborts_on_overflow: false,
            unified_cgroups: true,
        }
    }

    #[test]
    fn each_fault_is_found_and_nothing_else() {
        type Case = (&'static str, fn(&mut MachineFacts));
        let cases: [Case; 6] = [
            ("", |_| {}),
            ("manager-unreachable", |machine| {
                machine.version = Err("no bus".to_owned());
            }),
            ("no-linger", |machine| machine.lingers = Some(false)),
            ("somaxconn", |machine| machine.somaxconn = Some(128)),
            ("abort-on-overflow", |machine| {
                machine.aborts_on_overflow = true;
            }),
            ("cgroups", |machine| machine.unified_cgroups = false),
        ];
        for (code, change) in cases {
            let mut machine = machine();
            change(&mut machine);
            let found = findings(&machine, &[healthy()]);
            let codes: Vec<_> = found.iter().map(|one| one.fault.code()).collect();
            assert_eq!(codes.concat(), code);
        }
    }

    #[test]
    fn a_machine_without_apps_needs_no_linger() {
        let mut machine = machine();
        machine.lingers = Some(false);
        machine.somaxconn = Some(1);
        assert!(findings(&machine, &[]).is_empty());
    }
}
