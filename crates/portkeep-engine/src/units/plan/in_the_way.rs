//! Conflicts of an app with others: names of units, and ports.

use std::path::PathBuf;

use portkeep_spec::{AppName, Listen, Spec, SpecError, collide, unit_names};

use super::{Asked, Facts};
use crate::units::inventory::is_instance;
use crate::units::refusal::Why;
use crate::units::unit_files::UnitFiles;

/// The file of another owner's unit whose name the units of `spec` need.
///
/// # Errors
/// When the spec breaks a rule.
pub(in crate::units) fn conflict(
    facts: &Facts<'_>,
    spec: &Spec,
) -> Result<Option<PathBuf>, SpecError> {
    let spec_path = facts.directory.spec_path(&spec.name);
    let files = UnitFiles::render(spec, facts.helper, &spec_path, facts.which)?;
    let taken = taken_name(facts, &spec.name, &files, None);
    Ok(taken.and_then(|why| match why {
        Why::Name { unit, .. } => Some(unit),
        _ => None,
    }))
}

/// Another owner's unit whose name the app needs.
pub(super) fn taken_name(
    facts: &Facts<'_>,
    name: &AppName,
    files: &UnitFiles,
    replaced: Option<&AppName>,
) -> Option<Why> {
    let taken = |unit: PathBuf, owner: Option<&str>| Why::Name {
        name: name.clone(),
        unit,
        owner: owner.map(str::to_owned),
    };
    let is_ours = |owner: Option<&str>| {
        owner == Some(name.as_str()) || replaced.is_some_and(|old| owner == Some(old.as_str()))
    };
    let template = unit_names::generation_template(name);
    for unit in files.units() {
        if let Some(path) = facts.elsewhere.get(unit) {
            return Some(taken(path.clone(), None));
        }
        if let Some(owner) = facts.inventory.owner(unit).filter(|owner| !is_ours(*owner)) {
            return Some(taken(facts.directory.path().join(unit), owner));
        }
    }
    let mut elsewhere = facts.elsewhere.iter();
    if let Some((_, path)) = elsewhere.find(|(unit, _)| is_instance(&template, unit)) {
        return Some(taken(path.clone(), None));
    }
    let mut here = facts.inventory.units();
    here.find(|unit| is_instance(&template, unit))
        .map(|unit| taken(facts.directory.path().join(unit), None))
}

/// Ports of other apps: installed ones, or those of the same call.
pub(super) fn same_ports<'a>(
    facts: &Facts<'_>,
    spec: &Spec,
    before: impl Iterator<Item = &'a Asked>,
    replaced: Option<&AppName>,
) -> Vec<Why> {
    let asked: Vec<&Asked> = before.collect();
    let installed = facts.specs.iter().filter(|(name, _)| {
        let is_own = **name == spec.name || Some(*name) == replaced;
        !is_own && !asked.iter().any(|one| one.spec.name == **name)
    });
    let installed = installed.filter_map(|(_, there)| there.spec.as_ref());
    let others = asked.iter().map(|one| &one.spec).chain(installed);
    let meets = |other: &Spec| -> Vec<Why> {
        let (ones, others) = (&spec.ports(), &other.ports());
        let in_the_way = |one: &&Listen| {
            let mut others_listen = others.iter();
            others_listen.any(|two| collide(&one.address, ones, &two.address, others))
        };
        let met = ones.iter().filter(in_the_way);
        met.map(|one| Why::SamePort {
            address: one.address.clone(),
            app: other.name.clone(),
        })
        .collect()
    };
    others.flat_map(meets).collect()
}
