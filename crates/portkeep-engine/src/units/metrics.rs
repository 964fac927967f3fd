//! The timer that writes metrics: one for all apps of a manager.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use portkeep_spec::{Manager as Which, SpecError, contract, metrics_units};

use super::files::{Change, Entry, Files, difference};
use super::inventory::Inventory;

/// Like other unit files.
const READABLE: u32 = 0o644;

/// Changes by an install: all files if metrics are requested, with the directory for the text file; if the units exist
/// already, their helper.
///
/// # Errors
/// When a path cannot be expressed in a unit.
pub(super) fn changes(
    which: Which,
    inventory: &Inventory,
    helper: &Path,
    textfiles: Option<&Path>,
) -> Result<Vec<Change>, SpecError> {
    let there = placed(inventory);
    let directory = inventory.directory();
    let wanted = match textfiles {
        Some(textfiles) => rendered(which, directory, helper, textfiles)?,
        None => there
            .iter()
            .map(|(path, entry)| (path.clone(), with_helper(entry, helper)))
            .collect(),
    };
    Ok(difference(&there, &wanted))
}

/// Our files that exist.
pub(super) fn placed(inventory: &Inventory) -> Files {
    let directory = inventory.directory();
    let is_ours = |unit: &str| inventory.owner(unit) == Some(Some(contract::DIRECTORY));
    let units = [contract::METRICS_SERVICE, contract::METRICS_TIMER];
    let units = units.into_iter().filter(|unit| is_ours(unit));
    let paths = units.flat_map(|unit| {
        let link = (unit == contract::METRICS_TIMER).then(|| link(directory));
        [Some(directory.join(unit)), link].into_iter().flatten()
    });
    let entries = paths.filter_map(|path| Some((path.clone(), inventory.get(&path)?.clone())));
    entries.collect()
}

/// The directory that they write to; none if none of our files exists, or its path needs quotes.
pub(super) fn textfiles(files: &Files) -> Option<PathBuf> {
    let texts = files.values().map(Entry::text);
    let mut directories = texts.filter_map(|text| {
        let command = text.lines().find(|line| line.starts_with("ExecStart="))?;
        let (_, directory) = command.split_once(" --textfile ")?;
        Some(PathBuf::from(directory)).filter(|path| path.is_absolute())
    });
    directories.next()
}

fn link(directory: &Path) -> PathBuf {
    directory
        .join("timers.target.wants")
        .join(contract::METRICS_TIMER)
}

fn rendered(
    which: Which,
    directory: &Path,
    helper: &Path,
    textfiles: &Path,
) -> Result<Files, SpecError> {
    let units = metrics_units(which, helper, textfiles)?.map(|unit| {
        let entry = Entry::File {
            text: unit.text,
            mode: READABLE,
        };
        (directory.join(unit.path), entry)
    });
    let mut files = BTreeMap::from(units);
    let timer = directory.join(contract::METRICS_TIMER);
    files.insert(link(directory), Entry::Link(timer));
    Ok(files)
}

/// The same unit with another helper.
fn with_helper(entry: &Entry, helper: &Path) -> Entry {
    let Entry::File { text, mode } = entry else {
        return entry.clone();
    };
    let call = |line: &str| match line.split_once(" metrics --") {
        Some((before, words)) if before.starts_with("ExecStart=") => {
            format!("ExecStart={} metrics --{words}", helper.display())
        }
        _ => line.to_owned(),
    };
    let text: Vec<_> = text.lines().map(call).collect();
    Entry::File {
        text: text.join("\n") + "\n",
        mode: *mode,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::units::files::Journal;

    fn apply(changes: &[Change]) {
        let mut journal = Journal::default();
        for change in changes {
            journal.apply(change).unwrap();
        }
        journal.keep();
    }

    #[test]
    fn it_is_placed_once_and_goes_on_with_the_helper_of_the_apps() {
        let root = tempfile::tempdir().unwrap();
        let inventory = || Inventory::of(root.path()).unwrap();
        let changes = |helper: &str, textfiles: Option<&str>| {
            let (helper, textfiles) = (Path::new(helper), textfiles.map(Path::new));
            changes(Which::System, &inventory(), helper, textfiles).unwrap()
        };
        assert!(changes("/h/one", None).is_empty());
        let placed = changes("/h/one", Some("/var/lib/node"));
        assert_eq!(placed.len(), 3);
        apply(&placed);
        assert!(changes("/h/one", Some("/var/lib/node")).is_empty());
        assert!(changes("/h/one", None).is_empty());
        let newer = changes("/h/two", None);
        assert_eq!(newer.len(), 1);
        apply(&newer);
        let service = root.path().join(contract::METRICS_SERVICE);
        let text = fs::read_to_string(service).unwrap();
        let line = "ExecStart=/h/two metrics --system --textfile /var/lib/node";
        assert!(text.contains(line), "{text}");
        let placed = super::placed(&inventory());
        assert_eq!(placed.len(), 3);
        assert_eq!(textfiles(&placed), Some(PathBuf::from("/var/lib/node")));
    }

    #[test]
    fn a_unit_of_somebody_else_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let theirs = root.path().join(contract::METRICS_SERVICE);
        fs::write(theirs, "[Service]\nExecStart=/x metrics --a\n").unwrap();
        let inventory = Inventory::of(root.path()).unwrap();
        let changes = changes(Which::User, &inventory, Path::new("/h"), None).unwrap();
        assert!(changes.is_empty(), "{changes:?}");
    }
}
