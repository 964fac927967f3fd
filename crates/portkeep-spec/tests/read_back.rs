//! Whatever a spec says: the rendered units have exactly the directives they should have, with the original values.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use portkeep_spec::{Address, Protocol, RenderOptions, Sandbox, Spec, SpecError, UnitFile, render};
use proptest::prelude::*;
use support::arbitrary::{
    config, hostile_path, hostile_text, manager, path, program, socket_path, spec,
};
use support::expected_units::expected;
use support::golden;
use support::reader::{Read, command, directives, glob, simplified, specifiers};

proptest! {
    #![proptest_config(config())]

    #[test]
    fn nasty_values_come_back_as_they_were(
        mut spec in spec(path(), socket_path()),
        helper in program(),
        spec_path in hostile_text(),
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
    fn a_hostile_value_comes_back_or_is_refused(
        mut spec in spec(Just("/plain".into()).boxed(), Just("/run/plain".into()).boxed()),
        value in hostile_path(),
        field in 0..7_u8,
        manager in manager(),
    ) {
        let mut options = RenderOptions { helper: "/bin/portkeep".into(), spec_path: "/spec".into(), manager };
        match field {
            0 => spec.environment_files = vec!["/plain".into(), value],
            1 => spec.credentials = [("id".to_owned(), value)].into(),
            2 => spec.working_directory = Some(value),
            3 => spec.watch = Some(value),
            4 => spec.listen[0].address = Address::UnixDatagram(value),
            5 => options.helper = value,
            _ => options.spec_path = value,
        }
        spec.listen[0].protocol = if field == 4 { Protocol::Raw } else { spec.listen[0].protocol };
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
    let generation = (
        PathBuf::from(format!("{}@.service.d/50-sandbox.conf", spec.name)),
        "hello@.service.d/50-sandbox.conf",
    );
    let release = (
        PathBuf::from(format!("{}-release@.service.d/50-sandbox.conf", spec.name)),
        "hello@.service.d/50-sandbox.conf",
    );
    let page = (
        PathBuf::from(format!("{}-holding.service.d/50-sandbox.conf", spec.name)),
        "hello-holding.service.d/50-sandbox.conf",
    );
    let health = (
        PathBuf::from(format!("{}-health.service.d/50-sandbox.conf", spec.name)),
        "health/told-health.service.d/50-sandbox.conf",
    );
    let sandboxes = [
        (!spec.health.is_empty()).then_some(health),
        (spec.sandbox == Sandbox::Strict).then_some(generation),
        (spec.sandbox == Sandbox::Strict && !spec.release.is_empty()).then_some(release),
        spec.speaks_http().then_some(page),
    ];
    for (path, golden) in sandboxes.into_iter().flatten() {
        // Two lines are the app's own; the golden file has the rest.
        let manager = options.manager.to_string();
        let golden = match golden.strip_prefix("health/") {
            Some(golden) => format!("health/{manager}/{golden}"),
            None => format!("minimal/{manager}/{golden}"),
        };
        let golden = golden::directory().join(golden);
        let (mut wanted, actual) = (read(&fs::read_to_string(golden).unwrap()), &actual[&path]);
        for (_, key, value) in &mut wanted {
            match key.as_str() {
                "X-Portkeep-App" => *value = spec.name.to_string(),
                "User" => {
                    *value = actual
                        .iter()
                        .find(|(_, key, _)| key == "User")
                        .unwrap()
                        .2
                        .clone();
                    assert!(value.starts_with("pk-") && value.len() <= 31, "{value}");
                }
                _ => {}
            }
        }
        expected.insert(path, wanted);
    }
    assert_eq!(actual, expected);
}

fn read(text: &str) -> Read {
    let decoded = directives(text).into_iter().map(|directive| {
        let value = match directive.key.as_str() {
            "ExecStart" | "ExecReload" | "ExecStop" => {
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
            "Description" | "Environment" | "OnFailure" | "OnSuccess" | "Before" => {
                specifiers(&directive.value)
            }
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
