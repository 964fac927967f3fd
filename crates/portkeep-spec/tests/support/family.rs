//! The unit family of a spec, stated a second time: every directive with its decoded value, and no other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use portkeep_spec::{
    Address, Listen, Manager, Protocol, Readiness, RenderOptions, Span, Spec, unit_names,
};

use super::reader::{Command, Read, simplified};

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
    let helper = |flags: &str, verb: &str, instance: bool| {
        let words = ["handle", verb, name]
            .into_iter()
            .chain(instance.then_some("<i>"))
            .chain(["--spec"]);
        let mut args: Vec<String> = words.map(s).collect();
        args.push(s(options.spec_path.to_str().unwrap()));
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
        let (directive, connected) = match listen.address {
            Address::Tcp(_) | Address::UnixStream(_) => ("ListenStream", true),
            Address::UnixSeqpacket(_) => ("ListenSequentialPacket", true),
            _ => ("ListenDatagram", false),
        };
        let is_unix = listen.address.path().is_some();
        assert_eq!(
            listen.protocol == Protocol::Http,
            directive == "ListenStream"
        );
        add(
            unit.clone(),
            &[
                (
                    "Unit",
                    vec![
                        ("Description", format!("port {} of {name}", listen.name)),
                        mark.clone(),
                        ("PartOf", format!("{name}.target")),
                        ("Wants", format!("{name}.target")),
                        ("RefuseManualStop", s("yes")),
                        ("X-SwitchMethod", s("keep-old")),
                    ],
                ),
                (
                    "Socket",
                    vec![
                        (directive, simplified(&listen.address.to_string())),
                        ("FileDescriptorName", listen.name.to_string()),
                        ("Service", format!("{name}.service")),
                        when(connected, "Backlog", listen.backlog.to_string()),
                        when(is_unix, "RemoveOnStop", s("yes")),
                        ("TriggerLimitIntervalSec", s("0")),
                    ],
                ),
                ("Install", vec![("WantedBy", s("default.target"))]),
            ],
        );
    }

    let has_http = |listen: &Listen| listen.protocol == Protocol::Http;
    if spec.move_connections
        && spec.readiness == Readiness::Notify
        && spec.listen.iter().any(has_http)
    {
        add(
            format!("{name}-move.socket"),
            &[
                (
                    "Unit",
                    vec![
                        (
                            "Description",
                            format!("socket for connections of {name} that move"),
                        ),
                        mark.clone(),
                        ("PartOf", format!("{name}.target")),
                        ("Wants", format!("{name}.target")),
                        ("RefuseManualStop", s("yes")),
                        ("X-SwitchMethod", s("keep-old")),
                    ],
                ),
                (
                    "Socket",
                    vec![
                        (
                            "ListenSequentialPacket",
                            format!("<t>/portkeep/{name}/move"),
                        ),
                        ("FileDescriptorName", s("portkeep-move")),
                        ("Service", format!("{name}.service")),
                        ("SocketMode", s("0666")),
                        ("RemoveOnStop", s("yes")),
                        ("TriggerLimitIntervalSec", s("0")),
                    ],
                ),
                ("Install", vec![("WantedBy", s("default.target"))]),
            ],
        );
    }

    let handle_timeout = time(spec.start_timeout.as_micros() + 90_000_000);
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
                    ("StartLimitIntervalSec", s("0")),
                    ("X-SwitchMethod", s("reload")),
                ],
            ),
            (
                "Service",
                vec![
                    ("Type", s("oneshot")),
                    ("RemainAfterExit", s("yes")),
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
        ("Sockets", sockets.join(" ")),
        ("SyslogIdentifier", s(name)),
        when(
            spec.working_directory.is_some(),
            "WorkingDirectory",
            optional_path(&spec.working_directory),
        ),
        ("Environment", format!("PORTKEEP_ARGV0={executable}")),
        (
            "EnvironmentFile",
            format!("-<t>/portkeep/{name}/generations/<i>/environment"),
        ),
        ("ExecStart", format!("{program:?}")),
        when(
            spec.readiness == Readiness::Accepts,
            "ExecStartPost",
            format!(
                "{:?}",
                Command {
                    flags: s("+"),
                    program: simplified(options.helper.to_str().unwrap()),
                    args: ["handle", "accepts", "$MAINPID"].map(s).to_vec(),
                }
            ),
        ),
        ("ExecStopPost", helper("-+", "settle", true)),
        ("Restart", s("on-failure")),
        ("RestartSec", micros(spec.restart.delay)),
        ("TimeoutStartSec", micros(spec.start_timeout)),
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
                    ("X-SwitchMethod", s("keep-old")),
                ],
            ),
            ("Service", service),
        ],
    );

    if spec.listen.iter().any(has_http) {
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

    if options.manager == Manager::System || spec.watch.is_none() {
        return units;
    }
    let watched = spec
        .watch
        .as_ref()
        .and_then(|watch| watch.parent())
        .map(Path::to_owned);
    add(
        format!("{name}.path"),
        &[
            (
                "Unit",
                vec![
                    ("Description", format!("watches the build output of {name}")),
                    mark.clone(),
                    ("PartOf", format!("{name}.target")),
                    ("X-SwitchMethod", s("keep-old")),
                ],
            ),
            (
                "Path",
                vec![
                    ("PathChanged", optional_path(&watched)),
                    ("Unit", format!("{name}-deploy.service")),
                    ("TriggerLimitIntervalSec", s("0")),
                ],
            ),
            ("Install", vec![("WantedBy", format!("{name}.target"))]),
        ],
    );
    let helpers = [
        ("deploy", format!("hands {name} over to the new build")),
        ("recheck", format!("looks for a newer build of {name}")),
    ];
    for (verb, description) in helpers {
        let again = |key| when(verb == "deploy", key, format!("{name}-recheck.service"));
        add(
            format!("{name}-{verb}.service"),
            &[
                (
                    "Unit",
                    vec![
                        ("Description", description),
                        mark.clone(),
                        again("OnSuccess"),
                        again("OnFailure"),
                        ("StartLimitIntervalSec", s("0")),
                        ("X-SwitchMethod", s("keep-old")),
                    ],
                ),
                (
                    "Service",
                    vec![
                        ("Type", s("oneshot")),
                        ("ExecStart", helper("", verb, false)),
                        ("TimeoutStartSec", handle_timeout.clone()),
                        ("X-RestartIfChanged", s("false")),
                    ],
                ),
            ],
        );
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
