//! Decides whether a change is compiled without cargo, and which units are compiled then. Pure.

use std::path::{Path, PathBuf};

use super::graph::Graph;
use super::unit::{Unit, UnitKind};

/// Why cargo builds a round, and not rustc alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NeedsCargo {
    /// A package has a build script, or cargo did not say what a library is made from.
    Graph,
    /// No recorded call read a changed file.
    NotRecorded,
    /// The change is in a macro, a C library, or another kind of unit that is not made here.
    Kind,
    /// The change leads to no executable, or to several.
    Program,
    /// Two units belong to one crate.
    Twice,
    /// A unit is compiled whole each time.
    NotIncremental,
    /// No call at all read a changed file.
    Unknown,
}

/// The units to compile for the executable `binary`, in order; or why cargo has to build.
pub(super) fn decide<'a>(
    units: &'a [Unit],
    graph: &Graph,
    changed: &[PathBuf],
    binary: &str,
) -> Result<Vec<&'a Unit>, NeedsCargo> {
    if graph.needs_cargo() {
        return Err(NeedsCargo::Graph);
    }
    let keys: Vec<_> = units.iter().map(Unit::key).collect();
    let is_recorded = |file: &PathBuf| {
        let reads = |unit: &Unit| unit.inputs.contains(file);
        units.iter().any(reads) && !graph.others_use(file, &keys)
    };
    if !changed.iter().all(is_recorded) {
        return Err(NeedsCargo::NotRecorded);
    }
    let affected = affected(units, changed);
    let programs: Vec<_> = affected
        .iter()
        .filter(|unit| unit.makes == UnitKind::Program)
        .collect();
    for (at, unit) in affected.iter().enumerate() {
        if unit.makes == UnitKind::Other {
            return Err(NeedsCargo::Kind);
        }
        if !unit.is_incremental() {
            return Err(NeedsCargo::NotIncremental);
        }
        let is_twin = |other: &&Unit| other.name == unit.name && other.makes == unit.makes;
        if affected[at + 1..].iter().any(is_twin) {
            return Err(NeedsCargo::Twice);
        }
    }
    match programs[..] {
        // rustc replaces dashes in crate names.
        [program] if program.name == binary.replace('-', "_") => Ok(affected),
        _ => Err(NeedsCargo::Program),
    }
}

/// The units that read a changed file, and their users. Each comes after the units that it uses.
fn affected<'a>(units: &'a [Unit], changed: &[PathBuf]) -> Vec<&'a Unit> {
    let mut affected: Vec<&Unit> = Vec::new();
    let reads = |unit: &Unit| changed.iter().any(|file| unit.inputs.contains(file));
    let mut libraries: Vec<PathBuf> = Vec::new();
    loop {
        let uses = |unit: &Unit| unit.uses.iter().any(|used| libraries.contains(used));
        let is_new = |unit: &&Unit| !libraries.contains(&unit.library());
        let found: Vec<_> = units
            .iter()
            .filter(is_new)
            .filter(|unit| reads(unit) || uses(unit))
            .collect();
        if found.is_empty() {
            break;
        }
        libraries.extend(found.iter().map(|unit| unit.library()));
        affected.extend(found);
    }
    in_order(affected)
}

/// Orders units so that a library comes before its users.
fn in_order(mut left: Vec<&Unit>) -> Vec<&Unit> {
    let mut ordered = Vec::new();
    while !left.is_empty() {
        let waits = |unit: &&Unit| {
            left.iter()
                .any(|other| unit.uses.contains(&other.library()))
        };
        let (later, now): (Vec<_>, Vec<_>) = left.iter().partition(|unit| waits(unit));
        if now.is_empty() {
            // cargo never makes a circle.
            return Vec::new();
        }
        ordered.extend(now);
        left = later;
    }
    ordered
}

/// Whether a changed path means nothing: an editor wrote and removed it, and no build reads it.
pub(super) fn is_passing(path: &Path, exists: bool, is_known: bool) -> bool {
    let is_source = path
        .extension()
        .and_then(|extension| extension.to_str())
        .is_some_and(|extension| ["rs", "toml", "lock"].contains(&extension));
    !exists && !is_known && !is_source
}

#[cfg(test)]
mod tests {
    use super::super::graph::tests::graph;
    use super::super::unit::tests::unit;
    use super::*;

    fn names(result: Result<Vec<&Unit>, NeedsCargo>) -> Result<String, NeedsCargo> {
        let names = |units: Vec<&Unit>| {
            let names: Vec<_> = units.iter().map(|unit| unit.name.clone()).collect();
            names.join(" ")
        };
        result.map(names)
    }

    fn of(units: &[Unit], changed: &[&str]) -> Result<String, NeedsCargo> {
        let changed: Vec<_> = changed
            .iter()
            .map(|name| PathBuf::from(format!("/p/{name}/src/x.rs")))
            .collect();
        names(decide(units, &graph(&[]), &changed, "my-app"))
    }

    /// A program, two libraries, and one that both use.
    fn diamond() -> Vec<Unit> {
        vec![
            unit("my_app", "bin", &["left", "right"]),
            unit("left", "lib", &["base"]),
            unit("right", "lib", &["base"]),
            unit("base", "lib", &[]),
            unit("alone", "lib", &[]),
        ]
    }

    #[test]
    fn what_uses_a_change_is_compiled_after_it() {
        let units = diamond();
        for (changed, expected) in [
            (&["my_app"][..], "my_app"),
            (&["left"], "left my_app"),
            (&["my_app", "left"], "left my_app"),
            (&["base"], "base left right my_app"),
            (&["left", "base"], "base left right my_app"),
        ] {
            assert_eq!(of(&units, changed).as_deref(), Ok(expected), "{changed:?}");
        }
    }

    #[test]
    fn what_is_not_known_for_certain_is_cargos() {
        use NeedsCargo::{Kind, NotIncremental, NotRecorded, Program, Twice};
        let units = diamond();
        assert_eq!(of(&units, &["unknown"]), Err(NotRecorded));
        assert_eq!(of(&units, &["my_app", "unknown"]), Err(NotRecorded));
        assert_eq!(of(&units, &["alone"]), Err(Program));
        assert_eq!(of(&units, &[]), Err(Program));
        let with = |more: Unit| [units.clone(), vec![more]].concat();
        assert_eq!(
            of(&with(unit("derive", "proc-macro", &["base"])), &["base"]),
            Err(Kind)
        );
        assert_eq!(
            of(&with(unit("other", "bin", &["base"])), &["base"]),
            Err(Program)
        );
        assert_eq!(
            of(&with(unit("other", "bin", &["base"])), &["other"]),
            Err(Program)
        );
        let mut duplicate = unit("left", "lib", &["base"]);
        duplicate
            .record
            .arguments
            .iter_mut()
            .for_each(|word| *word = word.replace("left1", "left2"));
        let mut duplicate = Unit::new(duplicate.record).unwrap();
        duplicate.inputs = units[1].inputs.clone();
        assert_eq!(of(&with(duplicate.clone()), &["left"]), Err(Twice));
        assert_eq!(of(&with(duplicate), &["my_app"]).as_deref(), Ok("my_app"));
        let mut whole = unit("whole", "lib", &["base"]).record;
        whole
            .arguments
            .retain(|word| !word.starts_with("incremental="));
        let at = whole
            .arguments
            .iter()
            .rposition(|word| word == "-C")
            .unwrap();
        whole.arguments.remove(at);
        assert_eq!(
            of(&with(Unit::new(whole).unwrap()), &["base"]),
            Err(NotIncremental)
        );
    }

    #[test]
    fn what_cargo_did_not_compile_here_is_looked_at_too() {
        let units = diamond();
        let changed = [PathBuf::from("/p/left/src/x.rs")];
        let of = |graph| names(decide(&units, &graph, &changed, "my-app"));
        let expected = Ok("left my_app".to_owned());
        assert_eq!(
            of(graph(&[("/t/deps/left-left1", "left/src/x.rs")])),
            expected
        );
        assert_eq!(
            of(graph(&[("/t/deps/other-1", "other/src/x.rs")])),
            expected
        );
        // The same sources, for a macro for instance.
        let duplicate = graph(&[("/t/deps/left-2", "left/src/x.rs")]);
        assert_eq!(of(duplicate), Err(NeedsCargo::NotRecorded));
        for change in [
            |graph: &mut Graph| graph.has_build_script = true,
            |graph: &mut Graph| graph.is_unclear = true,
        ] {
            let mut graph = graph(&[]);
            change(&mut graph);
            assert_eq!(of(graph), Err(NeedsCargo::Graph));
        }
    }

    #[test]
    fn what_an_editor_leaves_for_a_moment_says_nothing() {
        let backup = Path::new("/p/src/4913");
        assert!(is_passing(backup, false, false));
        assert!(!is_passing(backup, true, false));
        assert!(!is_passing(backup, false, true));
        assert!(!is_passing(Path::new("/p/src/a.rs"), false, false));
    }
}
