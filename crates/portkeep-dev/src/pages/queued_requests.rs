//! Queued requests: how long one waits for the current build, and which generation answers it.

use std::time::Duration;

use tokio::sync::watch;

use super::state::Settings;
use crate::status::Page;

const PAGE: &str = include_str!("waiting.html");

/// A request that waits.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request<'a> {
    /// The generation that received it.
    pub(super) via: u64,
    /// How long it has waited in other generations: all share one limit.
    pub(super) waited: Duration,
    /// The listener that it came in by. Another listener may be served in another way.
    pub(super) entrance: &'a str,
}

impl<'a> Request<'a> {
    /// Parses `MILLISECONDS LISTENER`.
    pub(super) fn parse(via: u64, asked: &'a str) -> Option<Self> {
        let (waited, entrance) = asked.split_once(' ')?;
        Some(Self {
            via,
            waited: Duration::from_millis(waited.parse().ok()?),
            entrance,
        })
    }

    /// The answer for the generation that has the request, once there is one.
    pub(super) async fn wait(
        &self,
        settings: &Settings,
        page: &mut watch::Receiver<Page>,
    ) -> String {
        let address = settings
            .addresses
            .iter()
            .find(|(name, _)| name == self.entrance)
            .map(|(_, address)| address);
        let Some(address) = address else {
            return serve();
        };
        let over = page.wait_for(|page| !page.is_busy());
        let rest = settings.hold.saturating_sub(self.waited);
        let is_old = match tokio::time::timeout(rest, over).await {
            Err(_elapsed) => return format!("503 text/html\n{PAGE}"),
            Ok(Err(_ending)) => false,
            Ok(Ok(page)) => page.generation.is_some_and(|serves| serves > self.via),
        };
        if is_old {
            format!("200 text/plain\nforward {address}\n")
        } else {
            serve()
        }
    }
}

fn serve() -> String {
    "200 text/plain\nserve\n".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::Changed;

    const SERVE: &str = "200 text/plain\nserve\n";

    fn settings(hold: Duration) -> Settings {
        Settings {
            editor: String::new(),
            app: "hello".to_owned(),
            directory: "/".into(),
            root: "/".into(),
            hold,
            addresses: [("http", "127.0.0.1:8080"), ("admin", "127.0.0.1:8081")]
                .map(|(name, address)| (name.to_owned(), address.to_owned()))
                .into(),
        }
    }

    async fn asked(via: u64, what: &str, page: &mut watch::Receiver<Page>) -> String {
        let request = Request::parse(via, what).unwrap();
        let settings = settings(Duration::from_secs(30));
        request.wait(&settings, page).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_waits_for_the_generation_that_is_built() {
        let (sender, mut page) = watch::channel(Page::new(7));
        sender.send_modify(|page| page.serves(1, Changed::Pages));
        assert_eq!(asked(1, "0 http", &mut page).await, SERVE);
        sender.send_modify(|page| page.building("x", 8));
        let told = asked(1, "0 http", &mut page).await;
        assert!(told.starts_with("503 text/html\n"), "{told}");
        sender.send_modify(|page| page.serves(2, Changed::Pages));
        assert_eq!(asked(2, "0 http", &mut page).await, SERVE);
    }

    #[tokio::test(start_paused = true)]
    async fn the_limit_is_one_for_all_generations_that_have_a_request() {
        let (sender, mut page) = watch::channel(Page::new(7));
        sender.send_modify(|page| page.building("x", 8));
        let begun = tokio::time::Instant::now();
        asked(1, "29000 http", &mut page).await;
        assert_eq!(begun.elapsed().as_millis(), 1000);
        asked(1, "31000 http", &mut page).await;
        assert!(begun.elapsed() < Duration::from_millis(1010));
    }

    #[tokio::test]
    async fn it_goes_on_where_it_came_in() {
        let (sender, mut page) = watch::channel(Page::new(7));
        sender.send_modify(|page| page.serves(2, Changed::Pages));
        for (asks, told) in [
            ("0 http", "200 text/plain\nforward 127.0.0.1:8080\n"),
            ("0 admin", "200 text/plain\nforward 127.0.0.1:8081\n"),
            ("0 other", SERVE),
            ("0 ", SERVE),
        ] {
            assert_eq!(asked(1, asks, &mut page).await, told, "{asks}");
        }
    }
}
