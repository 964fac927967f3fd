//! Generations before the current one. They are told to drain when it takes over, and may accept connections until they
//! read that.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use portkeep_contract::{PORTKEEP_DEV, PORTKEEP_GENERATION};
use portkeep_engine::{Taking, socket_use};
use tokio::task::spawn_blocking;

/// Interval between looks: the kernel does not tell when a process stops accepting.
const LOOK: Duration = Duration::from_millis(3);

/// Waits until older generations accept no more connections, at most until they are killed. The socket `dev` in their
/// environment identifies them.
pub(super) async fn rest(dev: &Path, serves: u64) {
    loop {
        let dev = dev.to_owned();
        let accepts = spawn_blocking(move || any_accepts(&dev, serves)).await;
        if !accepts.unwrap_or_default() {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn any_accepts(dev: &Path, serves: u64) -> bool {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_older = |pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        generation(&environment, dev).is_some_and(|generation| generation < serves)
    };
    pids.filter(is_older)
        .any(|pid| socket_use(pid).takes_passed == Taking::Yes)
}

/// The generation of a process with this environment; nothing if it is not one of ours.
fn generation(environment: &[u8], dev: &Path) -> Option<u64> {
    let value = |name: &str| {
        let mut all = environment.split(|byte| *byte == 0);
        all.find_map(|one| one.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
    };
    let is_ours = value(PORTKEEP_DEV)? == dev.as_os_str().as_bytes();
    let number = std::str::from_utf8(value(PORTKEEP_GENERATION)?).ok()?;
    is_ours.then(|| number.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_is_known_by_its_environment() {
        let of = |text: &str| generation(text.as_bytes(), Path::new("/run/hello/dev"));
        assert_eq!(
            of("A=1\0PORTKEEP_DEV=/run/hello/dev\0PORTKEEP_GENERATION=7\0"),
            Some(7)
        );
        for other in [
            "",
            "PORTKEEP_GENERATION=7\0",
            "PORTKEEP_DEV=/run/other/dev\0PORTKEEP_GENERATION=7\0",
            "PORTKEEP_DEV=/run/hello/dev\0PORTKEEP_GENERATION=x\0",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
