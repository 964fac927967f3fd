//! The units of a spec, stated a second time: every directive with its decoded value, and no other.

mod development;
mod health;
mod holding;
mod release;
mod secrets;
mod sockets;

use std::collections::BTreeMap;
use std::path::PathBuf;

use portkeep_spec::{
    Listen, Manager, Protocol, Readiness, RenderOptions, Sandbox, Span, Spec, unit_names,
};

use super::reader::{Command, Read, simplified};

/// The sections of a unit, with their lines.
type Sections = Vec<(&'static str, Vec<(&'static str, String)>)>;

pub fn expected(spec: &Spec, options: &RenderOptions) -> BTreeMap<PathBuf, Read> {
    let name = spec.name.as_str();
    let mut units = BTreeMap::new();
    let mut add = |path: String, sections: &[(&str, Vec<(&str, String)>)]| {
        let mut read = Read::new();
        for (section, lines) in sections {
            read.extend(
                lines
                    .iter()
                    .map(|(key, value)| ((*section).to_owned(), (*key).to_owned(), value.clone())),
            );
        }
        read.retain(|(_, key, _)| !key.is_empty());
        read.sort();
        units.insert(PathBuf::from(path), read);
    };
    let s = str::to_owned;
    let mark = ("X-Portkeep-App", s(name));
    let when = |present: bool, key: &'static str, value: String| {
        if present { (key, value) } else { ("", s("")) }
    };
    let micros = |span: Span| time(span.as_micros());
    let command = |flags: &str, args: Vec<String>| {
        let program = simplified(options.helper.to_str().unwrap());
        format!(
            "{:?}",
            Command {
                flags: s(flags),
                program,
                args
            }
        )
    };
    let helper = |flags: &str, verb: &str, instance: bool| {
        let words = ["handle", verb, name]
            .into_iter()
            .chain(instance.then_some("<i>"))
            .chain(["--spec"]);
        let mut args: Vec<String> = words.map(s).collect();
        args.push(s(options.spec_path.to_str().unwrap()));
        command(flags, args)
    };

    let sockets = unit_names::sockets(spec);
    let description = format!("{name}, the app as a whole: stopping it closes the port");
    add(
        format!("{name}.target"),
        &[(
            "Unit",
            vec![
                ("Description", description),
                mark.clone(),
                ("Wants", sockets.join(" ")),
            ],
        )],
    );

    for (unit, listen) in sockets.iter().zip(&spec.listen) {
        add(
            unit.clone(),
            &sockets::listening(name, listen, options.manager),
        );
    }
    for (unit, sections) in health::units(spec, options) {
        add(unit, &sections);
    }
    let has_health = !spec.health.is_empty();
    let leave = format!("{name}-leave.service");
    let has_http = |listen: &Listen| listen.protocol == Protocol::Http;
    if spec.move_connections
        && spec.readiness == Readiness::Notify
        && spec.listen.iter().any(has_http)
    {
        let nothing = command("", vec![s("--version")]);
        for (unit, sections) in sockets::moving(name, options.manager, nothing) {
            add(unit, &sections);
        }
    }

    let has_release = !spec.release.is_empty();
    let release = has_release.then_some(spec.release_timeout);
    let longest = spec.start_timeout.as_micros() + release.map_or(0, |span| span.as_micros());
    let handle_timeout = time(longest + 90_000_000);
    add(
        format!("{name}.service"),
        &[
            (
                "Unit",
                vec![
                    ("Description", format!("handle of {name}")),
                    mark.clone(),
                    ("PartOf", format!("{name}.target")),
                    ("Wants", sockets.join(" ")),
                    ("After", sockets.join(" ")),
                    when(has_health, "Before", leave.clone()),
                    ("StartLimitIntervalSec", s("0")),
                    ("X-SwitchMethod", s("reload")),
                ],
            ),
            (
                "Service",
                vec![
                    ("Type", s("oneshot")),
                    ("RemainAfterExit", s("yes")),
                    ("NonBlocking", s("yes")),
                    ("RuntimeDirectory", format!("portkeep/{name}")),
                    ("RuntimeDirectoryPreserve", s("yes")),
                    ("RuntimeDirectoryMode", s("0711")),
                    ("ExecStart", helper("", "activate", false)),
                    ("ExecReload", helper("", "reload", false)),
                    ("Restart", s("on-failure")),
                    ("RestartSec", s("1s")),
                    ("RestartSteps", s("5")),
                    ("RestartMaxDelaySec", s("5s")),
                    ("TimeoutStartSec", handle_timeout.clone()),
                    ("X-ReloadIfChanged", s("true")),
                ],
            ),
        ],
    );

    let executable = format!("<t>/portkeep/{name}/generations/<i>/{name}");
    let program = Command {
        flags: s("@"),
        program: executable.clone(),
        args: vec![s("<argv0>"), s("<args>")],
    };
    let optional_path = |path: &Option<PathBuf>| {
        path.as_ref()
            .map_or_else(String::new, |path| simplified(path.to_str().unwrap()))
    };
    let mut service = vec![
        (
            "Type",
            s(if spec.readiness == Readiness::Notify {
                "notify"
            } else {
                "exec"
            }),
        ),
        ("NotifyAccess", s("main")),
        ("NonBlocking", s("yes")),
        ("Sockets", unit_names::passed(spec).join(" ")),
        ("SyslogIdentifier", s(name)),
        when(
            spec.working_directory.is_some(),
            "WorkingDirectory",
            optional_path(&spec.working_directory),
        ),
        when(
            !spec.files.is_empty() && spec.working_directory.is_none(),
            "WorkingDirectory",
            format!("<t>/portkeep/{name}/generations/<i>/files"),
        ),
        ("Environment", format!("PORTKEEP_ARGV0={executable}")),
        (
            "EnvironmentFile",
            format!("-<t>/portkeep/{name}/generations/<i>/environment"),
        ),
        ("ExecStart", format!("{program:?}")),
        ("Restart", s("no")),
        ("TimeoutStartSec", micros(spec.start_timeout)),
        ("TimeoutStartFailureMode", s("kill")),
        ("TimeoutStopSec", micros(spec.drain_timeout)),
        when(
            spec.watchdog.is_some(),
            "WatchdogSec",
            spec.watchdog.map_or_else(String::new, micros),
        ),
        ("KillMode", s("mixed")),
        ("OOMPolicy", s("continue")),
        ("X-RestartIfChanged", s("false")),
    ];
    service.extend(
        spec.environment_files
            .iter()
            .map(|path| ("EnvironmentFile", simplified(path.to_str().unwrap()))),
    );
    let credential = |(id, path): (&String, &PathBuf)| {
        (
            "LoadCredential",
            format!("{id}:{}", simplified(path.to_str().unwrap())),
        )
    };
    service.extend(spec.credentials.iter().map(credential));
    service.extend(
        spec.resources
            .memory_max
            .map(|size| ("MemoryMax", size.to_string())),
    );
    service.extend(
        spec.resources
            .cpu_quota
            .map(|quota| ("CPUQuota", quota.to_string())),
    );
    add(
        format!("{name}@.service"),
        &[
            (
                "Unit",
                vec![
                    ("Description", format!("generation <i> of {name}")),
                    mark.clone(),
                    (
                        "StopPropagatedFrom",
                        format!("{name}.service {name}.target"),
                    ),
                    ("StartLimitIntervalSec", s("0")),
                    ("CollectMode", s("inactive-or-failed")),
                    ("OnFailure", format!("{name}-settle@<i>.service")),
                    ("OnSuccess", format!("{name}-ended@<i>.service")),
                    ("OnFailureJobMode", s("fail")),
                    ("DefaultDependencies", s("no")),
                    ("Conflicts", s("shutdown.target")),
                    ("Before", s("shutdown.target")),
                    when(has_health, "Wants", leave.clone()),
                    when(has_health, "Before", leave.clone()),
                    ("X-SwitchMethod", s("keep-old")),
                ],
            ),
            ("Service", service),
        ],
    );
    if has_release {
        add(format!("{name}-release@.service"), &release::unit(spec));
    }
    let of_the_app = ["", "-release"]
        .into_iter()
        .take(1 + usize::from(has_release));
    for word in of_the_app {
        let drop_ins = format!("{name}{word}@.service.d");
        if options.manager == Manager::System {
            let slice = ("Slice", s("portkeep.slice"));
            add(
                format!("{drop_ins}/40-system.conf"),
                &[
                    ("Unit", vec![("Wants", s("portkeep-shutdown.service"))]),
                    ("Service", vec![mark.clone(), slice]),
                ],
            );
        }
        if spec.sandbox == Sandbox::Off && options.manager == Manager::System {
            let user = ("User", spec.allow.user.clone().unwrap());
            add(
                format!("{drop_ins}/50-sandbox.conf"),
                &[("Service", vec![mark.clone(), user])],
            );
        }
    }
    for word in ["settle", "ended"] {
        let settle = helper("", "<j>", true);
        add(
            format!("{name}-{word}@.service"),
            &[
                (
                    "Unit",
                    vec![
                        (
                            "Description",
                            format!("settles an end of generation <i> of {name}"),
                        ),
                        mark.clone(),
                        ("Before", format!("{name}@<i>.service")),
                        ("Before", s("shutdown.target")),
                        ("StartLimitIntervalSec", s("0")),
                        ("CollectMode", s("inactive-or-failed")),
                        ("RefuseManualStop", s("yes")),
                        ("DefaultDependencies", s("no")),
                        ("Conflicts", s("shutdown.target")),
                        ("X-SwitchMethod", s("keep-old")),
                    ],
                ),
                (
                    "Service",
                    vec![
                        ("Type", s("oneshot")),
                        ("Slice", s("portkeep.slice")),
                        ("SyslogIdentifier", s(name)),
                        ("ExecStart", settle),
                        ("Restart", s("on-failure")),
                        ("RestartSec", s("500ms")),
                        (
                            "TimeoutStartSec",
                            time(spec.restart.max_delay.as_micros() + 30_000_000),
                        ),
                        ("X-RestartIfChanged", s("false")),
                    ],
                ),
            ],
        );
    }

    if spec.listen.iter().any(has_http) {
        add(
            format!("{name}-holding.service"),
            &holding::page(spec, options),
        );
        add(
            format!("{name}-retry.service"),
            &[
                (
                    "Unit",
                    vec![
                        (
                            "Description",
                            format!("waits for a release of {name} that can serve"),
                        ),
                        mark.clone(),
                        (
                            "StopPropagatedFrom",
                            format!("{name}.service {name}.target"),
                        ),
                        ("StartLimitIntervalSec", s("0")),
                        ("X-SwitchMethod", s("keep-old")),
                    ],
                ),
                (
                    "Service",
                    vec![
                        ("Type", s("exec")),
                        ("ExecStart", helper("", "retry", false)),
                        ("Restart", s("on-failure")),
                        ("RestartSec", s("1s")),
                        ("X-RestartIfChanged", s("false")),
                    ],
                ),
            ],
        );
    }

    if spec.watch_secrets && !(spec.environment_files.is_empty() && spec.credentials.is_empty()) {
        let helper = |verb: &str| helper("", verb, false);
        for (unit, sections) in secrets::units(name, &helper, &handle_timeout) {
            add(unit, &sections);
        }
    }
    if options.manager == Manager::System || spec.watch.is_none() {
        return units;
    }
    let helper = |verb: &str| helper("", verb, false);
    for (unit, sections) in development::units(spec, &helper, &handle_timeout) {
        add(unit, &sections);
    }
    units
}

/// Microseconds as systemd reads them; the renderer chooses the unit.
fn time(micros: u128) -> String {
    if micros.is_multiple_of(1_000_000) {
        format!("{}s", micros / 1_000_000)
    } else if micros.is_multiple_of(1000) {
        format!("{}ms", micros / 1000)
    } else {
        format!("{micros}us")
    }
}
