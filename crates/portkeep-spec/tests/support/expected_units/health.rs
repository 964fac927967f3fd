//! The health sockets, what answers there, and what tells there of a shutdown.

use portkeep_spec::{HealthBy, Listen, Protocol, RenderOptions, Spec};

use super::super::reader::{Command, simplified};
use super::{Sections, sockets, time};

pub fn units(spec: &Spec, options: &RenderOptions) -> Vec<(String, Sections)> {
    if spec.health.is_empty() {
        return Vec::new();
    }
    let name = spec.name.as_str();
    let s = str::to_owned;
    let mark = || ("X-Portkeep-App", s(name));
    let leave = format!("{name}-leave.service");
    let service = match spec.health_by {
        Some(HealthBy::App) => format!("{name}.service"),
        _ => format!("{name}-health.service"),
    };
    let helper = |verb: &str, more: &[&str]| {
        let command = Command {
            flags: s(""),
            program: simplified(options.helper.to_str().unwrap()),
            args: ["handle", verb, name]
                .iter()
                .chain(more)
                .map(|&word| s(word))
                .collect(),
        };
        format!("{command:?}")
    };
    let mut units = Vec::new();
    let mut names = Vec::new();
    for (index, socket) in spec.health.iter().enumerate() {
        let word = match index {
            0 => s("health"),
            index => format!("health-{}", index + 1),
        };
        // As any other stream.
        let listen = Listen {
            protocol: Protocol::Http,
            ..socket.as_listen()
        };
        let mut sections = sockets::listening(name, &listen, options.manager);
        for (_, lines) in &mut sections {
            for (key, value) in lines {
                if *key == "Service" {
                    value.clone_from(&service);
                }
            }
        }
        names.push(format!("{name}-{word}.socket"));
        units.push((format!("{name}-{word}.socket"), sections));
    }
    let unit = vec![
        (
            "Unit",
            vec![
                ("Description", format!("answers whether {name} is ready")),
                mark(),
                ("StopPropagatedFrom", format!("{name}.target")),
                ("StartLimitIntervalSec", s("0")),
                ("CollectMode", s("inactive-or-failed")),
                ("DefaultDependencies", s("no")),
                ("Conflicts", s("shutdown.target")),
                ("Before", s("shutdown.target")),
                ("Before", leave.clone()),
                ("X-SwitchMethod", s("keep-old")),
            ],
        ),
        (
            "Service",
            vec![
                ("Type", s("notify")),
                ("NotifyAccess", s("main")),
                ("Sockets", names.join(" ")),
                ("NonBlocking", s("yes")),
                ("SyslogIdentifier", s(name)),
                ("ExecStart", helper("health", &[])),
                ("Restart", s("no")),
                ("TimeoutStartSec", s("20s")),
                ("TimeoutStopSec", s("5s")),
                ("X-RestartIfChanged", s("false")),
            ],
        ),
    ];
    units.push((format!("{name}-health.service"), unit));
    let spec_path = options.spec_path.to_str().unwrap();
    let unit = vec![
        (
            "Unit",
            vec![
                (
                    "Description",
                    format!("tells load balancers at a shutdown that {name} goes"),
                ),
                mark(),
                ("DefaultDependencies", s("no")),
                ("Conflicts", s("shutdown.target")),
                ("Before", s("shutdown.target")),
                ("IgnoreOnIsolate", s("yes")),
                ("X-SwitchMethod", s("keep-old")),
            ],
        ),
        (
            "Service",
            vec![
                ("Type", s("oneshot")),
                ("RemainAfterExit", s("yes")),
                ("ExecStop", helper("leave", &["--spec", spec_path])),
                (
                    "TimeoutStopSec",
                    time(spec.drain_grace.as_micros() + 10_000_000),
                ),
                ("X-RestartIfChanged", s("false")),
                ("X-StopIfChanged", s("false")),
            ],
        ),
    ];
    units.push((leave, unit));
    units
}
