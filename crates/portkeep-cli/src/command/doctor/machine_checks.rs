//! What can be wrong with the machine. Pure: facts in, findings out.

use portkeep_spec::Manager as Which;

use super::facts::{AppFacts, MachineFacts};
use super::finding::{Finding, Level};

pub(crate) fn findings(machine: &MachineFacts, apps: &[AppFacts]) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut say = |level, code, what: String, remedy: String| {
        found.push(Finding {
            level,
            app: None,
            code,
            what,
            remedy,
        });
    };
    if let Err(why) = &machine.version {
        let remedy = match machine.which {
            Which::System => "boot with systemd, and run this as root (sudo)",
            Which::User => {
                "log in through PAM (ssh, not su), or `loginctl enable-linger $USER`; without systemd, `portkeep dev` holds \
                 the port itself"
            }
        };
        say(
            Level::Problem,
            "manager-unreachable",
            why.clone(),
            remedy.to_owned(),
        );
    }
    let any_enabled = apps
        .iter()
        .flat_map(|app| &app.sockets)
        .any(|socket| socket.state.enabled == "enabled");
    if machine.lingers == Some(false) && any_enabled {
        say(
            Level::Advice,
            "no-linger",
            "your user manager ends with your last session, and the ports of its apps are closed then".to_owned(),
            "`loginctl enable-linger` keeps it, also over a reboot".to_owned(),
        );
    }
    let longest_queue = apps
        .iter()
        .flat_map(|app| &app.sockets)
        .filter_map(|socket| socket.backlog)
        .max();
    if let (Some(limit), Some(wanted)) = (machine.somaxconn, longest_queue)
        && limit < wanted
    {
        say(
            Level::Advice,
            "somaxconn",
            format!(
                "the kernel cuts queues of connections to {limit} (net.core.somaxconn), but {wanted} are asked for: beyond \
                 that, connections that wait for a version to start are delayed by seconds"
            ),
            format!(
                "`sysctl -w net.core.somaxconn={wanted}`, and a file in /etc/sysctl.d for the next boot; then open the ports \
                 anew (stop NAME.target, start NAME.socket)"
            ),
        );
    }
    if machine.aborts_on_overflow {
        say(
            Level::Problem,
            "abort-on-overflow",
            "the kernel resets connections when a queue is full (net.ipv4.tcp_abort_on_overflow), where clients could wait".to_owned(),
            "`sysctl -w net.ipv4.tcp_abort_on_overflow=0`".to_owned(),
        );
    }
    if !machine.unified_cgroups && machine.version.is_ok() {
        say(
            Level::Advice,
            "cgroups",
            "control groups are not unified (version 2): limits and figures of memory may be missing".to_owned(),
            "boot with systemd.unified_cgroup_hierarchy=1".to_owned(),
        );
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::app_checks::tests::healthy;
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
            let codes: Vec<_> = found.iter().map(|one| one.code).collect();
            assert_eq!(codes.concat(), code);
        }
    }

    #[test]
    fn a_machine_without_apps_needs_no_linger() {
        let mut machine = machine();
        machine.lingers = Some(false);
        machine.somaxconn = Some(1);
        assert_eq!(findings(&machine, &[]), []);
    }
}
