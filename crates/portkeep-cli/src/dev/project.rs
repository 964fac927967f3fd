//! The project under development: what to build, what it becomes, what to watch.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use cargo_metadata::{Metadata, MetadataCommand, Package};
use portkeep_spec::{Check, Listen, Spec, contract};

use super::listen;
use crate::command::dev::{Args, WhileBuilding};
use crate::exit::usage;
use crate::locate;

/// What shapes a build besides the packages, in the workspace's directory.
const OF_A_WORKSPACE: [&str; 5] = [
    "Cargo.toml",
    "Cargo.lock",
    ".cargo/config.toml",
    "rust-toolchain.toml",
    "rust-toolchain",
];

/// How the project is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BuildCommand {
    /// `cargo build`, which tells us where the executable is.
    Cargo(Vec<String>),
    /// A command of the spec's.
    Custom(Vec<String>),
    /// Nothing is built.
    None,
}

/// A project.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    /// Its directory.
    pub(crate) directory: PathBuf,
    /// The spec: the project's own, or one made from its Cargo.toml. With cargo its `exec` is filled in after the build.
    pub(crate) spec: Spec,
    pub(crate) build: BuildCommand,
    /// Whether the spec names its executable itself, so that it is not taken from cargo.
    pub(crate) has_own_exec: bool,
    /// Directories with sources.
    pub(crate) sources: Vec<PathBuf>,
    /// Directories of build output, never watched.
    pub(crate) outputs: Vec<PathBuf>,
    /// Single files that count besides, where the rest of their directory does not.
    pub(crate) files: Vec<PathBuf>,
    /// What is ignored besides what git ignores, as in a `.gitignore`.
    pub(crate) ignores: Vec<String>,
    /// Paths in diagnostics are relative to this.
    pub(crate) root: PathBuf,
    /// What becomes of requests while a build runs.
    pub(crate) while_building: WhileBuilding,
    /// What to tell the user at the start.
    pub(crate) notices: Vec<String>,
}

impl Project {
    /// Finds out what the project is.
    pub(crate) fn find(args: &Args) -> anyhow::Result<Self> {
        let given = &args.project;
        let directory = std::fs::canonicalize(given).map_err(|error| {
            usage(format!(
                "cannot open the project {}: {error}; name a directory with --project DIR",
                given.display()
            ))
        })?;
        if !directory.is_dir() {
            return Err(usage(format!(
                "the project {} is not a directory",
                given.display()
            )));
        }
        if let Err(error) = std::fs::read_dir(&directory) {
            return Err(usage(format!(
                "cannot read the project {}: {error}",
                given.display()
            )));
        }
        let own_spec = directory.join(contract::SPEC_FILE);
        let own_spec = own_spec
            .exists()
            .then(|| locate::read_spec(&own_spec))
            .transpose()?;
        let is_cargo = directory.join("Cargo.toml").exists();
        let mut project = match (own_spec, is_cargo) {
            (None, false) => {
                return Err(usage(format!(
                    "{} has neither a Cargo.toml nor a portkeep.json; go to your project, or name it with --project DIR",
                    directory.display()
                )));
            }
            (Some(spec), _) if !spec.build.is_empty() || !is_cargo => Self::custom(directory, spec),
            (own_spec, _) => Self::cargo(directory, own_spec, args)?,
        };
        project.apply(args)?;
        project.spec.validate()?;
        Ok(project)
    }

    fn custom(directory: PathBuf, spec: Spec) -> Self {
        let build = if spec.build.is_empty() {
            BuildCommand::None
        } else {
            BuildCommand::Custom(spec.build.clone())
        };
        // The usual places of output, also where no .gitignore names them.
        let mut outputs = vec![directory.join("target")];
        outputs.extend(spec.exec.first().map(PathBuf::from));
        outputs.extend(spec.watch.clone());
        let sources = vec![directory.clone()];
        Self {
            root: directory.clone(),
            directory,
            spec,
            build,
            has_own_exec: true,
            sources,
            outputs,
            files: Vec::new(),
            ignores: Vec::new(),
            while_building: WhileBuilding::Serve,
            notices: Vec::new(),
        }
    }

    fn cargo(directory: PathBuf, own_spec: Option<Spec>, args: &Args) -> anyhow::Result<Self> {
        let manifest = directory.join("Cargo.toml");
        let metadata = MetadataCommand::new()
            .manifest_path(&manifest)
            .no_deps()
            .exec()
            .map_err(|error| {
                let said = match error {
                    cargo_metadata::Error::CargoMetadata { stderr } => stderr.trim().to_owned(),
                    other => other.to_string(),
                };
                usage(format!("cargo cannot read {}:\n{said}", manifest.display()))
            })?;
        let (package, binary) = binary(&metadata, &manifest, args.bin.as_deref())?;
        let mut words = vec![
            "--package".to_owned(),
            package.name.to_string(),
            "--bin".to_owned(),
            binary.clone(),
        ];
        words.extend(["--manifest-path".to_owned(), manifest.display().to_string()]);
        words.extend(args.release.then(|| "--release".to_owned()));
        words.extend(
            args.features
                .iter()
                .flat_map(|features| ["--features".to_owned(), features.clone()]),
        );
        let has_own_exec = own_spec.is_some();
        let spec = match own_spec {
            Some(spec) => spec,
            None => from_manifest(package, &binary)?,
        };
        let root = metadata.workspace_root.clone().into_std_path_buf();
        Ok(Self {
            sources: sources(&metadata, package),
            files: OF_A_WORKSPACE.iter().map(|file| root.join(file)).collect(),
            ignores: Vec::new(),
            root,
            while_building: WhileBuilding::Serve,
            outputs: vec![metadata.target_directory.clone().into_std_path_buf()],
            directory,
            spec,
            build: BuildCommand::Cargo(words),
            has_own_exec,
            notices: Vec::new(),
        })
    }

    /// What the command line says wins over the spec.
    fn apply(&mut self, args: &Args) -> anyhow::Result<()> {
        if args.listen.is_empty() {
            for (asked, local) in listen::keep_to_loopback(&mut self.spec.listen) {
                self.notices.push(format!(
                    "{asked} is kept to {local} in development (--listen {asked} opens it)"
                ));
            }
        } else {
            self.spec.listen = listen::parse(&args.listen)?;
        }
        self.spec.exec.extend(args.arguments.iter().cloned());
        let checks = args.check.iter().cloned().map(Check::Line);
        self.spec.checks.extend(checks);
        self.while_building = args.while_building;
        self.sources.extend(
            args.watch
                .iter()
                .cloned()
                .map(absolute)
                .collect::<Result<Vec<_>, _>>()?,
        );
        self.ignores.extend(args.ignore.iter().cloned());
        self.keep_behind_checks();
        if self.spec.working_directory.is_none() {
            let here = std::env::current_dir().context("cannot tell the working directory")?;
            self.spec.working_directory = Some(here);
        }
        Ok(())
    }
}

impl Project {
    /// Where checks stand between the build and the swap, nothing may be swapped by the build alone.
    fn keep_behind_checks(&mut self) {
        if self.spec.checks.is_empty() {
            return;
        }
        self.spec.watch = None;
        if matches!(self.build, BuildCommand::Cargo(_)) {
            // What cargo made is published by us, after the checks.
            self.has_own_exec = false;
        }
    }
}

fn absolute(path: PathBuf) -> anyhow::Result<PathBuf> {
    std::fs::canonicalize(&path)
        .map_err(|error| usage(format!("cannot watch {}: {error}", path.display())))
}

/// The package and its binary: the one that was named, or the only one.
fn binary<'a>(
    metadata: &'a Metadata,
    manifest: &Path,
    named: Option<&str>,
) -> anyhow::Result<(&'a Package, String)> {
    let of_this_manifest: Vec<_> = metadata
        .packages
        .iter()
        .filter(|package| package.manifest_path == manifest)
        .collect();
    // A virtual workspace has no package of its own: then any member will do.
    let members: Vec<_> = if of_this_manifest.is_empty() {
        metadata.workspace_default_packages()
    } else {
        of_this_manifest
    };
    let mut found = Vec::new();
    for package in members {
        for target in package.targets.iter().filter(|target| target.is_bin()) {
            found.push((package, target.name.clone()));
        }
    }
    if let Some(named) = named {
        let names: Vec<_> = found.iter().map(|(_, name)| name.clone()).collect();
        return found
            .into_iter()
            .find(|(_, name)| name == named)
            .ok_or_else(|| {
                usage(format!(
                    "{} has no binary `{named}`; it has: {}",
                    manifest.display(),
                    list(&names)
                ))
            });
    }
    // `default-run` is how a package says which one `cargo run` means.
    if let Some(one) = found
        .iter()
        .find(|(package, name)| package.default_run.as_deref() == Some(name))
    {
        return Ok(one.clone());
    }
    match found.len() {
        0 => Err(usage(format!(
            "{} has no binary target: portkeep runs a program; add src/main.rs, or name another project with --project DIR",
            manifest.display()
        ))),
        1 => Ok(found.remove(0)),
        _ => {
            let names: Vec<_> = found.iter().map(|(_, name)| name.clone()).collect();
            Err(usage(format!(
                "{} has several binaries: {}; choose one with --bin NAME",
                manifest.display(),
                list(&names)
            )))
        }
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

/// A spec from `[package.metadata.portkeep]`, with the binary's name and the usual port where it says nothing.
fn from_manifest(package: &Package, binary: &str) -> anyhow::Result<Spec> {
    let mut fields = match package.metadata.get("portkeep") {
        None => serde_json::Map::new(),
        Some(serde_json::Value::Object(fields)) => fields.clone(),
        Some(_) => {
            return Err(usage(
                "[package.metadata.portkeep] in Cargo.toml must be a table",
            ));
        }
    };
    fields
        .entry("name")
        .or_insert_with(|| app_name(binary).into());
    fields
        .entry("exec")
        .or_insert_with(|| serde_json::json!([binary]));
    fields
        .entry("listen")
        .or_insert_with(|| serde_json::json!([{ "stream": listen::DEFAULT }]));
    let base = package
        .manifest_path
        .parent()
        .ok_or_else(|| anyhow!("a manifest without a directory"))?;
    Ok(
        Spec::from_json(&serde_json::Value::Object(fields).to_string())?
            .resolve(base.as_std_path()),
    )
}

/// Cargo allows names that units of ours do not.
fn app_name(binary: &str) -> String {
    let name: String = binary
        .to_ascii_lowercase()
        .chars()
        .map(|letter| {
            if letter.is_ascii_lowercase() || letter.is_ascii_digit() {
                letter
            } else {
                '-'
            }
        })
        .collect();
    let name = name.trim_matches('-');
    if name.starts_with(|first: char| first.is_ascii_lowercase()) {
        name.to_owned()
    } else {
        format!("app-{name}")
    }
}

/// The directories of the package and of all packages that it depends on by path, without asking any registry.
fn sources(metadata: &Metadata, package: &Package) -> Vec<PathBuf> {
    let mut seen = BTreeSet::new();
    let mut pending: Vec<PathBuf> = package
        .manifest_path
        .parent()
        .map(|path| path.as_std_path().to_owned())
        .into_iter()
        .collect();
    while let Some(directory) = pending.pop() {
        if !seen.insert(directory.clone()) {
            continue;
        }
        let manifest = directory.join("Cargo.toml");
        let of = |package: &&Package| package.manifest_path == manifest;
        // One from another workspace is unknown to this one.
        let other = match metadata.packages.iter().find(of) {
            Some(_) => None,
            None => MetadataCommand::new()
                .manifest_path(&manifest)
                .no_deps()
                .exec()
                .ok(),
        };
        let packages = other.as_ref().unwrap_or(metadata).packages.iter();
        for package in packages.filter(of) {
            let paths = package
                .dependencies
                .iter()
                .filter_map(|dependency| dependency.path.as_ref());
            pending.extend(paths.map(|path| path.as_std_path().to_owned()));
        }
    }
    seen.into_iter().collect()
}

/// What the listeners of a spec are for people: a URL where a browser can open it.
pub(crate) fn url(listen: &Listen) -> String {
    match (&listen.address, listen.protocol) {
        (portkeep_spec::Address::Tcp(address), portkeep_spec::Protocol::Http) => {
            format!("http://{address}")
        }
        (address, _) => address.to_string(),
    }
}
