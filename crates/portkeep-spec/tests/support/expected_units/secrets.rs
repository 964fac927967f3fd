//! The units that watch secrets.

use super::Sections;

/// `helper` is the command line of one of portkeep's steps, `handle_timeout` its time limit.
pub fn units(
    name: &str,
    helper: &dyn Fn(&str) -> String,
    handle_timeout: &str,
) -> Vec<(String, Sections)> {
    let s = str::to_owned;
    let mark = ("X-Portkeep-App", s(name));
    let recheck = format!("{name}-secrets-recheck.service");
    let mut units = vec![(
        format!("{name}-secrets@.path"),
        vec![
            (
                "Unit",
                vec![
                    ("Description", format!("watches <f> for secrets of {name}")),
                    mark.clone(),
                    ("PartOf", format!("{name}.target")),
                    ("IgnoreOnIsolate", s("yes")),
                    ("X-SwitchMethod", s("keep-old")),
                ],
            ),
            (
                "Path",
                vec![
                    ("PathChanged", s("<f>")),
                    ("Unit", format!("{name}-secrets.service")),
                    ("TriggerLimitIntervalSec", s("0")),
                ],
            ),
        ],
    )];
    for (verb, description) in [
        ("secrets", format!("hands {name} over to new secrets")),
        (
            "secrets-recheck",
            format!("looks for newer secrets of {name}"),
        ),
    ] {
        let mut unit = vec![
            ("Description", description),
            mark.clone(),
            ("StartLimitIntervalSec", s("0")),
            ("X-SwitchMethod", s("keep-old")),
        ];
        if verb == "secrets" {
            unit.extend(["OnSuccess", "OnFailure"].map(|key| (key, recheck.clone())));
        }
        let service = vec![
            ("Type", s("oneshot")),
            ("ExecStart", helper(verb)),
            ("TimeoutStartSec", s(handle_timeout)),
            ("X-RestartIfChanged", s("false")),
        ];
        let sections = vec![("Unit", unit), ("Service", service)];
        units.push((format!("{name}-{verb}.service"), sections));
    }
    units
}
