//! Faults of an app.

use std::path::{Path, PathBuf};

use portkeep_spec::unit_names;

use super::facts::{AppFacts, DirectoryFault, GenerationFacts, HelperFault, SocketFacts};
use super::finding::{Fault, Finding};
use super::remedy;
use crate::generation::Phase;
use crate::installed::Mismatch;

/// Faults of an app, causes before consequences.
#[must_use]
pub fn findings(app: AppFacts) -> Vec<Finding> {
    let faults = faults(&app);
    faults
        .into_iter()
        .map(|fault| Finding {
            app: Some(app.name.clone()),
            remedy: remedy::of_app(&app, &fault),
            fault,
        })
        .collect()
}

fn faults(app: &AppFacts) -> Vec<Fault> {
    if app.handle.load != "loaded" {
        let load = app.handle.load.clone();
        return vec![Fault::NotInstalled { load }];
    }
    let mut found = files(app);
    found.extend(app.sockets.iter().flat_map(|one| socket(app, one)));
    // After the sockets: one with another address is closed first.
    if !app.outdated.is_empty() {
        let units = app.outdated.clone();
        found.push(Fault::OutdatedUnits { units });
    }
    // Units that were not written as the spec says have limits of an earlier one.
    let short = app.short_limits.iter();
    let short = short.filter(|short| !app.outdated.contains(&short.unit));
    found.extend(short.cloned().map(Fault::ShortLimit));
    found.extend(generations(app));
    found.extend(serves(app));
    if let Some(taken_out) = &app.taken_out {
        let since = taken_out.since;
        found.push(Fault::TakenOut { since });
    }
    found
}

/// Faults on disk: directories, spec, units, helper, executable.
fn files(app: &AppFacts) -> Vec<Fault> {
    let mut found: Vec<_> = app
        .directories
        .iter()
        .cloned()
        .map(Fault::Directory)
        .collect();
    let no_exec: Vec<&Path> = app
        .directories
        .iter()
        .filter_map(|fault| match fault {
            DirectoryFault::NoExec { mount, .. } => Some(mount.as_path()),
            _ => None,
        })
        .collect();
    if let Some(why) = app.bad_spec.clone() {
        found.push(Fault::Spec { why });
    }
    if let Some((path, fault)) = app.helper.clone() {
        // The directory was reported already, with the same remedy.
        let is_told =
            matches!(&fault, HelperFault::NoExec(mount) if no_exec.contains(&mount.as_path()));
        if !is_told {
            found.push(Fault::Helper { path, fault });
        }
    }
    let of_generation = app.generations.iter().any(|one| one.needs_daemon_reload);
    let units = [&app.target, &app.handle].into_iter();
    let mut units = units.chain(app.sockets.iter().map(|socket| &socket.state));
    if of_generation || units.any(|unit| unit.needs_daemon_reload) {
        found.push(Fault::DaemonReload { of_generation });
    }
    if let Some(why) = app.bad_executable.clone() {
        found.push(Fault::Executable { why });
    }
    found
}

fn socket(app: &AppFacts, socket: &SocketFacts) -> Vec<Fault> {
    if socket.unit == unit_names::move_socket(&app.name) {
        return move_socket(app, socket).into_iter().collect();
    }
    let mut found = Vec::new();
    let unit = socket.unit.clone();
    let loaded = socket.state.listen.first();
    let loaded = loaded.map(|(_, address)| address.clone());
    if let (Some(wanted), Some(loaded)) = (&socket.wanted, &loaded)
        && wanted != loaded
    {
        found.push(Fault::ListenChanged {
            unit: unit.clone(),
            loaded: loaded.clone(),
            wanted: wanted.clone(),
        });
    }
    found.extend(reached(socket, loaded.unwrap_or_default()));
    if let Some((address, interface)) = socket.missing_address.clone() {
        found.push(Fault::AddressMissing {
            unit: unit.clone(),
            address,
            interface,
        });
    }
    // Links that last until the next boot (`portkeep dev`), and those of Nix, are not enabled by name.
    if socket.state.enabled == "disabled" && !socket.state.fragment.starts_with("/run/") {
        found.push(Fault::NotEnabled { unit });
    }
    found
}

/// Why no connection arrives through it.
fn reached(socket: &SocketFacts, address: String) -> Option<Fault> {
    let unit = socket.unit.clone();
    match socket.state.active.as_str() {
        "active" if socket.somebody_listens == Some(false) => {
            Some(Fault::WithoutDescriptor { unit, address })
        }
        "active" => {
            let path = socket.lost_path.clone()?;
            Some(Fault::LostPath { unit, path })
        }
        "activating" | "deactivating" => None,
        state => {
            let failed = (state == "failed").then(|| socket.state.result.clone());
            Some(match socket.held_by.clone() {
                Some(owner) => Fault::PortTaken {
                    unit,
                    failed,
                    owner,
                },
                None => Fault::PortClosed { unit, failed },
            })
        }
    }
}

/// An app serves without it, and it follows the target.
fn move_socket(app: &AppFacts, socket: &SocketFacts) -> Option<Fault> {
    let unit = socket.unit.clone();
    match socket.state.active.as_str() {
        "active" if socket.somebody_listens == Some(false) || socket.lost_path.is_some() => {
            Some(Fault::MoveSocketDead { unit })
        }
        "inactive" | "failed" if app.target.is_active() => Some(Fault::MoveSocketClosed { unit }),
        _ => None,
    }
}

fn generations(app: &AppFacts) -> Vec<Fault> {
    let mut found = Vec::new();
    let is_at_work = app.handle.job.is_some();
    let serving = || {
        let all = app.generations.iter();
        all.filter(|one| one.phase == Phase::Serving)
    };
    let others: Vec<_> = serving()
        .map(|one| one.generation)
        .filter(|one| Some(*one) != app.current)
        .collect();
    if !others.is_empty() && !is_at_work {
        found.push(Fault::TwoCurrent {
            current: app.current,
            others,
        });
    }
    found.extend(app.generations.iter().flat_map(|one| generation(app, one)));
    found
}

fn generation(app: &AppFacts, one: &GenerationFacts) -> Vec<Fault> {
    let mut found = Vec::new();
    if let Some((open, limit)) = one.open_files
        && open.saturating_mul(10) >= limit.saturating_mul(8)
    {
        let units = app.unit_directory.clone();
        let units = units.unwrap_or_else(|| PathBuf::from("/etc/systemd/system"));
        found.push(Fault::OpenFiles {
            generation: one.generation,
            open,
            limit,
            drop_ins: units.join(format!("{}.d", unit_names::generation_template(&app.name))),
        });
    }
    if one.restarts > 0 && Some(one.generation) == app.current {
        found.push(Fault::Crashes {
            generation: one.generation,
            times: one.restarts,
        });
    }
    found
}

/// Whether the installed release serves. At most one fault, with its reason.
fn serves(app: &AppFacts) -> Option<Fault> {
    let is_alive = |phase| app.generations.iter().any(|one| one.phase == phase);
    let is_held = app
        .generations
        .iter()
        .any(|one| one.is_holding_page && one.phase == Phase::Serving);
    if app.instead == Some(Mismatch::Maintenance) {
        return app.instead.clone().map(Fault::NotServed);
    }
    if is_held {
        return Some(Fault::HoldingPage {
            reason: app.last_reason.clone(),
        });
    }
    if is_alive(Phase::Serving) {
        return app.instead.clone().map(Fault::NotServed);
    }
    if is_alive(Phase::Starting) {
        return None;
    }
    if app.handle.is_active() && app.handle.job.is_none() {
        let handle = unit_names::handle(&app.name);
        return Some(Fault::NoGeneration { handle });
    }
    // Its start is tried again and again, or was given up.
    if app.handle.sub == "auto-restart" || app.handle.active == "failed" {
        let reason = app.last_reason.clone();
        return Some(Fault::NothingServes { reason });
    }
    match app.instead.clone()? {
        Mismatch::Failed { result, reason } if !result.serves() => {
            Some(Fault::NothingServes { reason })
        }
        // The next connection would start the same release again.
        instead @ (Mismatch::Failed { .. } | Mismatch::RolledBack { .. }) => {
            Some(Fault::NotServed(instead))
        }
        _ => None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use portkeep_spec::Manager as Which;

    use super::super::finding::Level;
    use super::super::{PortOwner, Remedy};
    use super::*;
    use crate::backend::systemd::UnitState;
    use crate::directories::Untrusted;
    use crate::generation::Generation;
    use crate::stop_limits::{LimitOf, ShortLimit};
    use crate::store::HandoverResult;
    use crate::taken_out::TakenOut;

    fn active() -> UnitState {
        UnitState {
            load: "loaded".to_owned(),
            active: "active".to_owned(),
            enabled: "enabled".to_owned(),
            fragment: "/etc/systemd/system/hello.x".to_owned(),
            listen: vec![("Stream".to_owned(), "127.0.0.1:80".to_owned())],
            ..UnitState::default()
        }
    }

    pub(in super::super) fn healthy() -> AppFacts {
        AppFacts {
            name: "hello".parse().unwrap(),
            which: Which::System,
            installed_spec: Some("/etc/portkeep/hello.json".into()),
            unit_directory: Some("/etc/systemd/system".into()),
            bad_spec: None,
            bad_executable: None,
            target: active(),
            handle: active(),
            sockets: vec![SocketFacts {
                unit: "hello.socket".to_owned(),
                state: active(),
                wanted: Some("127.0.0.1:80".to_owned()),
                somebody_listens: Some(true),
                backlog: Some(4096),
                ..SocketFacts::default()
            }],
            outdated: Vec::new(),
            helper: None,
            current: Some(Generation(2)),
            generations: vec![GenerationFacts {
                generation: Generation(2),
                phase: Phase::Serving,
                is_holding_page: false,
                needs_daemon_reload: false,
                restarts: 0,
                open_files: Some((20, 1024)),
            }],
            directories: Vec::new(),
            instead: None,
            short_limits: Vec::new(),
            taken_out: None,
            last_reason: None,
        }
    }

    fn short_limit() -> ShortLimit {
        ShortLimit {
            of: LimitOf::Leave,
            unit: "hello-leave.service".to_owned(),
            which: Which::System,
            limit: Duration::from_secs(5),
            wanted: Duration::from_secs(10),
            enough: Duration::from_secs(20),
            drop_ins: Vec::new(),
        }
    }

    fn failed(result: HandoverResult) -> Option<Mismatch> {
        let reason = Some("it exited".to_owned());
        Some(Mismatch::Failed { result, reason })
    }

    fn add_move_socket(app: &mut AppFacts) -> &mut SocketFacts {
        let mut socket = app.sockets[0].clone();
        socket.unit = "hello-move.socket".to_owned();
        app.sockets.push(socket);
        &mut app.sockets[1]
    }

    fn codes(app: AppFacts) -> String {
        let codes: Vec<_> = findings(app).iter().map(|one| one.fault.code()).collect();
        codes.join(" ")
    }

    fn remedy(change: impl FnOnce(&mut AppFacts)) -> Remedy {
        let mut app = healthy();
        change(&mut app);
        let mut found = findings(app);
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0).remedy
    }

    type Case = (&'static str, fn(&mut AppFacts));

    fn expect(cases: &[Case]) {
        for (code, change) in cases {
            let mut app = healthy();
            change(&mut app);
            let shown = format!("{app:?}");
            assert_eq!(codes(app), *code, "{shown}");
        }
    }

    #[test]
    fn each_fault_of_files_is_found_and_nothing_else() {
        expect(&[
            ("", |_| {}),
            ("not-installed", |app| {
                app.handle.load = "not-found".to_owned();
            }),
            ("spec", |app| app.bad_spec = Some("bad".to_owned())),
            ("helper", |app| {
                app.helper = Some(("/x".into(), HelperFault::Missing));
            }),
            ("helper", |app| {
                app.helper = Some(("/x".into(), HelperFault::NoExec("/".into())));
            }),
            // One file system is one fault.
            ("no-exec", |app| {
                let mount = PathBuf::from("/var");
                app.helper = Some(("/var/x".into(), HelperFault::NoExec(mount.clone())));
                let directory = "/var/lib".into();
                app.directories = vec![DirectoryFault::NoExec { directory, mount }];
            }),
            ("daemon-reload", |app| {
                app.sockets[0].state.needs_daemon_reload = true;
            }),
            ("daemon-reload", |app| {
                app.generations[0].needs_daemon_reload = true;
            }),
            ("outdated-units", |app| {
                app.outdated = vec!["hello.socket".to_owned()];
            }),
            ("executable", |app| {
                app.bad_executable = Some("no file".to_owned());
            }),
            ("directory", |app| {
                let directory = "/var/lib".into();
                app.directories = vec![DirectoryFault::Full { directory, free: 1 }];
            }),
        ]);
    }

    #[test]
    fn each_fault_of_sockets_is_found_and_nothing_else() {
        expect(&[
            ("listen-changed", |app| {
                app.sockets[0].wanted = Some("127.0.0.1:81".to_owned());
            }),
            ("socket-without-descriptor", |app| {
                app.sockets[0].somebody_listens = Some(false);
            }),
            ("socket-path-lost", |app| {
                app.sockets[0].lost_path = Some("/run/a".into());
            }),
            ("port-closed", |app| {
                app.sockets[0].state.active = "inactive".to_owned();
            }),
            ("port-taken", |app| {
                app.sockets[0].state.active = "failed".to_owned();
                app.sockets[0].held_by = Some(PortOwner {
                    who: "process 3 (nc)".to_owned(),
                    address: "127.0.0.1:80".to_owned(),
                    is_udp: false,
                    is_seen: true,
                });
            }),
            ("address-missing", |app| {
                let address = "192.0.2.7".parse().unwrap();
                app.sockets[0].missing_address = Some((address, "eth0".to_owned()));
            }),
            ("not-enabled", |app| {
                app.sockets[0].state.enabled = "disabled".to_owned();
            }),
            ("", |app| {
                app.sockets[0].state.enabled = "disabled".to_owned();
                app.sockets[0].state.fragment =
                    "/run/user/1000/systemd/user/hello.socket".to_owned();
            }),
            ("move-socket-closed", |app| {
                add_move_socket(app).state.active = "inactive".to_owned();
            }),
            ("move-socket-without-descriptor", |app| {
                add_move_socket(app).somebody_listens = Some(false);
            }),
            ("move-socket-without-descriptor", |app| {
                add_move_socket(app).lost_path = Some("/run/move".into());
            }),
        ]);
    }

    #[test]
    fn each_fault_of_generations_is_found_and_nothing_else() {
        expect(&[
            ("no-generation", |app| app.generations.clear()),
            // A draining generation takes no connection.
            ("no-generation", |app| {
                app.generations[0].phase = Phase::Draining;
            }),
            ("", |app| app.generations[0].phase = Phase::Starting),
            ("nothing-serves", |app| {
                app.generations.clear();
                app.handle.active = "activating".to_owned();
                app.handle.sub = "auto-restart".to_owned();
            }),
            ("nothing-serves", |app| {
                app.generations.clear();
                app.handle.active = "inactive".to_owned();
                app.instead = failed(HandoverResult::Failed);
            }),
            ("fell-back", |app| {
                app.generations.clear();
                app.handle.active = "inactive".to_owned();
                app.instead = failed(HandoverResult::FellBack);
            }),
            // The next connection takes the release of that time.
            ("", |app| {
                app.generations.clear();
                app.handle.active = "inactive".to_owned();
                app.instead = Some(Mismatch::OtherFiles);
            }),
            // During a handover both may serve for a moment.
            ("", |app| {
                app.handle.job = Some(1);
                app.current = Some(Generation(1));
            }),
            ("two-current", |app| app.current = Some(Generation(1))),
            ("open-files", |app| {
                app.generations[0].open_files = Some((900, 1024));
            }),
            ("stop-limit", |app| app.short_limits = vec![short_limit()]),
            // The units are those of another spec.
            ("outdated-units", |app| {
                app.short_limits = vec![short_limit()];
                app.outdated = vec!["hello-leave.service".to_owned()];
            }),
            ("holding-page", |app| {
                app.generations[0].is_holding_page = true;
                app.instead = Some(Mismatch::Holding);
            }),
            ("maintenance", |app| {
                app.generations[0].is_holding_page = true;
                app.instead = Some(Mismatch::Maintenance);
            }),
            ("taken-out", |app| app.taken_out = Some(TakenOut::default())),
            ("crashes", |app| app.generations[0].restarts = 2),
            ("fell-back", |app| {
                app.instead = failed(HandoverResult::FellBack);
            }),
            ("last-handover-failed", |app| {
                app.instead = failed(HandoverResult::Refused);
            }),
            ("rolled-back", |app| {
                app.instead = Some(Mismatch::RolledBack { reason: None });
            }),
            ("not-handed-over", |app| {
                app.instead = Some(Mismatch::OtherFiles);
            }),
            ("settings-not-applied", |app| {
                app.instead = Some(Mismatch::OtherSettings);
            }),
        ]);
    }

    #[test]
    fn what_does_not_serve_as_it_was_told_is_a_problem() {
        let level = |instead| Fault::NotServed(instead).level();
        assert_eq!(
            level(failed(HandoverResult::FellBack).unwrap()),
            Level::Problem
        );
        assert_eq!(
            level(failed(HandoverResult::Failed).unwrap()),
            Level::Advice
        );
        assert_eq!(level(Mismatch::RolledBack { reason: None }), Level::Advice);
        assert_eq!(
            Fault::NothingServes { reason: None }.level(),
            Level::Problem
        );
    }

    #[test]
    fn an_app_that_nobody_connected_to_yet_is_well() {
        let mut app = healthy();
        app.handle.active = "inactive".to_owned();
        app.current = None;
        app.generations.clear();
        assert_eq!(codes(app), "");
    }

    #[test]
    fn a_remedy_is_what_has_to_be_typed() {
        let closed = |app: &mut AppFacts| app.sockets[0].state.active = "inactive".to_owned();
        assert_eq!(remedy(closed).commands, ["systemctl start hello.socket"]);
        let of_user = |app: &mut AppFacts| {
            closed(app);
            app.which = Which::User;
        };
        let commands = remedy(of_user).commands;
        assert_eq!(commands, ["systemctl --user start hello.socket"]);
        let edited = |app: &mut AppFacts| app.generations[0].needs_daemon_reload = true;
        let commands = remedy(edited).commands;
        assert_eq!(
            commands,
            ["systemctl daemon-reload", "portkeep reload --system hello"]
        );
        let moved = |app: &mut AppFacts| app.sockets[0].wanted = Some("127.0.0.1:81".to_owned());
        let commands = remedy(moved).commands;
        assert!(
            commands[0].starts_with("systemctl stop hello.target"),
            "{commands:?}"
        );
        let install = "portkeep install --system --spec /etc/portkeep/hello.json --now";
        assert_eq!(commands.last().map(String::as_str), Some(install));
        let by_nix = |app: &mut AppFacts| {
            app.installed_spec = None;
            app.helper = Some(("/x".into(), HelperFault::Missing));
        };
        let by_nix = remedy(by_nix);
        assert!(by_nix.commands.is_empty() && by_nix.first.contains("NixOS"));
        let writable = |app: &mut AppFacts| {
            let untrusted = Untrusted::Writable {
                path: "/var/lib/portkeep".into(),
                mode: 0o777,
                writers: "everybody",
            };
            app.directories = vec![DirectoryFault::Untrusted(Arc::new(untrusted))];
        };
        assert_eq!(remedy(writable).commands, ["chmod go-w /var/lib/portkeep"]);
    }
}
