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
    /// Targets: started again, with all that they want and that does not run.
    Start,
}

/// What a unit does when the switch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Active,
    Activating,
    Reloading,
    Deactivating,
    Failed,
}

/// What is done to a unit that runs.
pub(crate) fn decide(name: &str, state: State, old: &Directory, new: &Directory) -> Action {
    // One that is reloaded by somebody else at this moment is not looked at.
    if !matches!(state, State::Active | State::Activating) {
        return Action::Nothing;
    }
    let Some(before) = old.unit(name) else {
        return Action::Nothing;
    };
    let Some(after) = new.unit(name) else {
        let stop = flag(&before, "Unit", "X-StopOnRemoval", true);
        return if stop { Action::Stop } else { Action::Nothing };
    };
    if name.ends_with(".target") {
        let refuses = flag(&after, "Unit", "RefuseManualStart", false)
            || flag(&after, "Unit", "X-OnlyManualStart", false);
        return if refuses {
            Action::Nothing
        } else {
            Action::Start
        };
    }
    match compare(&before, &after) {
        Difference::None => Action::Nothing,
        Difference::Reload => Action::Reload,
        Difference::Any => changed(name, &after),
    }
}

/// What a switch is about to do, as it notes it in files of /run/nixos, and takes it up again after an interruption.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lists {
    pub(crate) stop: BTreeSet<String>,
    pub(crate) reload: BTreeSet<String>,
    pub(crate) restart: BTreeSet<String>,
    pub(crate) start: BTreeSet<String>,
}

impl Lists {
    /// What an interrupted switch has left is done as well, whatever the comparison says now.
    pub(crate) fn plan(
        running: &[(&str, State)],
        old: &Directory,
        new: &Directory,
        interrupted: Self,
    ) -> Self {
        let mut lists = Self {
            // Not noted: what was to be stopped is compared anew.
            stop: BTreeSet::new(),
            ..interrupted
        };
        for (name, state) in running {
            let name_of = || (*name).to_owned();
            match decide(name, *state, old, new) {
                Action::Nothing | Action::Skip => {}
                Action::Reload => {
                    lists.reload.insert(name_of());
                }
                Action::Restart => {
                    lists.restart.insert(name_of());
                }
                Action::StopAndStart => {
                    lists.stop.insert(name_of());
                    lists.start.insert(name_of());
                }
                Action::Stop => {
                    lists.stop.insert(name_of());
                }
                Action::Start => {
                    lists.start.insert(name_of());
                }
            }
        }
        lists
    }

    /// After the stops: what does not run any more is started, and a reload would fail.
    pub(crate) fn look_again(&mut self, runs: impl Fn(&str) -> bool) {
        let (kept, gone) = std::mem::take(&mut self.reload)
            .into_iter()
            .partition::<BTreeSet<_>, _>(|name| runs(name));
        self.reload = kept;
        self.start.extend(gone);
    }

    /// The reloads are over; also one that failed is not asked for again.
    pub(crate) fn reloaded(&mut self) {
        self.reload.clear();
    }
}

/// In a user's manager, after the activation: a unit that was found elsewhere, and is /etc's now.
pub(crate) fn migrate(name: &str, runs: bool, new: &Directory) -> Action {
    let Some(after) = new.unit(name) else {
        return Action::Nothing;
    };
    let only_manual = flag(&after, "Unit", "X-OnlyManualStart", false);
    if !runs {
        let refuses = only_manual || flag(&after, "Unit", "RefuseManualStart", false);
        return if refuses { Action::Skip } else { Action::Start };
    }
    if name.ends_with(".path") || name.ends_with(".slice") {
        Action::Skip
    } else if flag(&after, "Service", "X-ReloadIfChanged", false) {
        Action::Reload
    } else if only_manual
        || !flag(&after, "Service", "X-RestartIfChanged", true)
        || flag(&after, "Unit", "RefuseManualStop", false)
    {
        Action::Skip
    } else {
        Action::Restart
    }
}

/// How a switch ends: 4 where a job or a unit has failed.
pub(crate) fn exit_code(jobs_failed: bool, units: &[State]) -> u8 {
    if jobs_failed || units.contains(&State::Failed) {
        4
    } else {
        0
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
