//! The pages' view of the status, as JSON. It decides nothing.

use std::time::Instant;

use serde::Serialize;

use crate::failure::Failure;
use crate::status::{Page, Phase};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PageMessage<'a> {
    session: u128,
    generation: Option<u64>,
    page_since: u64,
    styles: u64,
    assets: u64,
    files: &'a str,
    /// Milliseconds since they changed, so that no clock of the browser's is compared with ours.
    files_ago: u128,
    phase: Phase,
    since: u128,
    what: &'a str,
    failure: Option<&'a Failure>,
    via: u64,
}

/// The whole message for a page that asks through the generation `via`: a page must not act on news of a new generation
/// that the old one passes on. It is sent `now`.
pub(crate) fn told(page: &Page, via: u64, now: Instant) -> serde_json::Result<String> {
    let files_ago = page
        .files_changed
        .map(|at| now.saturating_duration_since(at));
    serde_json::to_string(&PageMessage {
        session: page.session,
        generation: page.generation,
        page_since: page.page_since,
        styles: page.styles,
        assets: page.assets,
        files: &page.files,
        files_ago: files_ago.unwrap_or_default().as_millis(),
        phase: page.phase,
        since: page.since,
        what: &page.what,
        failure: page.failure(),
        via,
    })
}

/// Numbers of page contents other than the generation, for a page that is about to be made.
pub(crate) fn made_of(page: &Page) -> String {
    format!("{} {} {}", page.session, page.styles, page.assets)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::change::Changed;

    fn of(page: &Page, now: Instant) -> Value {
        serde_json::from_str(&told(page, 7, now).unwrap()).unwrap()
    }

    #[test]
    fn a_page_is_told_what_is_wrong_and_by_whom() {
        let mut page = Page::new(3);
        page.serves(1, Changed::Pages);
        let heard = Instant::now();
        page.files(Changed::Pages, "a.html", Some(heard));
        let now = heard + Duration::from_millis(70);
        assert_eq!(
            of(&page, now),
            json!({
                "session": 3, "generation": 1, "pageSince": 1, "styles": 0, "assets": 1, "files": "a.html",
                "filesAgo": 70,
                "phase": "idle", "since": 3, "what": "", "failure": null, "via": 7,
            })
        );
        page.failed(Failure::of_output("the build failed", "x"));
        assert_eq!(of(&page, now)["failure"]["title"], "the build failed");
        assert_eq!(made_of(&page), "3 0 1");
    }
}
