//! Decides how an app's open sockets survive a change of its units.

use std::collections::{BTreeMap, BTreeSet};

use portkeep_spec::{AppName, unit_names};

/// Texts of socket units, by name.
pub(super) type Sockets = BTreeMap<String, String>;

/// Changes of an app's sockets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SocketChanges {
    /// Open sockets that get another unit name, the old one first.
    pub(super) renamed: Vec<(String, String)>,
    /// Additional ports.
    pub(super) added: Vec<String>,
    /// Sockets that are closed once the app does without them.
    pub(super) closed: Vec<String>,
    /// Open sockets whose mode, owner or similar change only when they are opened again.
    pub(super) anew: Vec<String>,
    /// Open sockets that would have to listen on another address.
    pub(super) elsewhere: Vec<AddressMismatch>,
}

/// An open socket that should listen on another address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressMismatch {
    /// Its unit.
    pub unit: String,
    /// Its address.
    pub opened: String,
    /// The wanted address; none if no unit listens on it.
    pub wanted: Option<String>,
}

/// Decides the changes from the present sockets of an app to the wanted ones. `active` are the open units.
pub(super) fn changes(
    name: &AppName,
    before: &Sockets,
    after: &Sockets,
    active: &BTreeSet<String>,
) -> SocketChanges {
    let moving = unit_names::move_socket(name);
    let mut changes = SocketChanges::default();
    for (unit, text) in before.iter().filter(|(unit, _)| active.contains(*unit)) {
        let opened = listens(text);
        let there = after.get(unit);
        if *unit == moving {
            // No client ever sees this one, and a handover closes it to others.
        } else if there.is_some_and(|there| listens(there) == opened) {
            if there.is_some_and(|there| access(there) != access(text)) {
                changes.anew.push(unit.clone());
            }
        } else if let Some(new) = listening_at(after, &opened) {
            changes.renamed.push((unit.clone(), new.to_owned()));
        } else if let Some(there) = there {
            changes.elsewhere.push(AddressMismatch {
                unit: unit.clone(),
                opened,
                wanted: Some(listens(there)),
            });
        }
    }
    let is_renamed = |unit: &str| {
        changes
            .renamed
            .iter()
            .any(|(old, new)| old == unit || new == unit)
    };
    let is_port = |unit: &&String| **unit != moving;
    let missing_in = |one: &Sockets, other: &Sockets| -> Vec<String> {
        let missing = one
            .keys()
            .filter(|unit| !other.contains_key(*unit) && !is_renamed(unit));
        missing.cloned().collect()
    };
    let (added, closed) = (missing_in(after, before), missing_in(before, after));
    // If one takes the name of another open one, the manager would confuse them.
    let clash = |(old, new): &(String, String)| -> Option<AddressMismatch> {
        let taken = before.contains_key(new) && active.contains(new);
        (taken || after.contains_key(old)).then(|| AddressMismatch {
            unit: old.clone(),
            opened: before
                .get(old)
                .map(|text| listens(text))
                .unwrap_or_default(),
            wanted: after.get(old).map(|text| listens(text)),
        })
    };
    changes
        .elsewhere
        .extend(changes.renamed.iter().filter_map(clash));
    changes.added = added.into_iter().filter(|unit| is_port(&unit)).collect();
    changes.closed = closed;
    changes
}

/// The sockets of the app of `before` that the app of `after` would lack, and so could not take over.
pub(super) fn lost(
    before_name: &AppName,
    before: &Sockets,
    after: &Sockets,
) -> Vec<AddressMismatch> {
    let moving = unit_names::move_socket(before_name);
    let ports = before.iter().filter(|(unit, _)| **unit != moving);
    let lost = ports.filter_map(|(unit, text)| {
        let opened = listens(text);
        listening_at(after, &opened)
            .is_none()
            .then(|| AddressMismatch {
                unit: unit.clone(),
                opened,
                wanted: None,
            })
    });
    lost.collect()
}

/// The unit that listens on an address.
pub(super) fn listening_at<'a>(sockets: &'a Sockets, address: &str) -> Option<&'a str> {
    let found = sockets.iter().find(|(_, text)| listens(text) == address);
    found.map(|(unit, _)| unit.as_str())
}

/// The address of a socket unit, with the kind of its socket: `Stream=127.0.0.1:80`.
pub(super) fn listens(unit: &str) -> String {
    let lines = unit.lines().filter_map(|line| line.strip_prefix("Listen"));
    lines.collect::<Vec<_>>().join(" ")
}

/// Settings that apply when a socket is opened, such as its access.
fn access(unit: &str) -> Vec<&str> {
    let keys = [
        "SocketMode=",
        "SocketUser=",
        "SocketGroup=",
        "BindIPv6Only=",
    ];
    let lines = unit.lines().filter(|line| {
        // The last version did not write the default.
        let is_default = *line == "BindIPv6Only=both";
        !is_default && keys.iter().any(|key| line.starts_with(key))
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use portkeep_spec::{Manager as Which, Spec};

    use super::super::unit_files::UnitFiles;
    use super::*;

    /// The socket units of an app with these listeners: `http=127.0.0.1:80 admin=/run/a`.
    fn sockets(listen: &str) -> Sockets {
        let listen: Vec<_> = listen
            .split(' ')
            .map(|one| {
                let (name, rest) = one.split_once('=').unwrap();
                let (stream, mode) = rest.split_once('+').unwrap_or((rest, ""));
                let mode = match mode {
                    "" => String::new(),
                    mode => format!(r#","mode":"{mode}""#),
                };
                format!(r#"{{"name":"{name}","stream":"{stream}"{mode}}}"#)
            })
            .collect();
        let text = format!(
            r#"{{"name":"a","exec":["/bin/a"],"listen":[{}]}}"#,
            listen.join(",")
        );
        let spec = Spec::from_json(&text).unwrap();
        let files =
            UnitFiles::render(&spec, Path::new("/h"), Path::new("/s"), Which::User).unwrap();
        let files = files.files().iter();
        files
            .filter_map(|file| {
                let unit = file.path.to_str()?;
                unit.ends_with(".socket")
                    .then(|| (unit.to_owned(), file.text.clone()))
            })
            .collect()
    }

    fn decide(before: &str, after: &str) -> SocketChanges {
        let (before, after) = (sockets(before), sockets(after));
        let active = before.keys().cloned().collect();
        changes(&"a".parse().unwrap(), &before, &after, &active)
    }

    #[test]
    fn open_sockets_are_not_lost() {
        let units = |units: &[&str]| {
            units
                .iter()
                .map(|unit| (*unit).to_owned())
                .collect::<Vec<_>>()
        };
        let same = decide("http=/run/a", "http=/run/a");
        assert_eq!(same, SocketChanges::default());

        let added = decide("http=/run/a", "http=/run/a more=/run/b");
        assert_eq!(added.added, units(&["a-more.socket"]));
        let removed = decide("http=/run/a more=/run/b", "http=/run/a");
        assert_eq!(removed.closed, units(&["a-more.socket"]));

        let renamed = decide("http=/run/a more=/run/b", "http=/run/a other=/run/b");
        assert_eq!(
            renamed,
            SocketChanges {
                renamed: vec![("a-more.socket".to_owned(), "a-other.socket".to_owned())],
                ..SocketChanges::default()
            }
        );

        let moved = decide("http=/run/a", "http=/run/b");
        assert_eq!(moved.elsewhere.len(), 1, "{moved:?}");
        assert_eq!(moved.elsewhere[0].wanted.as_deref(), Some("Stream=/run/b"));
        // Each has the unit of the other.
        let turned = decide("http=/run/a more=/run/b", "http=/run/b more=/run/a");
        assert_eq!(turned.elsewhere.len(), 2, "{turned:?}");
    }

    #[test]
    fn whom_it_lets_in_is_decided_when_it_is_opened() {
        for (before, after, anew) in [
            ("http=/run/a", "http=/run/a+0600", false),
            ("http=/run/a", "http=/run/a+0660", true),
        ] {
            let changes = decide(before, after);
            assert_eq!(!changes.anew.is_empty(), anew, "{after}");
            assert!(changes.elsewhere.is_empty());
        }
        // As the last version wrote them.
        for (listen, line, anew) in [
            ("http=/run/a", "SocketMode=0600\n", true),
            ("http=[::]:80", "BindIPv6Only=both\n", false),
            ("http=[::]:80", "FreeBind=yes\n", false),
        ] {
            let after = sockets(listen);
            let mut before = after.clone();
            let unit = before.get_mut("a.socket").unwrap();
            assert!(unit.contains(line), "{unit}");
            *unit = unit.replace(line, "");
            let active = before.keys().cloned().collect();
            let changes = changes(&"a".parse().unwrap(), &before, &after, &active);
            assert_eq!(!changes.anew.is_empty(), anew, "{line}");
        }
    }

    #[test]
    fn what_is_closed_may_be_opened_elsewhere() {
        let (before, after) = (sockets("http=/run/a"), sockets("http=/run/b"));
        let changes = changes(&"a".parse().unwrap(), &before, &after, &BTreeSet::new());
        assert_eq!(changes, SocketChanges::default());
    }

    #[test]
    fn an_app_that_takes_over_has_all_that_was_open() {
        let name = "a".parse().unwrap();
        let before = sockets("http=127.0.0.1:80 more=/run/b");
        assert!(lost(&name, &before, &sockets("x=/run/b y=127.0.0.1:80 z=/run/c")).is_empty());
        let missing = lost(&name, &before, &sockets("http=127.0.0.1:81 more=/run/b"));
        assert_eq!(missing.len(), 1);
        assert_eq!(missing[0].opened, "Stream=127.0.0.1:80");
    }
}
