//! Which release this is.

use std::env;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::net::SocketAddr;
use std::process;
use std::time::Duration;

use anyhow::Context;

/// Begins the last line of a published program.
const MARK: &str = "\nbench-release ";
const LONGEST: u64 = 100;

/// Whether a release is a good one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It serves.
    Good,
    /// It panics when it is started, after `START_MS`.
    Panics,
    /// It aborts half a second after it began to serve.
    CrashesLater,
}

/// What this process is.
#[derive(Clone, Debug)]
pub struct Release {
    /// Answered in `x-version`.
    pub version: String,
    /// Whether it is a good one.
    pub mode: Mode,
    /// Where to listen, if no socket is passed.
    pub address: SocketAddr,
}

impl Release {
    /// Reads what this release is, waits until its start is over, and panics if it is of that kind.
    ///
    /// # Errors
    /// The program's own file cannot be read, or `BENCH_LISTEN` is no address.
    ///
    /// # Panics
    /// In a release that panics at start.
    pub async fn start() -> anyhow::Result<Self> {
        let release = Self::read()?;
        let start = env::var("START_MS")
            .ok()
            .and_then(|milliseconds| milliseconds.parse().ok())
            .map_or(Duration::ZERO, Duration::from_millis);
        tokio::time::sleep(start).await;
        assert!(
            release.mode != Mode::Panics,
            "release {} panics at start",
            release.version
        );
        Ok(release)
    }

    /// To be called when it serves.
    pub fn serving(&self) {
        if self.mode == Mode::CrashesLater {
            tokio::spawn(async {
                tokio::time::sleep(Duration::from_millis(500)).await;
                process::abort();
            });
        }
    }

    fn read() -> anyhow::Result<Self> {
        let address = env::var("BENCH_LISTEN").context("BENCH_LISTEN is not set")?;
        let (version, mode) = last_line()?;
        Ok(Self {
            version,
            mode: match mode.as_str() {
                "panics" => Mode::Panics,
                "crashes" => Mode::CrashesLater,
                _ => Mode::Good,
            },
            address: address.parse().context("BENCH_LISTEN is no address")?,
        })
    }
}

fn last_line() -> anyhow::Result<(String, String)> {
    let mut file = File::open("/proc/self/exe")?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(LONGEST)))?;
    let mut end = Vec::new();
    file.read_to_end(&mut end)?;
    let end = String::from_utf8_lossy(&end).into_owned();
    let words = end
        .rsplit_once(MARK)
        .map_or("unpublished good", |(_, line)| line);
    let (version, mode) = words.split_once(' ').unwrap_or((words, "good"));
    Ok((version.to_owned(), mode.trim().to_owned()))
}
