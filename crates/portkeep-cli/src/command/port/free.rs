//! Decides how to free a port: who owns it, and whether freeing it would end more than the port.

use std::fmt;

use portkeep_spec::{Manager as Which, unit_names};

use super::socket_unit::SocketUnit;
use crate::output::inline;
use crate::port_owner::PortOwner;

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Stop a unit by its manager.
    StopUnit { unit: String, manager: Which },
    /// Send SIGTERM to a process.
    Terminate { pid: i32, command: String },
    /// portkeep cannot free the port.
    Refused(String),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StopUnit { unit, manager } => write!(f, "stopping {unit} ({manager} manager)"),
            Self::Terminate { pid, command } => {
                write!(f, "SIGTERM to process {pid} ({})", inline(command))
            }
            Self::Refused(_) => f.write_str("nothing was stopped"),
        }
    }
}

/// The steps, in order. `main_pids` are the main processes of the owners' units.
pub(crate) fn steps(
    socket: &Option<SocketUnit>,
    owners: &[PortOwner],
    main_pids: &[i32],
) -> Vec<Step> {
    let mut steps = Vec::new();
    if let Some(socket) = socket {
        // The socket units of an app refuse a separate stop. The app's target closes the port and ends the app.
        let unit = match &socket.app {
            Some(app) => unit_names::target(app),
            None => socket.name.clone(),
        };
        steps.push(Step::StopUnit {
            unit,
            manager: socket.manager,
        });
        if socket.app.is_some() {
            return steps;
        }
    }
    for owner in owners {
        let step = match (owner, owner.pid) {
            (_, None) => Step::Refused(
                "it is held by a process of another user, which cannot be seen from here; use sudo"
                    .to_owned(),
            ),
            (owner, _) if owner.is_systemd() && socket.is_some() => continue,
            (owner, _) if owner.is_systemd() => Step::Refused(format!(
                "{owner} holds it, but no socket unit of a manager that can be asked listens there; use sudo, or look at \
                 `systemctl list-sockets`"
            )),
            (owner, Some(pid)) => {
                // portkeep stops a unit only if its main process owns the port. Another process of the unit (a job of cron,
                // a shell in a session) gets a signal of its own, because a stop of the unit would end much more.
                let of_main =
                    |unit: &String| unit.ends_with(".service") && main_pids.contains(&pid);
                match (
                    owner.unit.as_ref().filter(|unit| of_main(unit)),
                    owner.manager,
                ) {
                    (Some(unit), Some(manager)) => Step::StopUnit {
                        unit: unit.clone(),
                        manager,
                    },
                    _ if of_stopped_unit(owner, owners, main_pids) => continue,
                    _ => Step::Terminate {
                        pid,
                        command: owner.command.clone(),
                    },
                }
            }
        };
        if !steps.contains(&step) {
            steps.push(step);
        }
    }
    steps
}

/// Whether the owner is a worker of a service whose main process owns the port as well.
fn of_stopped_unit(owner: &PortOwner, owners: &[PortOwner], main_pids: &[i32]) -> bool {
    owner.unit.is_some()
        && owners.iter().any(|other| {
            other.unit == owner.unit
                && other
                    .unit
                    .as_deref()
                    .is_some_and(|unit| unit.ends_with(".service"))
                && other.pid.is_some_and(|pid| main_pids.contains(&pid))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(pid: i32, unit: &str) -> PortOwner {
        PortOwner {
            pid: Some(pid),
            command: format!("/bin/{pid}"),
            unit: Some(unit.to_owned()),
            manager: Some(Which::System),
            ..PortOwner::default()
        }
    }

    fn stop(unit: &str) -> Step {
        Step::StopUnit {
            unit: unit.to_owned(),
            manager: Which::System,
        }
    }

    fn socket(app: Option<&str>) -> Option<SocketUnit> {
        Some(SocketUnit {
            name: "hello.socket".to_owned(),
            manager: Which::System,
            app: app.map(|app| app.parse().unwrap()),
            since: None,
        })
    }

    #[test]
    fn an_app_is_stopped_as_a_whole() {
        let owners = [owner(1, "init.scope"), owner(40, "hello@3.service")];
        assert_eq!(
            steps(&socket(Some("hello")), &owners, &[40]),
            [stop("hello.target")]
        );
    }

    #[test]
    fn any_other_socket_unit_is_stopped_with_what_it_started() {
        let owners = [owner(1, "init.scope"), owner(40, "a.service")];
        assert_eq!(
            steps(&socket(None), &owners, &[40]),
            [stop("hello.socket"), stop("a.service")]
        );
    }

    #[test]
    fn a_service_is_stopped_once_with_its_workers() {
        let owners = [owner(7, "nginx.service"), owner(8, "nginx.service")];
        assert_eq!(steps(&None, &owners, &[7]), [stop("nginx.service")]);
        assert_eq!(
            steps(
                &None,
                &[owner(8, "nginx.service"), owner(7, "nginx.service")],
                &[7]
            ),
            [stop("nginx.service")]
        );
    }

    #[test]
    fn what_a_session_or_a_cron_job_started_is_asked_itself() {
        for unit in ["session-2.scope", "cron.service"] {
            assert_eq!(
                steps(&None, &[owner(9, unit)], &[5]),
                [Step::Terminate {
                    pid: 9,
                    command: "/bin/9".to_owned()
                }],
                "{unit}"
            );
        }
    }

    #[test]
    fn what_cannot_be_seen_is_left_alone() {
        assert!(matches!(
            steps(&None, &[PortOwner::default()], &[])[..],
            [Step::Refused(_)]
        ));
        assert!(matches!(
            steps(&None, &[owner(1, "init.scope")], &[])[..],
            [Step::Refused(_)]
        ));
        assert_eq!(steps(&None, &[], &[]), []);
    }
}
