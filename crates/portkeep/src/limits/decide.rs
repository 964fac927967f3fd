//! Decides which connection has to end. Pure.

use std::time::Duration;

use super::{Limits, Reason};

/// Which side a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// The client: the head of a request, which may not have begun.
    Head,
    /// The client, if it likes: there is no request.
    Idle,
    /// The client: the body of each request.
    Body,
    /// The client: it does not take available bytes.
    Answer,
    /// The app.
    Working,
}

/// Observed facts about a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) state: State,
    /// Changes whenever something has happened.
    pub(crate) stamp: u64,
    /// Whether it can end without losing anything that has come.
    pub(crate) spare: bool,
    /// Whether GOAWAY can end it at any time.
    pub(crate) http2: bool,
}

/// An order to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// End.
    End(Reason),
    /// Look how many bytes its client has not taken, to know next time whether they became fewer.
    Look,
    /// Make the next answer the last.
    Last,
}

/// The order for a connection that has been in its state for `waited`.
///
/// `ending`: how long it has been due to end in good order. `linger`: how long an idle one may stay then.
pub(crate) fn decide(
    limits: &Limits,
    linger: Duration,
    facts: Facts,
    waited: Duration,
    ending: Option<Duration>,
) -> Option<Order> {
    let limit = match facts.state {
        State::Head => limits.head.map(|limit| (limit, Reason::Head)),
        State::Idle => limits.idle.map(|limit| (limit, Reason::Idle)),
        State::Body => limits.body.map(|limit| (limit, Reason::Body)),
        State::Answer => limits.answer.map(|limit| (limit, Reason::Answer)),
        State::Working => None,
    };
    if let Some((limit, reason)) = limit {
        if waited >= limit {
            return Some(Order::End(reason));
        }
        if reason == Reason::Answer && waited >= limit / 2 {
            return Some(Order::Look);
        }
    }
    let ending = ending?;
    let idle = facts.state == State::Idle && waited.min(ending) >= linger;
    Some(if facts.http2 || idle {
        Order::End(Reason::Age)
    } else {
        Order::Last
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;
    const LINGER: Duration = Duration::from_secs(5);

    fn facts(state: State) -> Facts {
        Facts {
            state,
            stamp: 0,
            spare: false,
            http2: false,
        }
    }

    #[test]
    fn each_state_has_its_limit_and_the_app_has_none() {
        use Reason::{Answer, Body, Head, Idle};
        let limits = Limits::new();
        for (state, limit, reason) in [
            (State::Head, 30, Head),
            (State::Idle, 75, Idle),
            (State::Body, 60, Body),
            (State::Answer, 60, Answer),
        ] {
            let at = |waited| decide(&limits, LINGER, facts(state), waited, None);
            assert_eq!(at(S(limit)), Some(Order::End(reason)), "{state:?}");
            let before = at(S(limit) - Duration::from_millis(1));
            assert_eq!(before, (state == State::Answer).then_some(Order::Look));
            assert_eq!(at(S(limit) / 3), None);
            assert_eq!(at(Duration::MAX), Some(Order::End(reason)));
        }
        let working = decide(&limits, LINGER, facts(State::Working), Duration::MAX, None);
        assert_eq!(working, None);
        let beginning = decide(&limits, LINGER, facts(State::Head), S(1), None);
        assert_eq!(beginning, None);
        let off = limits.idle(None).head(None).body(None).answer(None);
        for state in [State::Head, State::Idle, State::Body, State::Answer] {
            assert_eq!(
                decide(&off, LINGER, facts(state), Duration::MAX, None),
                None
            );
        }
    }

    #[test]
    fn one_that_is_to_end_ends_in_good_order() {
        let limits = Limits::new();
        let at =
            |facts, waited, ending: u64| decide(&limits, LINGER, facts, S(waited), Some(S(ending)));
        let idle = facts(State::Idle);
        // Its client learns of it with the next answer, if it sends a request soon.
        assert_eq!(at(idle, 20, 0), Some(Order::Last));
        assert_eq!(at(idle, 4, 100), Some(Order::Last));
        assert_eq!(at(idle, 20, 5), Some(Order::End(Reason::Age)));
        let working = facts(State::Working);
        assert_eq!(at(working, 1000, 900), Some(Order::Last));
        let http2 = Facts {
            http2: true,
            ..working
        };
        assert_eq!(at(http2, 0, 0), Some(Order::End(Reason::Age)));
    }
}
