//! The `cargo build` that makes the app, and whether its artifact is what runs.

use std::path::{Path, PathBuf};

use cargo_metadata::{Metadata, Package};
use portkeep_spec::Spec;
use tokio::process::Command;

use super::configuration::Configuration;
use super::kind::Kind;
use super::profile::{self, Profile};
use crate::options::Options;

/// Options in a spec's `build` that choose what is built.
const CHOOSES: [&str; 8] = [
    "-p",
    "--package",
    "--bin",
    "--bins",
    "--example",
    "--examples",
    "--workspace",
    "--all",
];

/// Options that choose a profile.
const PROFILES: [&str; 3] = ["-r", "--release", "--profile"];

/// A `cargo build` of one binary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CargoBuild {
    /// Arguments of `cargo build`, except for the profile.
    words: Vec<String>,
    profile: Profile,
    /// The binary that runs.
    pub(crate) binary: String,
    kind: Kind,
    /// cargo's directory for final artifacts.
    target_directory: PathBuf,
    /// cargo's directory for intermediate artifacts.
    build_directory: PathBuf,
}

/// Profile of a build, where portkeep chooses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProfileChoice {
    /// The configured one.
    Configured,
    /// cargo's `dev`, whose dependencies are built already.
    Dev,
}

impl CargoBuild {
    /// Arguments come from `spec`'s `build` and `profile`; the command line adds its own.
    pub(super) fn new(
        metadata: &Metadata,
        package: &Package,
        (kind, binary): (Kind, &str),
        manifest: &Path,
        spec: &Spec,
        options: &Options,
        configurations: &[Configuration],
    ) -> Self {
        let mut words = Self::words_in(&spec.build).unwrap_or_default().to_vec();
        if !says(&words, &CHOOSES) {
            let package = package.name.to_string();
            words.extend(["--package".to_owned(), package]);
            let option = match kind {
                Kind::Binary => "--bin",
                Kind::Example => "--example",
            };
            words.extend([option.to_owned(), binary.to_owned()]);
        }
        if !says(&words, &["--manifest-path"]) {
            words.extend(["--manifest-path".to_owned(), manifest.display().to_string()]);
        }
        if options.no_default_features && !says(&words, &["--no-default-features"]) {
            words.push("--no-default-features".to_owned());
        }
        if let Some(features) = &options.features {
            words.extend(["--features".to_owned(), features.clone()]);
        }
        let target_directory = metadata.target_directory.clone().into_std_path_buf();
        let build_directory = metadata.build_directory.clone();
        let mut build = Self {
            words,
            profile: Profile::Chosen(None),
            binary: binary.to_owned(),
            kind,
            build_directory: build_directory.map_or_else(|| target_directory.clone(), Into::into),
            target_directory,
        };
        let watches_cargo = options.checks.is_empty() && build.is_watched_by(spec);
        build.choose_profile(spec, options, watches_cargo, || {
            let manifest = metadata.workspace_root.join("Cargo.toml");
            let manifest = std::fs::read_to_string(manifest).unwrap_or_default();
            let texts: Vec<_> = configurations.iter().map(|one| one.text.clone()).collect();
            Profile::own(&manifest, &texts)
        });
        build
    }

    /// The command line wins over the spec, and both over our default. If the spec watches the output of builds in other
    /// terminals, their profile is used.
    fn choose_profile(
        &mut self,
        spec: &Spec,
        options: &Options,
        watches_cargo: bool,
        own: impl FnOnce() -> Profile,
    ) {
        let on_the_line = if options.release {
            Some("release".to_owned())
        } else {
            options.profile.clone()
        };
        let in_words = if says(&self.words, &["-r", "--release"]) {
            Some(Profile::Chosen(Some("release".to_owned())))
        } else if says(&self.words, &["--profile"]) {
            let name = value(&self.words, "--profile").map(str::to_owned);
            Some(Profile::Chosen(name))
        } else {
            None
        };
        self.words = without(&self.words, &PROFILES);
        self.profile = match (on_the_line, in_words, &spec.profile) {
            (Some(name), _, _) => Profile::Chosen(Some(name)),
            (None, Some(profile), _) => profile,
            (None, None, Some(name)) => Profile::Chosen(Some(name.clone())),
            (None, None, None) if watches_cargo => Profile::Chosen(None),
            (None, None, None) => own(),
        };
    }

    /// The command. It runs in the project's directory, so that cargo finds the `.cargo/config.toml` and
    /// `rust-toolchain.toml` there.
    pub(crate) fn command(&self, with: ProfileChoice, directory: &Path) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command
            .arg("build")
            .args(self.words(with))
            .current_dir(directory);
        command
    }

    /// The arguments of `cargo build`.
    fn words(&self, with: ProfileChoice) -> Vec<String> {
        let profile = match with {
            ProfileChoice::Configured => self.profile.words(),
            ProfileChoice::Dev => Vec::new(),
        };
        [self.words.clone(), profile].concat()
    }

    /// Whether a first build is faster with cargo's profile `dev`, because the dependencies are built for it and not for
    /// ours.
    pub(crate) fn begins_with_dev(&self) -> bool {
        let binary = |place: &Path| place.join(self.file()).exists();
        let is_built = |place: &Path| {
            let built = std::fs::read_dir(place.join("deps"));
            built.is_ok_and(|mut built| {
                built.any(|file| file.is_ok_and(|file| has_extension(&file.path(), "rlib")))
            })
        };
        matches!(self.profile, Profile::Own(_))
            && !places(&self.target_directory, profile::OWN).any(|place| binary(&place))
            && places(&self.build_directory, "debug").any(|place| is_built(&place))
    }

    /// Directories of the shared libraries that cargo builds for the app.
    pub(super) fn library_paths(&self) -> Vec<PathBuf> {
        let mut paths = Vec::new();
        for profile in [self.profile.directory(), "debug"] {
            for directory in [&self.build_directory, &self.target_directory] {
                let place = directory.join(profile);
                paths.extend([place.join("deps"), place]);
            }
        }
        let mut known = std::collections::HashSet::new();
        paths.retain(|path| known.insert(path.clone()));
        paths
    }

    /// The directories that cargo writes to.
    pub(super) fn outputs(&self) -> Vec<PathBuf> {
        let mut outputs = vec![self.target_directory.clone(), self.build_directory.clone()];
        outputs.dedup();
        outputs
    }

    /// The arguments of a spec's `build` if it runs `cargo build`.
    pub(super) fn words_in(build: &[String]) -> Option<&[String]> {
        match build {
            [cargo, build, rest @ ..] if cargo == "cargo" && build == "build" => Some(rest),
            _ => None,
        }
    }

    /// The executable, relative to the profile's directory.
    fn file(&self) -> PathBuf {
        match self.kind {
            Kind::Binary => PathBuf::from(&self.binary),
            Kind::Example => Path::new("examples").join(&self.binary),
        }
    }

    /// The path of the executable. A build for another `--target` puts it elsewhere.
    pub(super) fn made(&self) -> PathBuf {
        let profile = self.profile.directory();
        self.target_directory.join(profile).join(self.file())
    }

    /// Whether `spec` has cargo's output watched, so that a `cargo build` in another terminal is handed over as well.
    fn is_watched_by(&self, spec: &Spec) -> bool {
        let exec = spec.exec.first().map(Path::new);
        // Not past the checks.
        spec.watch.is_some() && spec.checks.is_empty() && exec == Some(&*self.made())
    }

    /// Whether this builds the app of `spec`, so that we publish it; otherwise the spec names an executable that runs as it
    /// is.
    pub(super) fn makes_the_app_of(&self, spec: &Spec) -> bool {
        let Some(exec) = spec.exec.first() else {
            return true;
        };
        if *exec == self.binary {
            return true;
        }
        Path::new(exec).starts_with(&self.target_directory) && !self.is_watched_by(spec)
    }

    /// The binary that a spec means: the file name of its executable, if that is below cargo's output.
    pub(super) fn binary_of<'a>(spec: &'a Spec, metadata: &Metadata) -> Option<&'a str> {
        let exec = Path::new(spec.exec.first()?);
        exec.starts_with(metadata.target_directory.as_std_path())
            .then(|| exec.file_name()?.to_str())
            .flatten()
    }
}

/// Whether one of `options` is among `words`, also as `--option=value`.
fn says(words: &[String], options: &[&str]) -> bool {
    words.iter().any(|word| {
        let name = word.split_once('=').map_or(word.as_str(), |(name, _)| name);
        options.contains(&name)
    })
}

/// `words` without `options` and their values; `-r` and `--release` have none.
fn without(words: &[String], options: &[&str]) -> Vec<String> {
    let mut left = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if !says(std::slice::from_ref(word), options) {
            left.push(word.clone());
        } else if word == "--profile" {
            words.next();
        }
    }
    left
}

/// cargo's directories for a profile: for this machine, and for each `--target`.
fn places(directory: &Path, profile: &str) -> impl Iterator<Item = PathBuf> {
    let targets = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let places: Vec<_> = targets
        .map(|target| target.path().join(profile))
        .chain([directory.join(profile)])
        .collect();
    places.into_iter()
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found == extension)
}

fn value<'a>(words: &'a [String], option: &str) -> Option<&'a str> {
    let at = words
        .iter()
        .position(|word| says(std::slice::from_ref(word), &[option]))?;
    match words[at].split_once('=') {
        Some((_, value)) => Some(value),
        None => words.get(at + 1).map(String::as_str),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(words: &[&str]) -> CargoBuild {
        with_arguments(words, &["portkeep"], None, &[])
    }

    /// Of a spec with these words after `cargo build` and this profile.
    fn with_arguments(
        words: &[&str],
        arguments: &[&str],
        profile: Option<&str>,
        watched: &[&str],
    ) -> CargoBuild {
        let mut build = CargoBuild {
            words: words.iter().map(|&word| word.to_owned()).collect(),
            profile: Profile::Chosen(None),
            binary: "hello".to_owned(),
            kind: Kind::Binary,
            target_directory: "/project/target".into(),
            build_directory: "/project/target".into(),
        };
        let mut spec = spec("/project/target/debug/hello");
        spec.profile = profile.map(str::to_owned);
        let own = || Profile::Own(vec!["settings".to_owned()]);
        let mut options = Options::of(".");
        match arguments {
            ["portkeep"] => {}
            ["portkeep", "--release"] => options.release = true,
            ["portkeep", "--profile", name] => options.profile = Some((*name).to_owned()),
            other => panic!("{other:?}"),
        }
        build.choose_profile(&spec, &options, !watched.is_empty(), own);
        build
    }

    fn spec(exec: &str) -> Spec {
        Spec::new(
            "hello".parse().unwrap(),
            vec![exec.to_owned(), "--port".to_owned()],
            Vec::new(),
        )
    }

    #[test]
    fn what_is_made_is_where_its_profile_says() {
        for (words, expected) in [
            (&[][..], "/project/target/portkeep-dev/hello"),
            (&["--release"], "/project/target/release/hello"),
            (&["-r"], "/project/target/release/hello"),
            (&["--profile", "dev"], "/project/target/debug/hello"),
            (&["--profile=fast"], "/project/target/fast/hello"),
        ] {
            assert_eq!(build(words).made(), Path::new(expected), "{words:?}");
        }
    }

    #[test]
    fn whoever_chooses_a_profile_gets_it_and_nobody_else_loses_words() {
        let own = [
            "--locked",
            "--profile",
            "portkeep-dev",
            "--config",
            "settings",
        ];
        let all = |words, arguments, profile, watched| {
            with_arguments(words, arguments, profile, watched).words(ProfileChoice::Configured)
        };
        assert_eq!(all(&["--locked"], &["portkeep"], None, &[]), own);
        let fast = ["--locked", "--profile", "fast"];
        assert_eq!(all(&["--locked"], &["portkeep"], Some("fast"), &[]), fast);
        let line = &["portkeep", "--profile", "fast"][..];
        for words in [
            &["--locked"][..],
            &["-r", "--locked"],
            &["--profile", "slow", "--locked"],
        ] {
            assert_eq!(all(words, line, Some("slow"), &[]), fast, "{words:?}");
        }
        let of_spec = all(
            &["--profile=fast", "--locked"],
            &["portkeep"],
            Some("slow"),
            &[],
        );
        assert_eq!(of_spec, fast);
        let release = ["--locked", "--profile", "release"];
        assert_eq!(
            all(&["--locked"], &["portkeep", "--release"], None, &[]),
            release
        );
        assert_eq!(all(&["--locked", "-r"], &["portkeep"], None, &[]), release);
        assert_eq!(
            all(&["--locked"], &["portkeep"], None, &["target/debug/hello"]),
            ["--locked"]
        );
    }

    #[test]
    fn a_first_build_uses_what_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let mut build = build(&[]);
        build.target_directory = directory.path().join("target");
        build.build_directory = directory.path().join("build");
        let write = |path: &str| {
            let path = directory.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        };
        assert!(!build.begins_with_dev());
        // Only checked, as by rust-analyzer.
        write("build/debug/deps/libaxum-1.rmeta");
        assert!(!build.begins_with_dev());
        write("build/x86_64-unknown-linux-gnu/debug/deps/libaxum-1.rlib");
        assert!(build.begins_with_dev());
        assert!(
            !build
                .words(ProfileChoice::Dev)
                .contains(&"--profile".to_owned())
        );
        write("target/x86_64-unknown-linux-gnu/portkeep-dev/hello");
        assert!(!build.begins_with_dev());

        let directory = tempfile::tempdir().unwrap();
        let mut chosen = with_arguments(&[], &["portkeep", "--profile", "dev"], None, &[]);
        chosen.build_directory = directory.path().join("target");
        std::fs::create_dir_all(directory.path().join("target/debug/deps")).unwrap();
        std::fs::write(
            directory.path().join("target/debug/deps/libaxum-1.rlib"),
            "",
        )
        .unwrap();
        assert!(!chosen.begins_with_dev());
    }

    #[test]
    fn the_spec_of_production_runs_what_is_built_here() {
        let build = build(&[]);
        assert!(build.makes_the_app_of(&spec("/project/target/release/hello")));
        assert!(build.makes_the_app_of(&spec("/project/target/debug/hello")));
        assert!(build.makes_the_app_of(&spec("hello")));
        assert!(!build.makes_the_app_of(&spec("/usr/bin/python3")));
    }

    #[test]
    fn who_watches_what_cargo_makes_has_every_build_handed_over_but_not_past_the_checks() {
        let build = with_arguments(&[], &["portkeep"], None, &["target/debug/hello"]);
        let mut spec = spec("/project/target/debug/hello");
        spec.watch = Some("/project/target/debug/hello".into());
        assert!(!build.makes_the_app_of(&spec));
        spec.checks = vec![portkeep_spec::Check::Line("cargo test".to_owned())];
        assert!(build.makes_the_app_of(&spec));
    }

    #[test]
    fn only_cargo_build_is_cargo_build() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(
            CargoBuild::words_in(&words("cargo build -r")),
            Some(&words("-r")[..])
        );
        assert_eq!(CargoBuild::words_in(&words("cargo leptos build")), None);
        assert_eq!(CargoBuild::words_in(&words("make")), None);
    }
}
