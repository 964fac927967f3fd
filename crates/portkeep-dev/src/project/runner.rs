//! Program that `cargo run` would start the app with.

use std::ffi::OsString;
use std::fmt;
use std::path::Path;

use toml::{Table, Value};

use super::configuration::Configuration;
use super::enabled::Target;

/// A command that takes the executable and its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Runner {
    words: Vec<String>,
    /// Its environment variable, which wins over cargo's configurations.
    variable: String,
}

impl Runner {
    /// The runner that the environment or a configuration names for the target; configurations are nearest first. `target`
    /// is asked only if it matters.
    pub(super) fn of(
        configurations: &[Configuration],
        variable: impl Fn(&str) -> Option<String>,
        has_variable: bool,
        target: impl FnOnce() -> Option<Target>,
    ) -> Option<Self> {
        let named: Vec<_> = configurations.iter().flat_map(runners).collect();
        if named.is_empty() && !has_variable {
            return None;
        }
        let target = target()?;
        let name = variable_of(&target.triple);
        let words = variable(&name)
            .map(|value| split(&value))
            .or_else(|| chosen(named, &target))?;
        let is_something = words.first().is_some_and(|word| !word.is_empty());
        is_something.then_some(Self {
            words,
            variable: name,
        })
    }

    /// The program and its first arguments.
    pub(crate) fn words(&self) -> Vec<OsString> {
        self.words.iter().map(OsString::from).collect()
    }

    /// The notice if it is used.
    pub(crate) fn told(&self) -> String {
        format!(
            "the app is started by `{self}`, as cargo's configuration wants it ({}=env does without)",
            self.variable
        )
    }

    /// The notice if the app has to take sockets through it.
    pub(crate) fn told_of_sockets(&self) -> String {
        format!(
            "{}; it has to `exec` the app, which else does not take the sockets that it is passed",
            self.told()
        )
    }

    /// The notice if the manager starts the app without it.
    pub(crate) fn told_unused(&self) -> String {
        format!(
            "the runner `{self}` of cargo's configuration is not used: systemd starts the app itself (--backend local uses it)"
        )
    }
}

impl fmt::Display for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words.join(" "))
    }
}

/// Whether `name` may be a runner's variable, for any target.
pub(super) fn is_variable(name: &str) -> bool {
    name.starts_with(PREFIX) && name.ends_with(SUFFIX)
}

const PREFIX: &str = "CARGO_TARGET_";
const SUFFIX: &str = "_RUNNER";

fn variable_of(triple: &str) -> String {
    let triple = triple.to_uppercase().replace(['-', '.'], "_");
    format!("{PREFIX}{triple}{SUFFIX}")
}

fn split(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// The runners of one configuration, with their targets.
fn runners(configuration: &Configuration) -> Vec<(String, Vec<String>)> {
    let table = configuration.text.parse::<Table>().unwrap_or_default();
    let targets = table.get("target").and_then(Value::as_table);
    let named = targets
        .into_iter()
        .flatten()
        .filter_map(|(name, settings)| {
            let mut words = match settings.get("runner")? {
                Value::Array(words) => {
                    let words = words.iter().filter_map(Value::as_str);
                    words.map(str::to_owned).collect()
                }
                words => split(words.as_str()?),
            };
            if let Some(program) = words.first_mut() {
                *program = found(program, &configuration.base);
            }
            Some((name.clone(), words))
        });
    named.collect()
}

/// Resolves the program as cargo does: a path is relative to the configuration, and a name is looked up in `PATH`.
fn found(program: &str, base: &Path) -> String {
    match program.contains('/') {
        true => base.join(program).display().to_string(),
        false => program.to_owned(),
    }
}

/// The runner that names the target, else one whose condition it meets.
fn chosen(named: Vec<(String, Vec<String>)>, target: &Target) -> Option<Vec<String>> {
    let is_named = |name: &str| name == target.triple;
    let is_meant = |name: &str| {
        let platform = name.parse::<cargo_metadata::cargo_platform::Platform>();
        platform.is_ok_and(|platform| platform.matches(&target.triple, &target.cfgs))
    };
    let place = named
        .iter()
        .position(|(name, _)| is_named(name))
        .or_else(|| named.iter().position(|(name, _)| is_meant(name)))?;
    named.into_iter().nth(place).map(|(_, words)| words)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "x86_64-unknown-linux-gnu";

    fn runner(texts: &[&str], variable: Option<&str>) -> Option<Vec<String>> {
        let configurations: Vec<_> = texts
            .iter()
            .map(|text| Configuration {
                base: "/base".into(),
                text: (*text).to_owned(),
            })
            .collect();
        let target = || {
            Some(Target {
                triple: HERE.to_owned(),
                cfgs: vec!["unix".parse().unwrap()],
            })
        };
        let of_here = |name: &str| {
            assert_eq!(name, "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER");
            variable.map(str::to_owned)
        };
        let found = Runner::of(&configurations, of_here, variable.is_some(), target);
        found.map(|runner| runner.words)
    }

    #[test]
    fn the_runner_of_this_target_is_found() {
        let here = format!("[target.{HERE}]\nrunner = \"sudo -E\"\n");
        let unix = "[target.'cfg(unix)']\nrunner = [\"tools/run it\", \"record\"]\n";
        let other = "[target.wasm32-wasip1]\nrunner = \"wasmtime\"\n";
        for (texts, variable, expected) in [
            (&[""][..], None, None),
            (&[other, "[target"], None, None),
            (&[&here], None, Some(&["sudo", "-E"][..])),
            (&[unix], None, Some(&["/base/tools/run it", "record"])),
            // The name of the target wins over a condition, and the environment over both.
            (&[unix, &here], None, Some(&["sudo", "-E"])),
            (&[unix, &here], Some("env -i"), Some(&["env", "-i"])),
            (&[], Some("./run"), Some(&["./run"])),
            (&[&here], Some(""), None),
        ] {
            let found = runner(texts, variable);
            let expected = expected.map(|words| words.iter().map(|word| (*word).to_owned()));
            assert_eq!(found, expected.map(Iterator::collect), "{texts:?}");
        }
        assert!(is_variable("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER"));
        assert!(!is_variable("CARGO_TARGET_DIR"));
    }
}
