//! The cargo profile that builds the app.

use toml::{Table, Value};

/// The name of `portkeep dev`'s own profile, and of its directory in cargo's output.
pub(crate) const OWN: &str = "portkeep-dev";

/// Additions to `dev`: line numbers for the app's own packages, so that a panic names its source, and no other debug
/// information, which takes time to write and to link.
const SETTINGS: [(&str, &str); 2] = [
    ("debug", r#""line-tables-only""#),
    (r#"package."*".debug"#, "false"),
];

/// Which profile builds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Profile {
    /// A profile of the project or of cargo that the spec, its `build` or the command line chooses.
    Chosen(Option<String>),
    /// A profile that the project defines under our name.
    Theirs,
    /// Our own, with these settings on cargo's command line. Nobody's Cargo.toml is changed.
    Own(Vec<String>),
}

impl Profile {
    /// Our own profile, if nothing else is chosen. `manifest` is the workspace's Cargo.toml, and `configurations` are
    /// cargo's. Their settings for the profile `dev` stay: only those that they leave open are set.
    pub(super) fn own(manifest: &str, configurations: &[String]) -> Self {
        let tables: Vec<Table> = std::iter::once(manifest)
            .chain(configurations.iter().map(String::as_str))
            // cargo reports errors in them better.
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

    /// The arguments for cargo.
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

    /// The name of the profile's output directory. Some of cargo's names are older than its profiles.
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

/// The path of a profile's setting in a manifest or a configuration.
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
        // cargo reports the error.
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
