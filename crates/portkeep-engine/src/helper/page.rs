//! The holding page as a release: what is run where no release of the app can serve.

use std::env;
use std::path::PathBuf;

use portkeep_spec::{Protocol, Spec};

use crate::release::HoldingPage;
use crate::store::Store;

/// The page of an app; none where no socket speaks HTTP: there connections wait.
#[must_use]
pub fn holding_page(spec: &Spec, store: &Store) -> Option<HoldingPage> {
    if !spec.speaks_http() {
        return None;
    }
    let words = ["handle", "hold", spec.name.as_str()].map(str::to_owned);
    let http = spec
        .listen
        .iter()
        .filter(|listen| listen.protocol == Protocol::Http)
        .map(|listen| listen.name.to_string());
    Some(HoldingPage {
        executable: executable(store)?,
        arguments: words.into_iter().chain(http).collect(),
    })
}

/// The helper that the units call rather than whoever we are: a person's own `portkeep` may be where the sandbox does
/// not let the app look.
fn executable(store: &Store) -> Option<PathBuf> {
    let installed = store.state_directory().join("portkeep");
    if installed.exists() {
        return Some(installed);
    }
    env::current_exe().ok().filter(|path| path.exists())
}
