//! Parameters of a release: arguments, environment, and the settings of its unit.

use std::collections::BTreeMap;

use portkeep_spec::{Drain, Span, Spec, contract};
use serde::{Deserialize, Serialize};

use super::{CaptureError, settings_file};
use crate::store::Key;

/// Everything except for the files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Parameters {
    /// Arguments, without the executable.
    pub(crate) arguments: Vec<String>,
    /// Environment of the app. Kept in a file of its own (mode 0600), since it may hold secrets.
    #[serde(skip)]
    pub(crate) environment: BTreeMap<String, String>,
    /// A digest of the rest: the generation's unit, and the files that systemd reads for it. A running generation has the
    /// old settings; applying them needs a new one.
    settings: String,
}

impl Parameters {
    /// The parameters of `spec`, on top of the environment of `portkeep dev`. `unit` is the text of the unit that starts a
    /// generation, with the operator's drop-ins.
    ///
    /// # Errors
    /// When an environment file is none that can be read to its end.
    pub(crate) fn of(
        spec: &Spec,
        base_environment: &BTreeMap<String, String>,
        unit: &str,
        key: &Key,
    ) -> Result<Self, CaptureError> {
        let arguments = spec.exec.iter().skip(1).cloned().collect();
        Ok(Self {
            arguments,
            environment: environment(spec, base_environment),
            settings: settings(spec, unit, key)?,
        })
    }

    /// The parameters of a program that is not the app's.
    pub(crate) fn without_spec(
        arguments: Vec<String>,
        environment: BTreeMap<String, String>,
    ) -> Self {
        Self {
            arguments,
            environment,
            settings: String::new(),
        }
    }

    /// Whether the generation's unit, and the files that systemd reads for it, are those of `other`.
    pub(crate) fn has_settings_of(&self, other: &Self) -> bool {
        self.settings == other.settings
    }

    pub(crate) fn hash(&self, hasher: &mut blake3::Hasher) {
        let variables = self
            .environment
            .iter()
            .flat_map(|(name, value)| [name, value]);
        for word in self
            .arguments
            .iter()
            .chain(variables)
            .chain([&self.settings])
        {
            // With its length, so that two lists of words never give the same input.
            hasher.update(&(word.len() as u64).to_le_bytes());
            hasher.update(word.as_bytes());
        }
    }
}

/// The spec's own variables win over those of `portkeep dev`. An app with our library gets the aim and the limit of its
/// drain, so that it reports what it cuts before its manager kills it.
fn environment(spec: &Spec, base: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut environment = base.clone();
    environment.extend(spec.environment.clone());
    // Even if an app with a label started `portkeep dev` itself.
    environment.remove(contract::PORTKEEP_LABEL);
    let label = spec.label.as_ref();
    environment.extend(label.map(|label| (contract::PORTKEEP_LABEL.to_owned(), label.to_string())));
    let drain = spec.drain.and_then(|drain| match drain {
        Drain::Lossless => Some("lossless".to_owned()),
        Drain::Fresh => Some("fresh".to_owned()),
        _ => None,
    });
    environment.extend(drain.map(|word| (contract::PORTKEEP_DRAIN.to_owned(), word)));
    for (name, time) in [
        (
            contract::PORTKEEP_DRAIN_TIMEOUT_USEC,
            Some(spec.drain_timeout),
        ),
        (contract::PORTKEEP_LINGER_USEC, spec.linger),
        (contract::PORTKEEP_IDLE_EXIT_USEC, spec.idle_exit),
    ] {
        environment.extend(time.map(|time| (name.to_owned(), time.as_micros().to_string())));
    }
    let limits = spec.limits.variables();
    environment.extend(limits.map(|(name, value)| (name.to_owned(), value)));
    environment
}

fn settings(spec: &Spec, unit: &str, key: &Key) -> Result<String, CaptureError> {
    let mut shaping = spec.clone();
    // Without what is not in the generation's unit: how it is built, kept and watched.
    shaping.exec.clear();
    shaping.environment.clear();
    // The environment has it.
    shaping.label = None;
    shaping.build.clear();
    shaping.checks.clear();
    shaping.watch = None;
    shaping.sources.clear();
    shaping.ignore.clear();
    shaping.keep_generations = 0;
    shaping.watch_secrets = false;
    // Another limit for the command makes no other release; another command does.
    shaping.release_timeout = Span::from_secs(0);
    // Their contents are hashed as files, and where the release runs is in its unit.
    shaping.files.clear();
    shaping.files_from = None;
    let plain = Spec::new(spec.name.clone(), Vec::new(), Vec::new());
    shaping.files_max_size = plain.files_max_size;
    shaping.files_max_count = plain.files_max_count;
    shaping.keep_files = plain.keep_files;
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(shaping.to_json().as_bytes());
    hasher.update(unit.as_bytes());
    for file in &spec.environment_files {
        hasher.update(settings_file::environment(file)?.as_bytes());
    }
    for file in spec.credentials.values() {
        hasher.update(settings_file::credential(file).as_bytes());
    }
    Ok(hasher.finalize().to_hex()[..32].to_owned())
}
