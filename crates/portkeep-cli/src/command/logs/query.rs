//! Arguments for journalctl.

use portkeep_engine::Generation;
use portkeep_spec::{AppName, Manager as Which, unit_names};

/// Selects lines of the journal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Query<'a> {
    pub(crate) name: &'a AppName,
    pub(crate) which: Which,
    pub(crate) generation: Option<Generation>,
    pub(crate) lines: usize,
    pub(crate) follow: bool,
}

impl Query<'_> {
    /// Arguments for `journalctl`. It must also find generations that start later, but resolves a pattern of unit names
    /// only once, to the units that exist. So the query matches the syslog identifier of the generations' units.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let name = self.name;
        let (by, about) = match self.which {
            Which::System => ("_SYSTEMD_UNIT", "UNIT"),
            Which::User => ("_SYSTEMD_USER_UNIT", "USER_UNIT"),
        };
        let mut arguments: Vec<String> = ["--output=json", "--no-pager", "--quiet"]
            .map(str::to_owned)
            .into();
        if self.which == Which::User {
            arguments.push("--user".to_owned());
        }
        arguments.push(format!("--lines={}", self.lines));
        if self.follow {
            arguments.push("--follow".to_owned());
        }
        let matches = match self.generation {
            Some(generation) => {
                let unit = unit_names::generation(name, generation.0);
                let settle = unit_names::settle_units(name, &generation.to_string());
                let release = unit_names::release(name, generation.0);
                let units = [unit].into_iter().chain(settle).chain([release]);
                units
                    .flat_map(|unit| [format!("{by}={unit}"), format!("{about}={unit}")])
                    .collect()
            }
            None => {
                let handle = unit_names::handle(name);
                let socket = unit_names::socket(name);
                vec![
                    format!("SYSLOG_IDENTIFIER={name}"),
                    format!("{by}={handle}"),
                    format!("{about}={handle}"),
                    format!("{about}={socket}"),
                ]
            }
        };
        for (index, one) in matches.into_iter().enumerate() {
            if index > 0 {
                arguments.push("+".to_owned());
            }
            arguments.push(one);
        }
        arguments
    }

    /// Whether a unit belongs to the app. Any program can use the app's identifier, but the journal itself records the
    /// unit.
    pub(crate) fn is_of_app(&self, unit: &str) -> bool {
        let generation = unit_names::parse_about_generation(self.name, unit);
        match self.generation {
            Some(wanted) => generation == Some(wanted.0),
            None => {
                generation.is_some()
                    || unit == unit_names::handle(self.name)
                    || unit == unit_names::socket(self.name)
                    || unit == unit_names::holding(self.name)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_units_of_the_app_are_shown() {
        let name = "hello".parse().unwrap();
        let mut query = Query {
            name: &name,
            which: Which::User,
            generation: None,
            lines: 10,
            follow: true,
        };
        for (unit, expected) in [
            ("hello@3.service", true),
            ("hello-release@3.service", true),
            ("hello.service", true),
            ("hello.socket", true),
            ("hello-dev@3.service", false),
            ("other.service", false),
            ("", false),
        ] {
            assert_eq!(query.is_of_app(unit), expected, "{unit}");
        }
        query.generation = Some(Generation(3));
        assert!(query.is_of_app("hello@3.service"));
        assert!(!query.is_of_app("hello@30.service") && !query.is_of_app("hello.service"));
        assert_eq!(
            query.arguments()[3..],
            [
                "--user",
                "--lines=10",
                "--follow",
                "_SYSTEMD_USER_UNIT=hello@3.service",
                "+",
                "USER_UNIT=hello@3.service",
                "+",
                "_SYSTEMD_USER_UNIT=hello-settle@3.service",
                "+",
                "USER_UNIT=hello-settle@3.service",
                "+",
                "_SYSTEMD_USER_UNIT=hello-ended@3.service",
                "+",
                "USER_UNIT=hello-ended@3.service",
                "+",
                "_SYSTEMD_USER_UNIT=hello-release@3.service",
                "+",
                "USER_UNIT=hello-release@3.service",
            ]
        );
    }
}
