//! Settings of the operator. They override those of the app.

use std::time::Duration;

use portkeep_contract::{
    PORTKEEP_DRAIN, PORTKEEP_DRAIN_TIMEOUT_USEC, PORTKEEP_IDLE_EXIT_USEC, PORTKEEP_LIMIT_AGE_USEC,
    PORTKEEP_LIMIT_ANSWER_USEC, PORTKEEP_LIMIT_BODY_USEC, PORTKEEP_LIMIT_CONNECTIONS,
    PORTKEEP_LIMIT_HEAD_USEC, PORTKEEP_LIMIT_IDLE_USEC, PORTKEEP_LIMIT_PING_USEC,
    PORTKEEP_LIMIT_PONG_USEC, PORTKEEP_LIMIT_TCP_KEEPALIVE_USEC,
    PORTKEEP_LIMIT_TCP_USER_TIMEOUT_USEC, PORTKEEP_LINGER_USEC,
};

use super::{Policy, Server};
use crate::Limits;

type Set = fn(Limits, Option<Duration>) -> Limits;

/// Limits of the spec: microseconds, or `off`.
const LIMITS: [(&str, Set); 9] = [
    (PORTKEEP_LIMIT_IDLE_USEC, Limits::idle),
    (PORTKEEP_LIMIT_HEAD_USEC, Limits::head),
    (PORTKEEP_LIMIT_BODY_USEC, Limits::body),
    (PORTKEEP_LIMIT_ANSWER_USEC, Limits::answer),
    (PORTKEEP_LIMIT_PING_USEC, Limits::ping),
    (PORTKEEP_LIMIT_PONG_USEC, Limits::pong),
    (PORTKEEP_LIMIT_AGE_USEC, Limits::age),
    (PORTKEEP_LIMIT_TCP_KEEPALIVE_USEC, Limits::tcp_keepalive),
    (
        PORTKEEP_LIMIT_TCP_USER_TIMEOUT_USEC,
        Limits::tcp_user_timeout,
    ),
];
/// In place of a limit.
const OFF: &str = "off";

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
        // An idle time of zero switches off what the app has set.
        server.idle_exit = Some(idle).filter(|time| !time.is_zero());
    }
    for (name, set) in LIMITS {
        let limit = variable(name).and_then(|text| limit(name, &text));
        server.limits = limit.map_or(server.limits, |limit| set(server.limits, limit));
    }
    if let Some(text) = variable(PORTKEEP_LIMIT_CONNECTIONS) {
        server.limits = connections(&text, server.limits);
    }
    if let Some(policy) = variable(PORTKEEP_DRAIN).and_then(|word| policy(&word)) {
        server.policy = policy;
    }
}

/// A value that is no number is ignored: a server that does not start would be worse.
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

/// A value that the server would refuse is ignored, too.
fn limit(name: &str, text: &str) -> Option<Option<Duration>> {
    if text == OFF {
        return Some(None);
    }
    let limit = time(name, text)?;
    let refused = Limits::new().idle(limit).check().is_err();
    if refused {
        tracing::warn!("{name}={text} is no limit, and is not used; off switches it off");
    }
    (!refused).then_some(Some(limit))
}

fn connections(text: &str, limits: Limits) -> Limits {
    match text.parse() {
        _ if text == OFF => limits.connections(None),
        Ok(most @ 1..) => limits.connections(most),
        _ => {
            tracing::warn!(
                "{PORTKEEP_LIMIT_CONNECTIONS}={text} is neither a number above 0 nor off, and is not used"
            );
            limits
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
    fn each_limit_is_set_and_switched_off_by_whoever_deploys() {
        let time = Duration::from_millis(1500);
        for (name, set) in LIMITS {
            let limits = |value| with(name, value).limits;
            assert_eq!(limits("1500000"), set(Limits::new(), Some(time)), "{name}");
            assert_eq!(limits("off"), set(Limits::new(), None), "{name}");
            // More than a year counts as no limit.
            for bad in ["0", "", "-1", "soon", "1s", "99999999999999999"] {
                assert_eq!(limits(bad), Limits::new(), "{name}={bad}");
            }
        }
        let limits = |value| with(PORTKEEP_LIMIT_CONNECTIONS, value).limits;
        assert_eq!(limits("7"), Limits::new().connections(7));
        assert_eq!(limits("off"), Limits::new().connections(None));
        for bad in ["0", "", "-1", "many", "99999999999999999999999"] {
            assert_eq!(limits(bad), Limits::new(), "{bad}");
        }
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
