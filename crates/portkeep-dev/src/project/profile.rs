//! The cargo profile that builds the app.

use toml::{Table, Value};

/// The profile of `portkeep dev`'s own, and its directory below cargo's.
pub(crate) const OWN: &str = "portkeep-dev";

/// What it adds to `dev`: where a panic came from is found in the app's own packages, and nothing is written or linked of what
/// only a debugger reads.
const SETTINGS: [(&str, &str); 2] = [
    ("debug", r#""line-tables-only""#),
    (r#"package."*".debug"#, "false"),
];

/// Who defines the profile that builds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Profile {
    /// The project or cargo, and somebody has chosen it: the spec, its `build`, or the command line.
    Chosen(Option<String>),
    /// The project defines one under the name of ours: it is taken as it is.
    Theirs,
    /// `portkeep dev`, with these settings on cargo's command line. Nothing is written into anybody's Cargo.toml.
    Own(Vec<String>),
}

impl Profile {
    /// The one of ours, where nothing else is chosen. `manifest` is the workspace's Cargo.toml, and `configurations` those of
    /// cargo that count there. Whatever they say of the profile `dev` stays: only what they leave open is set.
    pub(super) fn own(manifest: &str, configurations: &[String]) -> Self {
        let tables: Vec<Table> = std::iter::once(manifest)
            .chain(configurations.iter().map(String::as_str))
            // cargo says better than we what is wrong with one.
            .filter_map(|text| text.parse().ok())
            .collect();
        let says = |profile: &str, setting: &str| {
            let path = path_of(profile, setting);
            tables.iter().any(|table| has(table, &path))
        };
        if says(OWN, "") {
            return Self::Theirs;
        }
        let mut settings = vec![setting("inherits", r#""dev""#)];
        let open = SETTINGS.iter().filter(|(name, _)| !says("dev", name));
        settings.extend(open.map(|(name, value)| setting(name, value)));
        Self::Own(settings)
    }

    /// What cargo is told.
    pub(super) fn words(&self) -> Vec<String> {
        let named = |name: &str| vec!["--profile".to_owned(), name.to_owned()];
        match self {
            Self::Chosen(name) => name.iter().flat_map(|name| named(name)).collect(),
            Self::Theirs => named(OWN),
            Self::Own(settings) => {
                let settings = settings
                    .iter()
                    .flat_map(|setting| ["--config".to_owned(), setting.clone()]);
                named(OWN).into_iter().chain(settings).collect()
            }
        }
    }

    /// The name of the directory of what it makes. Some of cargo's names are older than its profiles.
    pub(super) fn directory(&self) -> &str {
        match self {
            Self::Chosen(name) => match name.as_deref() {
                None | Some("dev" | "test") => "debug",
                Some("bench") => "release",
                Some(other) => other,
            },
            Self::Theirs | Self::Own(_) => OWN,
        }
    }
}

fn setting(name: &str, value: &str) -> String {
    format!("profile.{OWN}.{name}={value}")
}

/// Where a setting of a profile is, in a manifest as in a configuration.
fn path_of<'a>(profile: &'a str, setting: &'a str) -> Vec<&'a str> {
    let names = setting.split('.').filter(|name| !name.is_empty());
    let names = names.map(|name| name.trim_matches('"'));
    ["profile", profile].into_iter().chain(names).collect()
}

fn has(table: &Table, path: &[&str]) -> bool {
    match path {
        [] => true,
        [first, rest @ ..] => match table.get(*first) {
            Some(Value::Table(inner)) => has(inner, rest),
            Some(_) => rest.is_empty(),
            None => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(manifest: &str) -> Vec<String> {
        Profile::own(manifest, &[]).words()
    }

    #[test]
    fn it_is_defined_on_the_command_line() {
        let expected = [
            "--profile",
            "portkeep-dev",
            "--config",
            r#"profile.portkeep-dev.inherits="dev""#,
            "--config",
            r#"profile.portkeep-dev.debug="line-tables-only""#,
            "--config",
            r#"profile.portkeep-dev.package."*".debug=false"#,
        ];
        assert_eq!(own("[package]\nname = \"hello\"\n"), expected);
        // cargo tells what is wrong with it.
        assert_eq!(own("[package"), expected);
        let elsewhere = "[profile.dev]\nopt-level = 1\n[profile.release]\ndebug = true\n[profile.dev.package.a]\ndebug = 2\n";
        assert_eq!(own(elsewhere), expected);
    }

    #[test]
    fn what_the_project_wants_of_debug_information_stays() {
        let of_workspace = "[profile.dev]\ndebug = false\n";
        assert!(
            !own(of_workspace)
                .iter()
                .any(|word| word.contains("dev.debug"))
        );
        assert_eq!(own(of_workspace).len(), 6);
        let of_dependencies = "[profile.dev.package.\"*\"]\ndebug = true\n";
        assert!(!own(of_dependencies).iter().any(|word| word.contains('*')));
        let inline = "profile.dev = { debug = 1, package = { \"*\" = { debug = 1 } } }";
        assert_eq!(own(inline).len(), 4);
        let configured = Profile::own("", &["[profile.dev]\ndebug = 1\n".to_owned()]);
        assert_eq!(configured.words().len(), 6);
    }

    #[test]
    fn a_profile_of_the_projects_that_is_named_like_ours_is_taken_as_it_is() {
        let profile = Profile::own("[profile.portkeep-dev]\ninherits = \"release\"\n", &[]);
        assert_eq!(profile, Profile::Theirs);
        assert_eq!(profile.words(), ["--profile", "portkeep-dev"]);
        let configured = ["[profile.portkeep-dev]\nopt-level = 2\n".to_owned()];
        assert_eq!(Profile::own("", &configured), Profile::Theirs);
    }
}
