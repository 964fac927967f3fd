//! What `switch-to-configuration` of NixOS does with an active unit.

use std::collections::BTreeSet;

use super::unit::{Directory, Unit, flag};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Left as it is.
    Nothing,
    /// Changed, and left as it is: "NOT restarting the following changed units".
    Skip,
    Reload,
    Restart,
    /// Stopped and started, and so are its sockets.
    StopAndStart,
    Stop,
}

pub(crate) fn decide(name: &str, old: &Directory, new: &Directory) -> Action {
    let Some(before) = old.unit(name) else {
        return Action::Nothing;
    };
    let Some(after) = new.unit(name) else {
        let stop = flag(&before, "Unit", "X-StopOnRemoval", true);
        return if stop { Action::Stop } else { Action::Nothing };
    };
    match compare(&before, &after) {
        Difference::None => Action::Nothing,
        Difference::Reload => Action::Reload,
        // Targets are only started again, which starts what they want and does nothing to what runs.
        Difference::Any if name.ends_with(".target") => Action::Nothing,
        Difference::Any => changed(name, &after),
    }
}

fn changed(name: &str, after: &Unit) -> Action {
    if [".path", ".slice", ".socket"]
        .iter()
        .any(|ending| name.ends_with(ending))
    {
        Action::Nothing
    } else if flag(after, "Service", "X-ReloadIfChanged", false) {
        Action::Reload
    } else if !flag(after, "Service", "X-RestartIfChanged", true)
        || flag(after, "Unit", "RefuseManualStop", false)
        || flag(after, "Unit", "X-OnlyManualStart", false)
    {
        Action::Skip
    } else if flag(after, "Service", "X-StopIfChanged", true) {
        Action::StopAndStart
    } else {
        Action::Restart
    }
}

enum Difference {
    None,
    Reload,
    Any,
}

/// Keys of `[Unit]` whose change means nothing.
const IGNORED: [&str; 12] = [
    "Description",
    "Documentation",
    "OnFailure",
    "OnSuccess",
    "OnFailureJobMode",
    "IgnoreOnIsolate",
    "StopWhenUnneeded",
    "RefuseManualStart",
    "RefuseManualStop",
    "AllowIsolate",
    "CollectMode",
    "SourcePath",
];

fn compare(before: &Unit, after: &Unit) -> Difference {
    let mut difference = Difference::None;
    let sections: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    for section in sections {
        let keys = |unit: &Unit| unit.get(section).cloned().unwrap_or_default();
        let (before, after) = (keys(before), keys(after));
        let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
        for key in names {
            if before.get(key) == after.get(key) {
                continue;
            }
            match (section.as_str(), key.as_str()) {
                ("Unit", key) if IGNORED.contains(&key) => {}
                ("Unit", "X-Reload-Triggers") if after.contains_key(key) => {
                    difference = Difference::Reload;
                }
                ("Unit", "X-Reload-Triggers") => {}
                ("Service", "ExecReload") if after.contains_key(key) => {
                    difference = Difference::Reload;
                }
                // Without it, there is nothing to reload by.
                ("Service", "ExecReload") => {}
                _ => return Difference::Any,
            }
        }
    }
    difference
}
