//! Project under development: what to build, which spec it gives, what to watch.

mod app_packages;
mod cargo;
mod cargo_build;
mod cargo_run;
mod configuration;
mod enabled;
mod kind;
mod listen;
mod profile;
mod runner;
mod socket_support;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Context;
use cargo_metadata::MetadataCommand;
use portkeep_contract::development::AllowedHost;
use portkeep_spec::{Check, Listen, Spec, contract};

pub(crate) use self::cargo_build::{CargoBuild, ProfileChoice};
use self::cargo_run::CargoRun;
use self::enabled::Asked;
use self::kind::Kind;
pub(crate) use self::listen::other_loopbacks;
pub(crate) use self::profile::OWN;
pub(crate) use self::runner::Runner;
use self::socket_support::{SocketSupport, Sources};
use super::host::Host;
use super::options::{Options, Port, WhileBuilding};
use super::usage::usage;
use portkeep_engine::Misuse;

/// Files in the workspace's directory that shape a build besides its packages.
const OF_A_WORKSPACE: [&str; 5] = [
    "Cargo.toml",
    "Cargo.lock",
    ".cargo/config.toml",
    "rust-toolchain.toml",
    "rust-toolchain",
];

/// File with variables of the app, in the project's directory.
pub(crate) const DOTENV: &str = ".env";
/// Names of files that define the project.
const SHAPING: [&str; 5] = [
    "Cargo.toml",
    "config.toml",
    "config",
    contract::SPEC_FILE,
    DOTENV,
];

/// How the project is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BuildCommand {
    /// `cargo build`, which reports the executable.
    Cargo(CargoBuild),
    /// The spec's own command.
    Custom(Vec<String>),
    /// Nothing is built.
    None,
}

/// What earlier starts have shown about the app's sockets, whatever the manifest suggests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Learned {
    misuse: Option<Misuse>,
}

impl Learned {
    /// Nothing if the observation changes nothing.
    pub(crate) fn of(misuse: Misuse) -> Option<Self> {
        let is_useful = misuse.binds_itself() || misuse == Misuse::NeverSaysReady;
        is_useful.then_some(Self {
            misuse: Some(misuse),
        })
    }

    fn correct(&self, guess: SocketSupport) -> SocketSupport {
        match &self.misuse {
            Some(misuse) if misuse.binds_itself() => SocketSupport::SelfBinding,
            Some(Misuse::NeverSaysReady) => SocketSupport::TakesSockets,
            _ => guess,
        }
    }
}

/// Difference between two looks at a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Difference {
    /// None that the running session would notice, except perhaps in its environment.
    None,
    /// Another session has to begin.
    Session,
}

/// A project.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    /// Its directory.
    pub(crate) directory: PathBuf,
    /// The spec: the project's own, or one made from its Cargo.toml. With cargo, the build fills in `exec`.
    pub(crate) spec: Spec,
    pub(crate) build: BuildCommand,
    /// Directories with sources.
    pub(crate) sources: Vec<PathBuf>,
    /// Directories of build output, never watched.
    pub(crate) outputs: Vec<PathBuf>,
    /// Single files that count although the rest of their directory does not.
    pub(crate) files: Vec<PathBuf>,
    /// Patterns to ignore besides those of git, as in a `.gitignore`.
    pub(crate) ignores: Vec<String>,
    /// Base of relative paths in diagnostics.
    pub(crate) root: PathBuf,
    /// What happens to requests while a build runs.
    pub(crate) while_building: WhileBuilding,
    /// Whether pages of the app stay as they are.
    pub(crate) leaves_pages: bool,
    /// Hosts whose pages get the script, whatever the page's policy for other hosts.
    pub(crate) allowed_hosts: Vec<AllowedHost>,
    /// Result of `--port auto`: wanted and free addresses.
    ports: Option<Vec<(SocketAddr, SocketAddr)>>,
    /// Environment that `cargo run` would give the app.
    pub(crate) cargo_run: CargoRun,
    /// Program that starts the app, from cargo's configuration.
    pub(crate) runner: Option<Runner>,
    /// Whether the app opens its port itself, so that nobody can hold it.
    pub(crate) binds_itself: bool,
    /// Notices for the start.
    pub(crate) notices: Vec<String>,
}

impl Project {
    /// Finds the project.
    pub(crate) fn find(
        options: &Options,
        host: &dyn Host,
        learned: &Learned,
    ) -> anyhow::Result<Self> {
        let given = &options.project;
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
            .then(|| host.read_spec(&own_spec))
            .transpose()?;
        let is_cargo = directory.join("Cargo.toml").exists();
        let mut project = match (own_spec, is_cargo) {
            (None, false) => {
                return Err(usage(format!(
                    "{} has neither a Cargo.toml nor a portkeep.json; go to your project, or name it with --project DIR",
                    directory.display()
                )));
            }
            (Some(spec), false) => Self::custom(directory, spec),
            (Some(spec), true) if builds_otherwise(&spec) => Self::custom(directory, spec),
            (own_spec, true) => Self::cargo(directory, own_spec, options, learned)?,
        };
        project.apply(options)?;
        project.spec.validate()?;
        Ok(project)
    }

    fn custom(directory: PathBuf, spec: Spec) -> Self {
        let build = if spec.build.is_empty() {
            BuildCommand::None
        } else {
            BuildCommand::Custom(spec.build.clone())
        };
        // The usual output directories, even if no .gitignore names them.
        let mut outputs = vec![directory.join("target")];
        outputs.extend(spec.exec.first().map(PathBuf::from));
        outputs.extend(spec.watch.clone());
        let sources = vec![directory.clone()];
        let files = shaping_files(&directory);
        Self {
            root: directory.clone(),
            directory,
            spec,
            build,
            sources,
            outputs,
            files,
            ignores: Vec::new(),
            while_building: WhileBuilding::Serve,
            leaves_pages: false,
            allowed_hosts: Vec::new(),
            ports: None,
            cargo_run: CargoRun::default(),
            runner: None,
            binds_itself: false,
            notices: Vec::new(),
        }
    }

    fn cargo(
        directory: PathBuf,
        own_spec: Option<Spec>,
        options: &Options,
        learned: &Learned,
    ) -> anyhow::Result<Self> {
        let manifest = directory.join("Cargo.toml");
        let metadata = MetadataCommand::new()
            .manifest_path(&manifest)
            // The settings of cargo and rustup that apply there.
            .current_dir(&directory)
            .no_deps()
            .exec()
            .map_err(|error| {
                let said = match error {
                    cargo_metadata::Error::CargoMetadata { stderr } => stderr.trim().to_owned(),
                    other => other.to_string(),
                };
                usage(format!("cargo cannot read {}:\n{said}", manifest.display()))
            })?;
        let has_spec_file = own_spec.is_some();
        let meant = own_spec
            .as_ref()
            .and_then(|spec| CargoBuild::binary_of(spec, &metadata));
        let (kind, (package, binary)) = match &options.example {
            Some(named) => (Kind::Example, cargo::example(&metadata, &manifest, named)?),
            None => {
                let named = options.bin.as_deref().or(meant);
                (Kind::Binary, cargo::binary(&metadata, &manifest, named)?)
            }
        };
        let words = own_spec.as_ref().map(|spec| spec.build.as_slice());
        let asked = Asked::of(options, words.unwrap_or_default());
        let reach = app_packages::reach(&metadata, package, kind, &asked);
        let sources = Sources::of(package, (kind, &binary), &reach);
        let support = learned.correct(SocketSupport::of(package, &reach, &sources));
        let (spec, notice) = match own_spec {
            Some(spec) => {
                let notice = support.doubt(&spec);
                (spec, notice)
            }
            None => {
                let spec = cargo::from_manifest(package, &binary, support)?;
                (spec, support.notice())
            }
        };
        if builds_otherwise(&spec) {
            return Ok(Self::custom(directory, spec));
        }
        let home = configuration::cargo_home();
        let configurations = configuration::configurations(&directory, home.as_deref());
        let build = CargoBuild::new(
            &metadata,
            package,
            (kind, &binary),
            &manifest,
            &spec,
            options,
            &configurations,
        );
        let mut library_paths = build.library_paths();
        if reach.has_shared_libraries {
            // Such an app is linked with the shared standard library, too.
            library_paths.extend(cargo::toolchain_libraries(&directory));
        }
        let named = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        let runner = Runner::of(
            &configurations,
            |name| std::env::var(name).ok(),
            named.into_iter().any(|name| runner::is_variable(&name)),
            || app_packages::target(&directory),
        );
        let cargo_run = CargoRun::of(package, &configurations, library_paths);
        let root = metadata.workspace_root.clone().into_std_path_buf();
        Ok(Self {
            sources: reach.directories,
            files: OF_A_WORKSPACE
                .iter()
                .map(|file| root.join(file))
                .chain(shaping_files(&directory))
                .collect(),
            ignores: Vec::new(),
            root,
            while_building: WhileBuilding::Serve,
            leaves_pages: false,
            allowed_hosts: Vec::new(),
            ports: None,
            cargo_run,
            runner,
            binds_itself: support == SocketSupport::SelfBinding && !has_spec_file,
            outputs: build.outputs(),
            directory,
            spec,
            build: BuildCommand::Cargo(build),
            notices: notice.map(str::to_owned).into_iter().collect(),
        })
    }

    /// The command line wins over the spec.
    fn apply(&mut self, options: &Options) -> anyhow::Result<()> {
        if options.listen.is_empty() {
            listen::keep_to_developer(&mut self.spec.listen);
            for (asked, local) in listen::keep_to_loopback(&mut self.spec.listen) {
                self.notices.push(format!(
                    "{asked} is kept to {local} in development (--listen {asked} opens it)"
                ));
            }
        } else {
            self.spec.listen = listen::parse(&options.listen)?;
        }
        self.choose_port(options.port.as_ref())?;
        self.spec.exec.extend(options.arguments.iter().cloned());
        let checks = options.checks.iter().cloned().map(Check::Line);
        self.spec.checks.extend(checks);
        self.while_building = options.while_building;
        self.leaves_pages = options.leaves_pages;
        self.allowed_hosts.clone_from(&options.allowed_hosts);
        for path in self.spec.sources.iter().chain(&options.watch) {
            self.sources.push(absolute(path)?);
        }
        if let Some(from) = &self.spec.files_from {
            let files = self.spec.files.iter();
            self.sources
                .extend(files.map(|file| from.join(file.literal_part())));
        }
        self.ignores.extend(self.spec.ignore.iter().cloned());
        self.ignores.extend(options.ignore.iter().cloned());
        if !self.spec.checks.is_empty() {
            // If checks stand between the build and the swap, a build alone must not swap.
            self.spec.watch = None;
        }
        self.tell_of_the_executable();
        if self.spec.working_directory.is_none() && !self.spec.runs_in_its_release() {
            let here = std::env::current_dir().context("cannot tell the working directory")?;
            self.spec.working_directory = Some(here);
        }
        Ok(())
    }
}

impl Project {
    fn choose_port(&mut self, port: Option<&Port>) -> anyhow::Result<()> {
        match port {
            None => {}
            Some(_) if self.binds_itself => {
                return Err(usage(
                    "--port: this app opens its port itself, and chooses it; `portkeep::serve(app)` (cargo add portkeep) leaves \
                     that to portkeep",
                ));
            }
            Some(Port::Given(port)) => listen::at_port(&mut self.spec.listen, *port)?,
            Some(Port::Auto) => {
                let ports = listen::at_free_ports(&mut self.spec.listen, listen::is_free)?;
                self.notices.extend(ports.iter().map(|(wanted, found)| {
                    format!("{wanted} is held by another process: {found} is opened instead (--port auto)")
                }));
                self.ports = Some(ports);
            }
            Some(Port::Chosen(ports)) => listen::at_ports(&mut self.spec.listen, ports),
        }
        Ok(())
    }

    /// Result of `--port auto`.
    pub(crate) fn chosen_ports(&self) -> Option<Port> {
        self.ports.clone().map(Port::Chosen)
    }

    /// Whether a change of this file may change the project.
    pub(crate) fn is_shaped_by(&self, path: &Path) -> bool {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let is_named = match &self.build {
            BuildCommand::Cargo(_) => SHAPING.contains(&name),
            _ => name == contract::SPEC_FILE || name == DOTENV,
        };
        is_named || self.binds_itself && SocketSupport::may_be_told_by(path)
    }

    /// Difference between this project and `other`, which was found later.
    pub(crate) fn difference(&self, other: &Self) -> Difference {
        let is_same = self.spec == other.spec
            && self.binds_itself == other.binds_itself
            && self.build == other.build;
        match is_same {
            true => Difference::None,
            false => Difference::Session,
        }
    }

    /// Files of a release besides its executable. A change of them always counts.
    pub(crate) fn parts(&self) -> Vec<PathBuf> {
        let Some(from) = &self.spec.files_from else {
            return Vec::new();
        };
        let files = self.spec.files.iter();
        files.map(|file| from.join(file.literal_part())).collect()
    }

    /// Whether we publish the executable that cargo makes; otherwise the spec's executable runs.
    pub(crate) fn publishes(&self) -> bool {
        matches!(&self.build, BuildCommand::Cargo(build) if build.makes_the_app_of(&self.spec))
    }

    /// Tells the user if the spec's executable, which is for production, does not run in development.
    fn tell_of_the_executable(&mut self) {
        let (BuildCommand::Cargo(build), Some(exec)) = (&self.build, self.spec.exec.first()) else {
            return;
        };
        let (made, exec) = (build.made(), Path::new(exec));
        let shown = |path: &Path| {
            let short = path.strip_prefix(&self.directory).unwrap_or(path);
            short.display().to_string()
        };
        if exec.is_absolute() && exec != made {
            self.notices.push(match self.publishes() {
                true => format!(
                    "{} runs in place of {}, which the spec names",
                    shown(&made),
                    shown(exec)
                ),
                false => format!(
                    "{} runs, as the spec says; what cargo builds here does not",
                    shown(exec)
                ),
            });
        }
    }
}

/// Files that count whatever git says about them.
fn shaping_files(directory: &Path) -> Vec<PathBuf> {
    let names = [contract::SPEC_FILE, DOTENV, ".cargo/config.toml"];
    names.map(|name| directory.join(name)).to_vec()
}

/// Whether the spec has a `build` that is not cargo's.
fn builds_otherwise(spec: &Spec) -> bool {
    !spec.build.is_empty() && CargoBuild::words_in(&spec.build).is_none()
}

fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::fs::canonicalize(path).map_err(|error| {
        usage(format!(
            "cannot watch {}: {error}; correct --watch, or `sources` in the spec",
            path.display()
        ))
    })
}

/// A listener for people: a URL if a browser can open it.
pub(crate) fn url(listen: &Listen) -> String {
    match (&listen.address, listen.protocol) {
        (portkeep_spec::Address::Tcp(address), portkeep_spec::Protocol::Http) => web(*address),
        (address, _) => address.to_string(),
    }
}

fn web(address: SocketAddr) -> String {
    // An unspecified address reaches this machine, but no browser uses that name, and its pages get no script.
    let address = match address.ip().is_unspecified() {
        true => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port()),
        false => address,
    };
    format!("http://{address}")
}

/// An address that an app opened itself, as the URL of a web server.
pub(crate) fn url_of_app(address: &portkeep_spec::Address) -> String {
    match address {
        portkeep_spec::Address::Tcp(address) => web(*address),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_sent_to_an_address_that_pages_have_a_script_at() {
        let words = [
            "a=0.0.0.0:80",
            "b=[::]:81",
            "c=127.0.0.1:82",
            "d=[::1]:83",
            "e=/run/x",
        ];
        let listen = listen::parse(&words.map(str::to_owned)).unwrap();
        let urls: Vec<_> = listen.iter().map(url).collect();
        assert_eq!(
            urls,
            [
                "http://127.0.0.1:80",
                "http://127.0.0.1:81",
                "http://127.0.0.1:82",
                "http://[::1]:83",
                "/run/x"
            ]
        );
    }
}
