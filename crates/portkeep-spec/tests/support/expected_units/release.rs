//! The unit of the release command.

use std::path::Path;

use portkeep_spec::Spec;

use super::super::reader::{Command, simplified};
use super::{Sections, time};

pub fn unit(spec: &Spec) -> Sections {
    let name = spec.name.as_str();
    let s = str::to_owned;
    let text = |path: &Path| simplified(path.to_str().unwrap());
    let directory = format!("<t>/portkeep/{name}/generations/<i>/release-command");
    let command = Command {
        flags: s("@"),
        program: format!("{directory}/{name}"),
        args: vec![s("<argv0>"), s("<args>")],
    };
    let mut service = vec![
        ("Type", s("oneshot")),
        ("SyslogIdentifier", s(name)),
        ("EnvironmentFile", format!("{directory}/environment")),
        ("ExecStart", format!("{command:?}")),
        ("Restart", s("no")),
        ("TimeoutStartSec", time(spec.release_timeout.as_micros())),
        ("TimeoutStopSec", s("5s")),
        ("KillMode", s("mixed")),
        ("X-RestartIfChanged", s("false")),
    ];
    let directory = spec.working_directory.iter();
    service.extend(directory.map(|path| ("WorkingDirectory", text(path))));
    if !spec.files.is_empty() && spec.working_directory.is_none() {
        let files = format!("<t>/portkeep/{name}/generations/<i>/files");
        service.push(("WorkingDirectory", files));
    }
    let files = spec.environment_files.iter();
    service.extend(files.map(|path| ("EnvironmentFile", text(path))));
    let credentials = spec.credentials.iter();
    service
        .extend(credentials.map(|(id, path)| ("LoadCredential", format!("{id}:{}", text(path)))));
    let limits = &spec.resources;
    service.extend(
        limits
            .memory_max
            .map(|size| ("MemoryMax", size.to_string())),
    );
    service.extend(
        limits
            .cpu_quota
            .map(|quota| ("CPUQuota", quota.to_string())),
    );
    let unit = vec![
        (
            "Description",
            format!("release command of generation <i> of {name}"),
        ),
        ("X-Portkeep-App", s(name)),
        (
            "StopPropagatedFrom",
            format!("{name}.service {name}.target"),
        ),
        ("StartLimitIntervalSec", s("0")),
        ("CollectMode", s("inactive-or-failed")),
        ("DefaultDependencies", s("no")),
        ("Conflicts", s("shutdown.target")),
        ("Before", s("shutdown.target")),
        ("X-SwitchMethod", s("keep-old")),
    ];
    vec![("Unit", unit), ("Service", service)]
}
