//! Whatever a spec says: the rendered units have exactly the directives they should have, with the original values.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod support;

use std::collections::BTreeMap;
use std::path::PathBuf;

use portkeep_spec::{Manager, RenderOptions, Sandbox, Spec, SpecError, UnitFile, render};
use proptest::prelude::*;
use support::arbitrary::{HOSTILE, hostile_path, manager, path, program, socket_path, spec, text};
use support::family::expected;
use support::reader::{Read, command, directives, glob, simplified, specifiers};

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nasty_values_come_back_as_they_were(
        mut spec in spec(path(), socket_path()),
        helper in program(),
        spec_path in text(&format!("/{HOSTILE}{{0,12}}")),
        manager in manager(),
    ) {
        spec.exec[0].push('x');
        spec.exec.iter_mut().for_each(|word| word.retain(|c| c != '\0'));
        // What is watched is its directory, which may end with anything here.
        spec.watch = spec.watch.map(|path| path.join("target/x"));
        for path in spec.credentials.values_mut() {
            *path = path.to_str().unwrap().replace(|c: char| c.is_whitespace() || c == '\\', "_").into();
        }
        let options = RenderOptions { helper, spec_path: spec_path.into(), manager };
        let units = render(&spec, &options).unwrap();
        assert_read_back(&spec, &options, units);
    }

    #[test]
    fn hostile_values_come_back_or_are_refused(
        spec in spec(hostile_path(), hostile_path()),
        helper in hostile_path(),
        spec_path in hostile_path(),
        manager in manager(),
    ) {
        let options = RenderOptions { helper, spec_path, manager };
        match render(&spec, &options) {
            Ok(units) => assert_read_back(&spec, &options, units),
            Err(SpecError::Invalid { field, .. }) => assert!(!field.is_empty()),
            Err(other) => panic!("{other}"),
        }
    }
}

fn assert_read_back(spec: &Spec, options: &RenderOptions, units: Vec<UnitFile>) {
    let actual: BTreeMap<PathBuf, Read> = units
        .into_iter()
        .map(|unit| (unit.path, read(&unit.text)))
        .collect();
    let mut expected = expected(spec, options);
    let sandbox = PathBuf::from(format!("{}@.service.d/50-sandbox.conf", spec.name));
    if spec.sandbox == Sandbox::Strict {
        // A fixed list but for two lines; the golden files have the rest.
        let actual = &actual[&sandbox];
        assert!(actual.len() > 25 && actual.iter().all(|(section, _, _)| section == "Service"));
        let user = actual
            .iter()
            .filter(|(_, key, _)| key == "User")
            .map(|(_, _, value)| value.as_str());
        let user: Vec<_> = user.collect();
        assert_eq!(user.len(), usize::from(options.manager == Manager::System));
        assert!(
            user.iter()
                .all(|user| user.starts_with("pk-") && user.len() <= 31)
        );
        expected.insert(sandbox, actual.clone());
    }
    assert_eq!(actual, expected);
}

fn read(text: &str) -> Read {
    let decoded = directives(text).into_iter().map(|directive| {
        let value = match directive.key.as_str() {
            "ExecStart" | "ExecReload" | "ExecCondition" | "ExecStopPost" => {
                format!("{:?}", command(&directive.value))
            }
            "EnvironmentFile" => simplified(&glob(&specifiers(&directive.value))),
            "ListenStream"
            | "ListenDatagram"
            | "ListenSequentialPacket"
            | "WorkingDirectory"
            | "PathChanged" => simplified(&specifiers(&directive.value)),
            "LoadCredential" => {
                let (id, path) = directive.value.split_once(':').unwrap();
                format!("{id}:{}", simplified(&specifiers(path)))
            }
            "Description" => specifiers(&directive.value),
            // These know no specifiers; all others have values of a fixed alphabet.
            "CPUQuota" | "MemoryMax" => directive.value,
            _ => {
                assert!(
                    !directive.value.contains(['%', '$', '"', '\'', '\\']),
                    "{directive:?}"
                );
                directive.value
            }
        };
        (directive.section, directive.key, value)
    });
    let mut read: Read = decoded.collect();
    read.sort();
    read
}
