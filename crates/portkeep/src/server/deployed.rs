//! What whoever runs the app has decided: it goes before what the app says.

use std::time::Duration;

use super::{Policy, Server};

/// From the spec of the app, in microseconds; portkeep sets them for every generation.
const PORTKEEP_DRAIN_TIMEOUT_USEC: &str = "PORTKEEP_DRAIN_TIMEOUT_USEC";
const PORTKEEP_LINGER_USEC: &str = "PORTKEEP_LINGER_USEC";
const PORTKEEP_IDLE_EXIT_USEC: &str = "PORTKEEP_IDLE_EXIT_USEC";
/// A word for the policy.
const PORTKEEP_DRAIN: &str = "PORTKEEP_DRAIN";

/// Applies the variables of the environment.
pub(super) fn apply(server: &mut Server, variable: impl Fn(&str) -> Option<String>) {
    let time = |name: &str| time(name, &variable(name)?);
    if let Some(timeout) = time(PORTKEEP_DRAIN_TIMEOUT_USEC) {
        server.drain_timeout = timeout;
    }
    if let Some(linger) = time(PORTKEEP_LINGER_USEC) {
        server.linger = linger;
    }
    if let Some(idle) = time(PORTKEEP_IDLE_EXIT_USEC) {
        // Nothing is idle for no time: it is how to switch off what the app has set.
        server.idle_exit = Some(idle).filter(|time| !time.is_zero());
    }
    if let Some(policy) = variable(PORTKEEP_DRAIN).and_then(|word| policy(&word)) {
        server.policy = policy;
    }
}

/// A value that is no number is as good as none: a server that does not start would be worse.
fn time(name: &str, microseconds: &str) -> Option<Duration> {
    match microseconds.parse() {
        Ok(microseconds) => Some(Duration::from_micros(microseconds)),
        Err(_) => {
            tracing::warn!(
                "{name}={microseconds} is not a number of microseconds, and is not used"
            );
            None
        }
    }
}

fn policy(word: &str) -> Option<Policy> {
    match word {
        "lossless" => Some(Policy::Lossless),
        "fresh" => Some(Policy::Fresh),
        "" => None,
        _ => {
            tracing::warn!(
                "{PORTKEEP_DRAIN}={word} is neither lossless nor fresh, and is not used"
            );
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &'static str, value: &'static str) -> Server {
        let mut server = Server::new().idle_exit(Duration::from_secs(9));
        apply(&mut server, |asked| {
            (asked == name).then(|| value.to_owned())
        });
        server
    }

    #[test]
    fn a_policy_is_one_of_two_words() {
        assert_eq!(with("PORTKEEP_DRAIN", "fresh").policy, Policy::Fresh);
        assert_eq!(with("PORTKEEP_DRAIN", "lossless").policy, Policy::Lossless);
        assert_eq!(with("PORTKEEP_DRAIN", "soon").policy, Policy::Lossless);
    }

    #[test]
    fn who_deploys_decides_on_times() {
        let time = Duration::from_millis(1500);
        for (value, expected) in [("1500000", time), ("soon", Duration::from_secs(30))] {
            let server = with("PORTKEEP_DRAIN_TIMEOUT_USEC", value);
            assert_eq!(server.drain_timeout, expected);
        }
        assert_eq!(with("PORTKEEP_LINGER_USEC", "1500000").linger, time);
        let idle = |value| with("PORTKEEP_IDLE_EXIT_USEC", value).idle_exit;
        assert_eq!(idle("1500000"), Some(time));
        assert_eq!(idle("0"), None);
        assert_eq!(idle("never"), Some(Duration::from_secs(9)));
    }
}
