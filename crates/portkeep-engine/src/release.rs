//! Release: what a generation runs.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use portkeep_spec::{Label, contract};
use serde::{Deserialize, Serialize};

use crate::capture::{Built, CaptureError, FileStates, Parameters, ReleaseFiles};

/// The digest of a release: 32 hexadecimal digits over executable, arguments, environment and settings.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(pub(crate) String);

impl Digest {
    /// The digest of the holding page, which is no release of the app and has no digits.
    #[must_use]
    pub fn holding_page() -> Self {
        Self("holding-page".to_owned())
    }

    /// Whether it is the digest of the holding page.
    #[must_use]
    pub fn is_holding_page(&self) -> bool {
        *self == Self::holding_page()
    }

    /// The first twelve digits, for people.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }

    /// All digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.short())
    }
}

/// The holding page as a release, if no release of the app can serve: portkeep itself, so that it is READY, drains and
/// moves its connections like any generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldingPage {
    /// The `portkeep` executable.
    pub executable: PathBuf,
    /// The arguments for serving the page.
    pub arguments: Vec<String>,
}

/// One release: an executable with its arguments, environment and settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    pub(crate) digest: Digest,
    /// The file that runs: a copy or a separate name that no build overwrites, or the file itself if it never changes.
    pub(crate) executable: PathBuf,
    #[serde(rename = "look")]
    states: FileStates,
    #[serde(rename = "recipe")]
    parameters: Parameters,
    /// Its `argv[0]` if it runs in place: an interpreter finds its modules by that.
    #[serde(default)]
    called: Option<PathBuf>,
    /// Its `files`.
    #[serde(default)]
    files: Option<ReleaseFiles>,
    /// Its name beside the build, in development.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    built: Option<Built>,
}

impl Release {
    pub(crate) fn new(
        digest: Digest,
        executable: PathBuf,
        states: FileStates,
        parameters: Parameters,
    ) -> Self {
        Self {
            digest,
            executable,
            states,
            parameters,
            called: None,
            files: None,
            built: None,
        }
    }

    /// Sets its files.
    pub(crate) fn with_files(mut self, files: Option<ReleaseFiles>) -> Self {
        self.files = files;
        self
    }

    /// Sets its name beside the build.
    pub(crate) fn built_at(mut self, built: Option<Built>) -> Self {
        self.built = built;
        self
    }

    /// The file that a generation executes: beside the build as long as that is still this release's, and otherwise the
    /// kept one.
    pub(crate) fn runs_at(&self) -> &Path {
        let built = self.built.as_ref().and_then(Built::path);
        built.unwrap_or(&self.executable)
    }

    /// The directory with its files.
    #[must_use]
    pub fn files(&self) -> Option<&Path> {
        self.files.as_ref().map(|files| files.directory.as_path())
    }

    /// Sets its `argv[0]`.
    pub(crate) fn called(mut self, name: Option<PathBuf>) -> Self {
        self.called = name;
        self
    }

    /// The holding page, on top of the environment of `portkeep dev`.
    ///
    /// # Errors
    /// When its executable is missing.
    pub(crate) fn holding_page(
        page: &HoldingPage,
        environment: BTreeMap<String, String>,
    ) -> Result<Self, CaptureError> {
        let states = FileStates::of_executable(&page.executable)?;
        let parameters = Parameters::without_spec(page.arguments.clone(), environment);
        Ok(Self::new(
            Digest::holding_page(),
            page.executable.clone(),
            states,
            parameters,
        ))
    }

    /// Its digest.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Its label.
    #[must_use]
    pub fn label(&self) -> Option<Label> {
        let label = self.parameters.environment.get(contract::PORTKEEP_LABEL)?;
        label.parse().ok()
    }

    /// The path that its executable was captured from.
    #[must_use]
    pub fn source(&self) -> &Path {
        self.states.executable()
    }

    /// Arguments, without the executable.
    #[must_use]
    pub fn arguments(&self) -> &[String] {
        &self.parameters.arguments
    }

    /// Its `argv[0]`, if that is not the path that starts it.
    #[must_use]
    pub fn argv0(&self) -> Option<&Path> {
        self.called.as_deref()
    }

    pub(crate) fn environment(&self) -> &BTreeMap<String, String> {
        &self.parameters.environment
    }

    /// Adds the environment, which is kept in a file of its own.
    pub(crate) fn with_environment(mut self, environment: BTreeMap<String, String>) -> Self {
        self.parameters.environment = environment;
        self
    }

    /// Whether its executable and its files exist unchanged: somebody could have written to one that shares its blocks with
    /// a build's output.
    pub(crate) fn is_intact(&self) -> bool {
        let files = self.files.as_ref();
        self.states.holds_for(&self.executable) && files.is_none_or(ReleaseFiles::is_intact)
    }

    /// Whether another change of its files would have shown in their states.
    pub(crate) fn is_settled(&self) -> bool {
        self.files.as_ref().is_none_or(ReleaseFiles::is_settled)
    }

    /// Whether a release with `parameters` would have the same settings: secrets, for example.
    pub(crate) fn has_settings_of(&self, parameters: &Parameters) -> bool {
        self.parameters.has_settings_of(parameters)
    }

    /// Whether it was made from files in these states, with these parameters.
    pub(crate) fn is_made_of(&self, states: &FileStates, parameters: &Parameters) -> bool {
        self.is_settled() && self.is_made_from(states) && self.is_made_by(parameters)
    }

    /// Whether it was made from files in these states.
    pub(crate) fn is_made_from(&self, states: &FileStates) -> bool {
        self.states == *states
    }

    /// Whether it was made with these parameters.
    pub(crate) fn is_made_by(&self, parameters: &Parameters) -> bool {
        self.parameters == *parameters
    }
}
