//! Remedies of faults.

use std::path::Path;

use portkeep_spec::{AppName, Manager as Which, unit_names};

use super::facts::{AppFacts, DirectoryFault};
use super::finding::Fault;
use crate::directories::Untrusted;
use crate::remedy::Remedy;
use crate::stop_limits::{LimitOf, ShortLimit};

/// Where drop-ins of the system's manager are written that a person wants.
const SYSTEM_UNITS: &str = "/etc/systemd/system";

/// The remedy of a fault of the machine.
pub(super) fn of_machine(which: Which, fault: &Fault) -> Remedy {
    match fault {
        Fault::ManagerUnreachable { .. } => match which {
            Which::System => Remedy::default().after("boot with systemd, and run this as root (sudo)"),
            Which::User => Remedy::run(["loginctl enable-linger".to_owned()]).after(
                "log in through PAM (ssh, not su), or have your manager run without a session, as below; without systemd, \
                 `portkeep dev` holds the port itself",
            ),
        },
        Fault::NoLinger => Remedy::run(["loginctl enable-linger".to_owned()]),
        Fault::ShortQueues { wanted, .. } => {
            let set = format!("sysctl -w net.core.somaxconn={wanted}");
            Remedy::run([as_root(which, &set)]).after(
                "add a file in /etc/sysctl.d for the next boot; ports that are open keep their queue until they are opened anew",
            )
        }
        Fault::AbortOnOverflow => {
            let set = "sysctl -w net.ipv4.tcp_abort_on_overflow=0";
            Remedy::run([as_root(which, set)])
        }
        Fault::Cgroups => {
            Remedy::default().after("boot with systemd.unified_cgroup_hierarchy=1")
        }
        _ => Remedy::default(),
    }
}

/// The remedy of a fault of an app.
pub(super) fn of_app(app: &AppFacts, fault: &Fault) -> Remedy {
    let known = RemedyContext { app };
    if let Some(decided) = fault.decided() {
        return decided.remedy(&app.name, app.which, &fault.values());
    }
    match fault {
        Fault::NotInstalled { .. } => known.install(),
        Fault::Spec { .. } => known.install().after("correct the spec"),
        Fault::Helper { fault, .. } => known.helper(fault),
        Fault::DaemonReload { of_generation } => {
            let mut commands = vec![known.systemctl("daemon-reload")];
            if *of_generation {
                commands.extend(known.reload_if_up());
            }
            Remedy::run(commands)
        }
        Fault::OutdatedUnits { .. } => known
            .install()
            .after("put changes of your own into a drop-in, where they stay"),
        Fault::Executable { .. } => {
            Remedy::run(known.reload_if_up()).after("build the app, or correct `exec` in the spec")
        }
        Fault::Directory(fault) => known.directory(fault),
        Fault::ListenChanged { unit, .. } => known.place_anew(unit),
        Fault::WithoutDescriptor { unit, .. } | Fault::LostPath { unit, .. } => {
            Remedy::run(known.open_anew(unit))
        }
        Fault::PortTaken { unit, owner, .. } => {
            let udp = if owner.is_udp { " --udp" } else { "" };
            let free = format!("portkeep port {}{udp} --free", shell_word(&owner.address));
            let free = match owner.is_seen {
                true => free,
                false => format!("sudo {free}"),
            };
            Remedy::run([free, known.systemctl(&format!("start {unit}"))])
                .after("if what holds it is still needed, give one of the two another address; else have it stopped")
        }
        Fault::PortClosed { unit, .. } | Fault::MoveSocketClosed { unit } => {
            Remedy::run([known.systemctl(&format!("start {unit}"))])
        }
        Fault::MoveSocketDead { unit } => {
            Remedy::run([known.systemctl(&format!("restart {unit}"))])
        }
        Fault::AddressMissing {
            address, interface, ..
        } => {
            let bits = if address.is_ipv4() { 32 } else { 128 };
            let add = format!(
                "ip address add {address}/{bits} dev {}",
                shell_word(interface)
            );
            Remedy::run([as_root(app.which, &add)]).after(
                "nothing, if this machine stands by for another one; else correct `listen`, or give the address to an \
                 interface: for good in the configuration of the network, until the next boot as below",
            )
        }
        Fault::NotEnabled { unit } => Remedy::run([known.systemctl(&format!("enable {unit}"))]),
        Fault::NoGeneration { handle } => {
            Remedy::run([known.systemctl(&format!("restart {handle}"))])
        }
        Fault::TwoCurrent { .. } => Remedy::run([known.reload(" --force")]),
        // A reload is the remedy, whatever it was.
        Fault::NotServed(_) => Remedy::run([known.reload("")]),
        Fault::ShortLimit(short) => known.longer_limit(short),
        Fault::OpenFiles {
            limit, drop_ins, ..
        } => {
            let directory = shell_word(&drop_ins.display().to_string());
            let limit = limit.saturating_mul(8);
            Remedy::run([
                format!(
                    "mkdir -p {directory} && printf '[Service]\\nLimitNOFILE={limit}\\n' > {directory}/60-open-files.conf"
                ),
                known.systemctl("daemon-reload"),
                known.reload(""),
            ])
        }
        _ => Remedy::default(),
    }
}

struct RemedyContext<'a> {
    app: &'a AppFacts,
}

impl RemedyContext<'_> {
    /// `systemctl`, as it must be typed for this app.
    fn systemctl(&self, verb: &str) -> String {
        match self.app.which {
            Which::System => format!("systemctl {verb}"),
            Which::User => format!("systemctl --user {verb}"),
        }
    }

    fn reload(&self, option: &str) -> String {
        format!(
            "portkeep reload {} {}{option}",
            flag(self.app.which),
            self.app.name
        )
    }

    /// A reload, unless the next connection starts the app anyway.
    fn reload_if_up(&self) -> Option<String> {
        self.app.handle.is_active().then(|| self.reload(""))
    }

    /// Places the units again.
    fn install(&self) -> Remedy {
        let Some(spec) = &self.app.installed_spec else {
            return Remedy::default().after(
                "place its units again, as they were placed: by a switch of NixOS or home-manager, `portkeep dev`, or \
                 `portkeep install --spec FILE`",
            );
        };
        Remedy::run([format!(
            "portkeep install {} --spec {}",
            flag(self.app.which),
            shell_word(&spec.display().to_string())
        )])
    }

    fn helper(&self, fault: &super::HelperFault) -> Remedy {
        match fault {
            super::HelperFault::NoExec(mount) => self.remount("exec", mount),
            super::HelperFault::Untrusted(why) => self.install().after(why),
            _ => self.install(),
        }
    }

    /// One more drop-in, read after that which makes the limit short.
    fn longer_limit(&self, short: &ShortLimit) -> Remedy {
        let is_of_other = short.which != self.app.which;
        let units = self.app.unit_directory.as_deref().filter(|_| !is_of_other);
        let units = units.unwrap_or(Path::new(SYSTEM_UNITS));
        let directory = units.join(format!("{}.d", short.unit));
        let directory = shell_word(&directory.display().to_string());
        let seconds = short.enough.as_millis().div_ceil(1000);
        let write = format!(
            "mkdir -p {directory} && printf '[Service]\\nTimeoutStopSec={seconds}s\\n' > {directory}/{}",
            shell_word(&short.last_drop_in())
        );
        let mut commands = match is_of_other {
            true => vec![
                as_root(self.app.which, &format!("sh -c {}", shell_word(&write))),
                as_root(self.app.which, "systemctl daemon-reload"),
            ],
            false => vec![write, self.systemctl("daemon-reload")],
        };
        let (first, field) = match short.of {
            LimitOf::Drain => {
                commands.extend(self.reload_if_up());
                ("take TimeoutStopSec= out of the drop-in", "drainTimeout")
            }
            LimitOf::Leave => ("take TimeoutStopSec= out of the drop-in", "drainGrace"),
            LimitOf::Shutdown => (
                "take it out of the drop-in, or DefaultTimeoutStopSec= out of the manager's settings",
                "drainGrace",
            ),
        };
        Remedy::run(commands).after(&format!(
            "{first}, or have a shorter `{field}` in the spec; else have another drop-in win"
        ))
    }

    fn remount(&self, option: &str, mount: &Path) -> Remedy {
        let mount = shell_word(&mount.display().to_string());
        let remount = format!("mount -o remount,{option} {mount}");
        Remedy::run([as_root(self.app.which, &remount)])
            .after("correct its line in /etc/fstab, or its unit, for the next boot")
    }

    fn directory(&self, fault: &DirectoryFault) -> Remedy {
        match fault {
            DirectoryFault::ReadOnly { mount, .. } => self.remount("rw", mount),
            DirectoryFault::NoExec { mount, .. } => self.remount("exec", mount),
            DirectoryFault::Full { .. } => Remedy::default().after("free space there"),
            DirectoryFault::Untrusted(untrusted) => self.trust(untrusted),
        }
    }

    fn trust(&self, untrusted: &Untrusted) -> Remedy {
        let word = |path: &Path| shell_word(&path.display().to_string());
        match untrusted {
            Untrusted::Owner { path, .. } => Remedy::run([match self.app.which {
                Which::System => format!("chown --no-dereference root: {}", word(path)),
                Which::User => {
                    format!("sudo chown --no-dereference \"$(id -un):\" {}", word(path))
                }
            }]),
            Untrusted::Writable { path, .. } => Remedy::run([format!("chmod go-w {}", word(path))]),
            Untrusted::Io { .. } => Remedy::default().after("see that it can be looked at"),
        }
    }

    /// Closes a port. A socket that people may not stop ends with the target, when the last generation has drained; nothing
    /// waits for that, and a start in between would leave it open.
    fn close(&self, unit: &str) -> Vec<String> {
        let name: &AppName = &self.app.name;
        let is_up = self.systemctl(&format!("--quiet is-active {unit}"));
        vec![
            self.systemctl(&format!(
                "stop {} {} '{}'",
                unit_names::target(name),
                unit_names::handle(name),
                unit_names::generation_pattern(name)
            )),
            format!("while {is_up}; do sleep 0.1; done"),
        ]
    }

    /// Closes a port and opens it again.
    fn open_anew(&self, unit: &str) -> Vec<String> {
        let start = self.systemctl(&format!("start {unit}"));
        [self.close(unit), vec![start]].concat()
    }

    /// Closes a port, and opens it at the spec's address. An open socket is never changed.
    fn place_anew(&self, unit: &str) -> Remedy {
        let install = self.install();
        let commands = match install.commands.first() {
            Some(command) => [self.close(unit), vec![format!("{command} --now")]].concat(),
            None => self.open_anew(unit),
        };
        Remedy {
            commands,
            ..install
        }
    }
}

fn flag(which: Which) -> &'static str {
    match which {
        Which::System => "--system",
        Which::User => "--user",
    }
}

/// A command that needs root, as a user of this manager types it.
fn as_root(which: Which, command: &str) -> String {
    match which {
        Which::System => command.to_owned(),
        Which::User => format!("sudo {command}"),
    }
}

/// One word for a shell, whatever it contains.
fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-@:=+,%".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::app::tests::healthy;
    use super::*;

    fn short(of: LimitOf, unit: &str) -> ShortLimit {
        ShortLimit {
            of,
            unit: unit.to_owned(),
            which: Which::System,
            limit: Duration::from_secs(5),
            wanted: Duration::from_secs(10),
            enough: Duration::from_millis(40_500),
            drop_ins: vec!["/etc/systemd/system/x.service.d/override.conf".into()],
        }
    }

    #[test]
    fn a_longer_limit_is_written_behind_the_one_that_is_too_short() {
        let mut app = healthy();
        let fault = Fault::ShortLimit(short(LimitOf::Leave, "hello-leave.service"));
        assert_eq!(
            of_app(&app, &fault).commands,
            [
                "mkdir -p /etc/systemd/system/hello-leave.service.d && printf '[Service]\\nTimeoutStopSec=41s\\n' > \
                 /etc/systemd/system/hello-leave.service.d/z60-stop-limit.conf",
                "systemctl daemon-reload",
            ]
        );
        // It is part of what a generation is started with.
        let fault = Fault::ShortLimit(short(LimitOf::Drain, "hello@.service"));
        assert_eq!(
            of_app(&app, &fault).commands[2..],
            ["portkeep reload --system hello"]
        );
        // A user's manager is a unit of the system's, which only root may change.
        app.which = Which::User;
        app.unit_directory = Some("/home/me/.config/systemd/user".into());
        let fault = Fault::ShortLimit(short(LimitOf::Shutdown, "user@1000.service"));
        assert_eq!(
            of_app(&app, &fault).commands,
            [
                r"sudo sh -c 'mkdir -p /etc/systemd/system/user@1000.service.d && printf '\''[Service]\nTimeoutStopSec=41s\n'\'' > /etc/systemd/system/user@1000.service.d/z60-stop-limit.conf'",
                "sudo systemctl daemon-reload",
            ]
        );
    }

    #[test]
    fn a_word_is_one_word() {
        for (text, word) in [
            ("/etc/portkeep/a.json", "/etc/portkeep/a.json"),
            ("[::1]:80", "'[::1]:80'"),
            ("/a b/it's", r"'/a b/it'\''s'"),
            ("$(reboot)", "'$(reboot)'"),
            ("", "''"),
        ] {
            assert_eq!(shell_word(text), word);
        }
    }
}
