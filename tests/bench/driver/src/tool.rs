//! The tools that are compared. One adapter a tool: how it is started, told to reload, and stopped.

mod bacon;
mod dx;
mod nginx;
mod parts;
mod portkeep;
mod reuseport;
mod signalled;
mod systemd;
mod watching;

use std::net::SocketAddr;
use std::time::Duration;

use crate::place::{Kind, Place};
use crate::project::App;

/// One tool.
pub(crate) trait Tool {
    /// As the table shows it; also chosen by this name.
    fn name(&self) -> &'static str;

    /// How it is used here, for the table.
    fn used(&self) -> &'static str;

    /// Its version, as it tells it.
    fn version(&self) -> anyhow::Result<String>;

    /// Puts a release into place. Tools that watch reload then.
    fn publish(&self, place: &Place, version: &str, kind: Kind) -> anyhow::Result<()>;

    /// Starts it on a place with a release in it. Nobody has waited for an answer yet.
    fn start(&self, place: &Place) -> anyhow::Result<Box<dyn Running>>;

    /// Whether people run it on servers, with many apps.
    fn is_for_production(&self) -> bool {
        true
    }

    /// The only rows that it is measured in, if not all.
    fn rows(&self) -> Option<&'static [u32]> {
        None
    }

    /// Its command that lists all apps.
    fn lists(&self) -> Option<&'static [&'static str]> {
        None
    }

    /// Its command that makes the files of an app, if that can be had without setting it up.
    fn renders(&self, _place: &Place) -> Option<Vec<String>> {
        None
    }

    /// How it is used on a project with sources.
    fn develop(&self) -> Vec<Develop> {
        Vec::new()
    }

    /// Whether its app has TLS whose connections are to outlive reloads.
    fn serves_tls(&self) -> bool {
        false
    }

    /// Whether it runs the app of this benchmark, whose start takes time.
    fn runs_the_app(&self) -> bool {
        true
    }
}

/// How a tool builds, runs and reloads the project of the current directory.
pub(crate) struct Develop {
    /// What the project is.
    pub(crate) app: App,
    /// The command.
    pub(crate) words: fn(SocketAddr) -> Vec<String>,
    /// The profile of its own that it goes on to build with, when it has shown a first build of the user's.
    pub(crate) settles_on: Option<&'static str>,
}

/// A part of a reload: the name of its column, and how long it took.
pub(crate) type Part = (&'static str, Duration);

/// A command line from words.
fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// A tool at work.
pub(crate) trait Running: Send {
    /// Asks for a reload after a release was published. An error is one that the tool told, and may be what is measured.
    fn reload(&mut self) -> anyhow::Result<()>;

    /// Where the time of the last reload went, as the tool tells it: part and time.
    fn parts(&self) -> anyhow::Result<Vec<Part>> {
        Ok(Vec::new())
    }

    /// Its own processes, without the app's.
    fn own_processes(&self) -> Vec<i32>;

    /// Ends it and the app.
    fn stop(self: Box<Self>);
}

/// All of them, in the order of the table.
pub(crate) fn all() -> Vec<Box<dyn Tool>> {
    let mut tools: Vec<Box<dyn Tool>> = vec![
        Box::new(portkeep::OnSystemd),
        Box::new(portkeep::Local),
        Box::new(systemd::Restart(systemd::Limits::Off)),
        Box::new(systemd::Restart(systemd::Limits::Default)),
        Box::new(reuseport::Pair),
        Box::new(signalled::GracefulRestart),
        Box::new(signalled::Ecdysis),
        Box::new(nginx::Nginx),
    ];
    tools.extend(watching::all());
    tools.push(Box::new(bacon::Bacon));
    tools.extend(dx::if_installed());
    tools
}

/// The version of a crate that the peers are built with, from their lock file.
fn locked(name: &str) -> anyhow::Result<String> {
    let lock = include_str!("../../Cargo.lock");
    let version = lock
        .split("[[package]]")
        .find(|package| package.contains(&format!("\nname = \"{name}\"\n")))
        .and_then(|package| package.split("version = \"").nth(1))
        .and_then(|rest| rest.split('"').next());
    version
        .map(|version| format!("{name} {version}"))
        .ok_or_else(|| anyhow::anyhow!("{name} is not in Cargo.lock"))
}
