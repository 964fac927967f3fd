//! Opens a page in the user's browser.

use std::process::Stdio;

use tokio::process::Command;

/// Programs that open a URL with the user's choice.
const OPENERS: [&str; 3] = ["xdg-open", "wslview", "open"];

/// Opens `url`: with `$BROWSER`, or as the desktop does.
///
/// # Errors
/// When there is no such program.
pub(crate) fn open_browser(url: &str) -> anyhow::Result<()> {
    let named = std::env::var("BROWSER").ok();
    let named = named.iter().flat_map(|all| all.split(':'));
    for opener in named.chain(OPENERS).filter(|opener| !opener.is_empty()) {
        let started = Command::new(opener)
            .arg(url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        // It may be the browser itself, and is not waited for.
        if started.is_ok() {
            return Ok(());
        }
    }
    anyhow::bail!("no program to open {url} with: set BROWSER, or open it by hand")
}
