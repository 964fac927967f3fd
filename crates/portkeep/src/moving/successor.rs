//! Decides whether there is a next generation.

use std::path::Path;

use portkeep_contract::{CURRENT, PORTKEEP_GENERATION};
use rustix::net::SocketAddrUnix;

/// Whether another generation is current, if that can be known.
///
/// If portkeep runs the app, this is asked before connecting: while an app is stopped, systemd owns its move socket and
/// would start the app again.
pub(super) fn exists(move_socket: &SocketAddrUnix) -> bool {
    let own = std::env::var(PORTKEEP_GENERATION).unwrap_or_default();
    let path = move_socket.path();
    let path = path.as_ref().and_then(|path| path.to_str().ok());
    match path.and_then(|path| Path::new(path).parent()) {
        Some(directory) => is_other(&own, directory),
        // An abstract address has no directory.
        None => own.is_empty(),
    }
}

/// The same by the app's runtime directory, if portkeep names it.
pub(crate) fn is_succeeded(run_directory: Option<&Path>) -> bool {
    let own = std::env::var(PORTKEEP_GENERATION).unwrap_or_default();
    run_directory.is_some_and(|directory| is_other(&own, directory))
}

fn is_other(own: &str, directory: &Path) -> bool {
    if own.is_empty() {
        return true;
    }
    let Ok(current) = std::fs::read_link(directory.join(CURRENT)) else {
        return false;
    };
    current.file_name().is_some_and(|number| number != own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_current_generation_is_a_successor() {
        let directory = tempfile::tempdir().unwrap();
        assert!(!is_other("3", directory.path()), "nothing is current");
        assert!(is_other("", directory.path()), "somebody else's units");
        for (current, expected) in [("3", false), ("4", true), ("2", true)] {
            let link = directory.path().join(CURRENT);
            let _ = std::fs::remove_file(&link);
            std::os::unix::fs::symlink(format!("generations/{current}"), &link).unwrap();
            assert_eq!(is_other("3", directory.path()), expected, "{current}");
        }
    }
}
