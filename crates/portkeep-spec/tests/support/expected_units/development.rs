//! The units that watch a build.

use portkeep_spec::Spec;

use super::super::reader::simplified;
use super::Sections;

/// `helper` is the command line of a step of ours, `handle_timeout` how long it may take.
pub fn units(
    spec: &Spec,
    helper: &dyn Fn(&str) -> String,
    handle_timeout: &str,
) -> Vec<(String, Sections)> {
    let name = spec.name.as_str();
    let s = str::to_owned;
    let mark = ("X-Portkeep-App", s(name));
    let watched = spec.watch.as_ref().and_then(|watch| watch.parent());
    let watched = watched.map_or_else(String::new, |path| simplified(path.to_str().unwrap()));
    let mut units = vec![(
        format!("{name}.path"),
        vec![
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
                    ("PathChanged", watched),
                    ("Unit", format!("{name}-deploy.service")),
                    ("TriggerLimitIntervalSec", s("0")),
                ],
            ),
            ("Install", vec![("WantedBy", format!("{name}.target"))]),
        ],
    )];
    for (verb, description) in [
        ("deploy", format!("hands {name} over to the new build")),
        ("recheck", format!("looks for a newer build of {name}")),
    ] {
        let mut unit = vec![
            ("Description", description),
            mark.clone(),
            ("StartLimitIntervalSec", s("0")),
            ("X-SwitchMethod", s("keep-old")),
        ];
        if verb == "deploy" {
            unit.extend(
                ["OnSuccess", "OnFailure"].map(|key| (key, format!("{name}-recheck.service"))),
            );
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
