//! Holding page as a release, for when no release of the app can serve.

use std::env;

use portkeep_spec::{Protocol, Spec};

use crate::release::HoldingPage;

/// The page of an app; none if no socket speaks HTTP: then connections wait.
#[must_use]
pub fn holding_page(spec: &Spec) -> Option<HoldingPage> {
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
        executable: env::current_exe().ok().filter(|path| path.exists())?,
        arguments: words.into_iter().chain(http).collect(),
    })
}
