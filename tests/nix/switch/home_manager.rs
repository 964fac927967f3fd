//! What home-manager's `sd-switch` does with an active unit.

use super::unit::{Directory, Unit, flag};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Nothing,
    /// Changed, and left as it is.
    Keep,
    Reload,
    Restart,
    StopAndStart,
    Stop,
    /// Targets: started again.
    Start,
}

pub(crate) fn decide(name: &str, old: &Directory, new: &Directory) -> Action {
    let running = old.unit(name);
    let refuses_stop = running
        .as_ref()
        .is_some_and(|unit| flag(unit, "Unit", "RefuseManualStop", false));
    let (before, after) = match (running, new.unit(name)) {
        (None, None) => return Action::Nothing,
        (Some(_), None) if refuses_stop => return Action::Keep,
        (Some(_), None) => return Action::Stop,
        // It ran before, from elsewhere.
        (None, Some(_)) => return Action::StopAndStart,
        (Some(before), Some(after)) => (before, after),
    };
    if without(&before, &DESCRIPTIVE) == without(&after, &DESCRIPTIVE) {
        return Action::Nothing;
    }
    let but_triggers = [DESCRIPTIVE[0], DESCRIPTIVE[1], "X-Reload-Triggers"];
    if without(&before, &but_triggers) == without(&after, &but_triggers) {
        return Action::Reload;
    }
    if name.ends_with(".target") {
        return Action::Start;
    }
    let method = after
        .get("Unit")
        .and_then(|keys| keys.get("X-SwitchMethod")?.last());
    match method.map(String::as_str) {
        Some("reload") => Action::Reload,
        Some("restart") => Action::Restart,
        Some("keep-old") => Action::Keep,
        _ if refuses_stop => Action::Nothing,
        _ => Action::StopAndStart,
    }
}

const DESCRIPTIVE: [&str; 2] = ["Description", "Documentation"];

fn without(unit: &Unit, keys: &[&str]) -> Unit {
    let mut unit = unit.clone();
    if let Some(section) = unit.get_mut("Unit") {
        section.retain(|key, _| !keys.contains(&key.as_str()));
    }
    unit
}
