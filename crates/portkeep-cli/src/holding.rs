//! The holding page as a release: what is run where no release of the app can serve.

use std::path::PathBuf;

use portkeep_engine::{HoldingPage, Store};
use portkeep_spec::{Protocol, Spec};

/// The page of an app; none where no socket speaks HTTP: there connections wait.
pub(crate) fn page(spec: &Spec, store: &Store) -> Option<HoldingPage> {
    if !spec.speaks_http() {
        return None;
    }
    let mut arguments = ["handle", "hold", spec.name.as_str()]
        .map(str::to_owned)
        .to_vec();
    for listen in &spec.listen {
        if listen.protocol == Protocol::Http {
            arguments.push(listen.name.to_string());
        }
    }
    Some(HoldingPage {
        executable: executable(store)?,
        arguments,
    })
}

/// The helper that the units call rather than whoever we are: a person's own `portkeep` may be where the sandbox does
/// not let the app look.
fn executable(store: &Store) -> Option<PathBuf> {
    let installed = store.state_directory().join("portkeep");
    if installed.exists() {
        return Some(installed);
    }
    std::env::current_exe().ok().filter(|path| path.exists())
}
