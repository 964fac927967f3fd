//! When a tool builds with a profile of its own for good.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// For all that the app depends on, once more in that profile.
const LONGEST: Duration = Duration::from_secs(600);
/// Nothing is said for so long when all is done.
const QUIET: Duration = Duration::from_secs(3);

/// Waits until the tool has built the app in its profile, and shows nothing more: its first version may come from a build in
/// the user's profile, which was there, while its own is built behind that.
pub(super) fn wait(executable: &Path, log: &Path) -> anyhow::Result<()> {
    let begun = Instant::now();
    let mut said = 0;
    let mut quiet_since = begun;
    while begun.elapsed() < LONGEST {
        let says = fs::metadata(log).map_or(0, |metadata| metadata.len());
        if says != said || !executable.exists() {
            (said, quiet_since) = (says, Instant::now());
        }
        if quiet_since.elapsed() >= QUIET {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(50));
    }
    anyhow::bail!("{} was not built within {LONGEST:?}", executable.display())
}
