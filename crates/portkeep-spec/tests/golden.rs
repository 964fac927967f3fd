//! The text of the units, as people will read it. `UPDATE_GOLDEN=1 cargo test` rewrites the files.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use portkeep_spec::environment_file;
use support::golden::{MANAGERS, cases};

#[test]
fn units_are_as_written_down() {
    for case in cases() {
        for manager in MANAGERS {
            let rendered = case
                .render(manager)
                .into_iter()
                .map(|unit| (unit.path, unit.text))
                .collect();
            compare(&case.directory.join(manager.to_string()), &rendered);
        }
    }
}

#[test]
fn environment_files_are_as_written_down() {
    for case in cases() {
        let text = environment_file::render(
            &case.spec.environment,
            &case.spec.exec[0],
            &case.spec.exec[1..],
        )
        .unwrap();
        compare(
            &case.directory.join("release"),
            &[(PathBuf::from("environment"), text)].into(),
        );
    }
}

/// Only the drop-ins, the watch, and the target that wants the sockets differ between the managers: what production runs is what
/// development ran.
#[test]
fn both_managers_run_the_same_units() {
    for case in cases() {
        let [system, user] = MANAGERS.map(|manager| {
            let mut units = case.render(manager);
            let development = ["path", "deploy", "recheck"];
            units.retain(|unit| {
                let path = unit.path.to_str().unwrap();
                !path.ends_with(".conf") && !development.iter().any(|part| path.contains(part))
            });
            for unit in &mut units {
                let wanted = ["WantedBy=sockets.target", "WantedBy=default.target"];
                unit.text = wanted.iter().fold(unit.text.clone(), |text, line| {
                    text.replace(line, "WantedBy=")
                });
            }
            units
        });
        assert_eq!(system, user);
    }
}

fn compare(directory: &Path, rendered: &BTreeMap<PathBuf, String>) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let _ = fs::remove_dir_all(directory);
        for (path, text) in rendered {
            let file = directory.join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
    }
    let mut expected = BTreeMap::new();
    read_tree(directory, Path::new(""), &mut expected);
    let names = |files: &BTreeMap<PathBuf, String>| files.keys().cloned().collect::<Vec<_>>();
    let hint = format!(
        "in {}; UPDATE_GOLDEN=1 rewrites the files",
        directory.display()
    );
    assert_eq!(names(rendered), names(&expected), "{hint}");
    for (path, text) in rendered {
        assert!(
            *text == expected[path],
            "{} differs {hint}:\n{text}",
            path.display()
        );
    }
}

fn read_tree(directory: &Path, below: &Path, files: &mut BTreeMap<PathBuf, String>) {
    for entry in fs::read_dir(directory.join(below)).into_iter().flatten() {
        let entry = entry.unwrap();
        let path = below.join(entry.file_name());
        if entry.path().is_dir() {
            read_tree(directory, &path, files);
        } else {
            files.insert(path, fs::read_to_string(entry.path()).unwrap());
        }
    }
}
