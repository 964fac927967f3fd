//! Tests an app's helper by running it.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use portkeep_engine::check_trusted;
use portkeep_engine::diagnosis::HelperFault;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use super::places::place_of;

/// The helper only has to print its version in this time.
const DEADLINE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);

/// The fault of the helper at `path`.
pub(super) async fn fault(path: &Path) -> Option<HelperFault> {
    if let Some(fault) = seen(path) {
        return Some(fault);
    }
    // portkeep runs no file that another user could have written.
    if let Some(why) = untrusted(path) {
        return Some(HelperFault::Untrusted(why));
    }
    runs(path).await.err().map(HelperFault::DoesNotRun)
}

/// The fault that shows without running the helper.
pub(super) fn seen(path: &Path) -> Option<HelperFault> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        // Only the owner may read the file.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return None,
        Err(_) => return Some(HelperFault::Missing),
    };
    if !metadata.is_file() || metadata.permissions().mode() & 0o111 == 0 {
        return Some(HelperFault::NotExecutable);
    }
    let place = place_of(path)?;
    place.no_exec.then(|| HelperFault::NoExec(place.mount()))
}

fn untrusted(path: &Path) -> Option<String> {
    let path = fs::canonicalize(path).ok()?;
    let metadata = fs::metadata(&path).ok()?;
    if let Err(untrusted) = check_trusted(path.parent()?) {
        return Some(untrusted.to_string());
    }
    let me = rustix::process::geteuid().as_raw();
    let owner = metadata.uid();
    if owner != 0 && owner != me {
        return Some(format!("it belongs to user {owner}"));
    }
    let others_write = metadata.permissions().mode() & 0o022 != 0;
    others_write.then(|| "others may write to it".to_owned())
}

async fn runs(path: &Path) -> Result<(), String> {
    let mut command = Command::new(path);
    command
        .arg("--version")
        .env_clear()
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let said = async {
        loop {
            match command.output().await {
                // A process is about to write the file.
                Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => sleep(PAUSE).await,
                said => return said,
            }
        }
    };
    let output = match timeout(DEADLINE, said).await {
        Ok(output) => output.map_err(|error| error.to_string())?,
        Err(_elapsed) => return Err("it does not say its version".to_owned()),
    };
    if !output.status.success() {
        return Err(output.status.to_string());
    }
    match output.stdout.starts_with(b"portkeep ") {
        true => Ok(()),
        false => Err("it is another program".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(directory: &Path, name: &str, mode: u32, text: &str) -> std::path::PathBuf {
        let path = directory.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[tokio::test]
    async fn what_does_not_run_is_told_from_what_does() {
        let directory = tempfile::tempdir().unwrap();
        let below = |name, mode, text| script(directory.path(), name, mode, text);
        let good = "#!/bin/sh\necho portkeep 1.2.3\n";
        assert_eq!(fault(&below("good", 0o755, good)).await, None);
        let missing = directory.path().join("missing");
        assert_eq!(fault(&missing).await, Some(HelperFault::Missing));
        let mode = below("mode", 0o644, good);
        assert_eq!(fault(&mode).await, Some(HelperFault::NotExecutable));
        assert_eq!(
            fault(directory.path()).await,
            Some(HelperFault::NotExecutable)
        );
        for (name, text) in [
            ("loader", "#!/no/such/loader\n"),
            ("machine", "\x7fELF\x02\x01\x01\0of another machine"),
            ("status", "#!/bin/sh\nexit 3\n"),
            ("other", "#!/bin/sh\necho something else\n"),
        ] {
            let found = fault(&below(name, 0o755, text)).await;
            assert!(
                matches!(found, Some(HelperFault::DoesNotRun(_))),
                "{name}: {found:?}"
            );
        }
        let open = fault(&below("open", 0o777, good)).await;
        assert!(matches!(open, Some(HelperFault::Untrusted(_))), "{open:?}");
    }
}
