//! The `cargo build` that makes the app, and whether what it makes is what runs.

use std::path::{Path, PathBuf};

use cargo_metadata::{Metadata, Package};
use portkeep_spec::Spec;

use crate::command::dev::Args;

/// Words of a spec's `build` that choose what is built.
const CHOOSES: [&str; 6] = ["-p", "--package", "--bin", "--bins", "--workspace", "--all"];

/// A `cargo build` of one binary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CargoBuild {
    /// What follows `cargo build`.
    pub(crate) words: Vec<String>,
    /// The binary that is run.
    pub(crate) binary: String,
    /// Where cargo puts what it makes.
    target_directory: PathBuf,
}

impl CargoBuild {
    /// `words_of_spec` is what follows `cargo build` in the spec's `build`. The command line adds to it.
    pub(super) fn new(
        metadata: &Metadata,
        package: &Package,
        binary: &str,
        manifest: &Path,
        words_of_spec: &[String],
        args: &Args,
    ) -> Self {
        let mut words = words_of_spec.to_vec();
        if !says(&words, &CHOOSES) {
            let package = package.name.to_string();
            words.extend(["--package".to_owned(), package]);
            words.extend(["--bin".to_owned(), binary.to_owned()]);
        }
        if !says(&words, &["--manifest-path"]) {
            words.extend(["--manifest-path".to_owned(), manifest.display().to_string()]);
        }
        if args.release && !says(&words, &["-r", "--release"]) {
            words.push("--release".to_owned());
        }
        if args.no_default_features && !says(&words, &["--no-default-features"]) {
            words.push("--no-default-features".to_owned());
        }
        for (option, value) in [("--profile", &args.profile), ("--features", &args.features)] {
            words.extend(
                value
                    .iter()
                    .flat_map(|value| [option.to_owned(), value.clone()]),
            );
        }
        Self {
            words,
            binary: binary.to_owned(),
            target_directory: metadata.target_directory.clone().into_std_path_buf(),
        }
    }

    /// The words after `cargo build`, where that is what a spec's `build` runs.
    pub(super) fn words_in(build: &[String]) -> Option<&[String]> {
        match build {
            [cargo, build, rest @ ..] if cargo == "cargo" && build == "build" => Some(rest),
            _ => None,
        }
    }

    /// Where the executable appears. One that is built for another `--target` does so elsewhere.
    pub(super) fn made(&self) -> PathBuf {
        let profile = if says(&self.words, &["-r", "--release"]) {
            "release"
        } else {
            // Cargo's names of directories are older than its profiles.
            match value(&self.words, "--profile") {
                None | Some("dev" | "test") => "debug",
                Some("bench") => "release",
                Some(other) => other,
            }
        };
        self.target_directory.join(profile).join(&self.binary)
    }

    /// Whether the app of `spec` is what this makes, so that we publish it; else the spec names something that runs as it is.
    pub(super) fn makes_the_app_of(&self, spec: &Spec) -> bool {
        let Some(exec) = spec.exec.first() else {
            return true;
        };
        if *exec == self.binary {
            return true;
        }
        let exec = Path::new(exec);
        // Who watches cargo's output wants builds in other terminals to be handed over too; but not past the checks.
        let is_watched = spec.watch.is_some() && spec.checks.is_empty() && exec == self.made();
        exec.starts_with(&self.target_directory) && !is_watched
    }

    /// Which binary a spec means: the name of the file that it runs, below cargo's output.
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
        CargoBuild {
            words: words.iter().map(|&word| word.to_owned()).collect(),
            binary: "hello".to_owned(),
            target_directory: "/project/target".into(),
        }
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
            (&[][..], "/project/target/debug/hello"),
            (&["--release"], "/project/target/release/hello"),
            (&["-r"], "/project/target/release/hello"),
            (&["--profile", "dev"], "/project/target/debug/hello"),
            (&["--profile=fast"], "/project/target/fast/hello"),
        ] {
            assert_eq!(build(words).made(), Path::new(expected), "{words:?}");
        }
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
        let build = build(&[]);
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
