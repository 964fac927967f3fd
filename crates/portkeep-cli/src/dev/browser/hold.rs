//! How long a request waits for the build under way, and who answers it then.

use tokio::sync::watch;

use super::Settings;
use super::state::State;

const PAGE: &str = include_str!("waiting.html");

/// What is told to the app about a request that its generation `via` got.
pub(super) async fn wait(
    via: u64,
    settings: &Settings,
    state: &mut watch::Receiver<State>,
) -> String {
    let over = state.wait_for(|state| !state.is_busy());
    let in_time = tokio::time::timeout(settings.hold, over).await;
    let is_old = match in_time {
        Err(_elapsed) => return format!("503 text/html\n{PAGE}"),
        Ok(Err(_ending)) => false,
        Ok(Ok(state)) => state.generation().is_some_and(|serves| serves > via),
    };
    match &settings.address {
        Some(address) if is_old => format!("200 text/plain\nforward {address}\n"),
        _ => "200 text/plain\nserve\n".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::dev::browser::Changed;

    fn settings() -> Settings {
        Settings {
            editor: String::new(),
            root: "/".into(),
            hold: Duration::from_millis(20),
            address: Some("127.0.0.1:8080".to_owned()),
        }
    }

    #[tokio::test]
    async fn a_request_waits_for_the_generation_that_is_built() {
        let (sender, mut state) = watch::channel(State::new());
        sender.send_modify(|state| state.serves(1, Changed::Pages));
        assert_eq!(
            wait(1, &settings(), &mut state).await,
            "200 text/plain\nserve\n"
        );
        sender.send_modify(|state| state.building("x"));
        assert!(
            wait(1, &settings(), &mut state)
                .await
                .starts_with("503 text/html\n")
        );
        sender.send_modify(|state| state.serves(2, Changed::Pages));
        assert_eq!(
            wait(1, &settings(), &mut state).await,
            "200 text/plain\nforward 127.0.0.1:8080\n"
        );
        assert_eq!(
            wait(2, &settings(), &mut state).await,
            "200 text/plain\nserve\n"
        );
    }
}
