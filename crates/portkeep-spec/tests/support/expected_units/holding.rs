//! The holding page.

use portkeep_spec::{Listen, Protocol, RenderOptions, Spec, unit_names};

use super::super::reader::{Command, simplified};
use super::Sections;

pub fn page(spec: &Spec, options: &RenderOptions) -> Sections {
    let name = spec.name.as_str();
    let s = str::to_owned;
    let has_http = |listen: &&Listen| listen.protocol == Protocol::Http;
    let http = spec.listen.iter().filter(has_http);
    let page = Command {
        flags: s(""),
        program: simplified(options.helper.to_str().unwrap()),
        args: ["handle", "hold", name]
            .map(s)
            .into_iter()
            .chain(http.map(|listen| listen.name.to_string()))
            .collect(),
    };
    let mark = ("X-Portkeep-App", s(name));
    let sockets = unit_names::passed(spec);
    vec![
        (
            "Unit",
            vec![
                (
                    "Description",
                    format!("holding page of {name}: answers that nothing can serve"),
                ),
                mark,
                (
                    "StopPropagatedFrom",
                    format!("{name}.service {name}.target"),
                ),
                ("StartLimitIntervalSec", s("0")),
                ("CollectMode", s("inactive-or-failed")),
                (
                    "After",
                    format!("{name}-settle@holding.service {name}-ended@holding.service"),
                ),
                ("OnFailure", format!("{name}-settle@holding.service")),
                ("OnSuccess", format!("{name}-ended@holding.service")),
                ("OnFailureJobMode", s("fail")),
                ("DefaultDependencies", s("no")),
                ("Conflicts", s("shutdown.target")),
                ("Before", s("shutdown.target")),
                ("X-SwitchMethod", s("keep-old")),
            ],
        ),
        (
            "Service",
            vec![
                ("Type", s("notify")),
                ("NotifyAccess", s("main")),
                ("Sockets", sockets.join(" ")),
                ("NonBlocking", s("yes")),
                ("SyslogIdentifier", s(name)),
                (
                    "EnvironmentFile",
                    format!("-<t>/portkeep/{name}/holding/environment"),
                ),
                ("ExecStart", format!("{page:?}")),
                ("Restart", s("no")),
                ("TimeoutStartSec", s("20s")),
                ("TimeoutStartFailureMode", s("kill")),
                ("TimeoutStopSec", s("5s")),
                ("X-RestartIfChanged", s("false")),
            ],
        ),
    ]
}
