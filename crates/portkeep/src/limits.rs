//! Limits of connections.

mod decide;
mod reason;
mod register;
mod tcp;

use std::time::Duration;

use crate::Error;

pub(crate) use decide::{Facts, Order, State, decide};
pub(crate) use reason::{Ended, Reason};
pub(crate) use register::{Key, Register, Watched};

/// No client should be waited for longer; `None` means no limit.
const A_YEAR: Duration = Duration::from_secs(366 * 24 * 60 * 60);
/// Shortest and longest interval of the sweeper.
const SWEEPS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(5));
/// The kernel's limit: this, or longer than the answer limit.
const USER_TIMEOUT: Duration = Duration::from_secs(120);

/// Limits of time and number for connections: set by [`Server::limits`](crate::Server::limits).
///
/// All are on by default, except for the age. Each setter takes a [`Duration`], or `None` to switch the limit off.
/// [`serve`](crate::serve) refuses a limit of zero or of more than a year with [`Error::Limit`].
///
/// ```
/// use std::time::Duration;
///
/// let limits = portkeep::Limits::new()
///     .idle(Duration::from_secs(30))
///     .age(Duration::from_secs(3600))
///     .answer(None);
/// # let _ = portkeep::Server::new().limits(limits);
/// ```
///
/// | limit | default | nginx | HAProxy | variable, and field of `limits` in the spec |
/// |---|---|---|---|---|
/// | [`idle`](Self::idle) | 75 s | `keepalive_timeout` 75 s | `timeout http-keep-alive`, none | `PORTKEEP_LIMIT_IDLE_USEC`, `idle` |
/// | [`head`](Self::head) | 30 s | `client_header_timeout` 60 s | `timeout http-request`, none | `PORTKEEP_LIMIT_HEAD_USEC`, `head` |
/// | [`body`](Self::body) | 60 s | `client_body_timeout` 60 s | `timeout client`, none | `PORTKEEP_LIMIT_BODY_USEC`, `body` |
/// | [`answer`](Self::answer) | 60 s | `send_timeout` 60 s | `timeout client`, none | `PORTKEEP_LIMIT_ANSWER_USEC`, `answer` |
/// | [`ping`](Self::ping), [`pong`](Self::pong) | 20 s, 20 s | none | `timeout client` | `PORTKEEP_LIMIT_PING_USEC`, `PORTKEEP_LIMIT_PONG_USEC`; `ping`, `pong` |
/// | [`age`](Self::age) | off | `keepalive_time` 1 h | none | `PORTKEEP_LIMIT_AGE_USEC`, `age` |
/// | [`connections`](Self::connections) | by the limit of open files | `worker_connections` 512 | `maxconn`, by the limit of open files | `PORTKEEP_LIMIT_CONNECTIONS`, `connections` |
/// | [`tcp_keepalive`](Self::tcp_keepalive) | 60 s | `so_keepalive`, off | `option clitcpka`, off | `PORTKEEP_LIMIT_TCP_KEEPALIVE_USEC`, `tcpKeepalive` |
/// | [`tcp_user_timeout`](Self::tcp_user_timeout) | 120 s, or `answer` if that is longer | none | `tcp-ut`, off | `PORTKEEP_LIMIT_TCP_USER_TIMEOUT_USEC`, `tcpUserTimeout` |
///
/// nginx's values are the defaults in its documentation ([core](https://nginx.org/en/docs/http/ngx_http_core_module.html),
/// [events](https://nginx.org/en/docs/ngx_core_module.html#worker_connections)); HAProxy's are those of its [configuration
/// manual](https://docs.haproxy.org/3.2/configuration.html), where a timeout that is not set is infinite, and a warning.
///
/// The variables win over the app's settings: the operator decides. They are microseconds (or a number of connections), or
/// `off`; portkeep sets them from the spec. An invalid value is logged and ignored.
///
/// # How they are measured
///
/// Nothing is measured while a request runs: one task looks at all connections every tenth of the shortest limit (3 s with
/// the defaults, 5 s at most). So a limit takes effect at most two such steps late. The idle time of a connection, and its
/// age, move with it to the next generation.
///
/// # What is not idle
///
/// A request whose handler runs, or whose answer continues: quiet server-sent events, a long poll. An upgraded connection,
/// such as a WebSocket, is the app's: of these limits, only those of TCP apply to it.
///
/// # How a connection ends
///
/// Over HTTP/1, an idle connection is closed, as by every server with keep-alive; a request that came too slowly is
/// answered with 408; a client that does not read is cut. Over HTTP/2, all begin with GOAWAY. The unit's status and the
/// report of the drain count ends by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    idle: Option<Duration>,
    head: Option<Duration>,
    body: Option<Duration>,
    answer: Option<Duration>,
    ping: Option<Duration>,
    pong: Option<Duration>,
    age: Option<Duration>,
    connections: Cap,
    tcp_keepalive: Option<Duration>,
    tcp_user_timeout: UserTimeout,
}

/// Number of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cap {
    /// By the limit of open files, with some to spare.
    ByFiles,
    Most(usize),
    Off,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UserTimeout {
    /// By the limit of answers, so that the kernel does not cut a client that a longer limit allows.
    ByAnswer,
    Set(Option<Duration>),
}

const fn seconds(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

impl Limits {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self {
            idle: seconds(75),
            head: seconds(30),
            body: seconds(60),
            answer: seconds(60),
            ping: seconds(20),
            pong: seconds(20),
            age: None,
            connections: Cap::ByFiles,
            tcp_keepalive: seconds(60),
            tcp_user_timeout: UserTimeout::ByAnswer,
        }
    }

    /// How long a connection may wait for its next request (default 75 s): for HTTP/1 between two requests, for HTTP/2
    /// without a stream.
    ///
    /// Clients that keep connections for later, and those that are gone without a word, cost memory and an open file each.
    /// 75 s is nginx's default, and longer than browsers pause between two requests of a page. Behind a proxy that keeps
    /// connections, choose a longer time than the proxy does: otherwise requests meet the end.
    #[must_use]
    pub fn idle(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.idle = time.into();
        self
    }

    /// How long the head of a request may take (default 30 s): for the first request from the accept, or from the end of
    /// the TLS handshake; for later ones from the first byte to the last, however often bytes come.
    ///
    /// A head fits into a few packets, so 30 s allow many retransmissions.
    #[must_use]
    pub fn head(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.head = time.into();
        self
    }

    /// How long a handler waits for the next piece of a request's body (default 60 s). It begins again with each piece, and
    /// ends with the head of the answer: a conversation over both bodies, such as gRPC's, may be quiet.
    ///
    /// It applies to apps that are an `axum::Router`. Another service gets hyper's own body, which does not report that it
    /// is waited for.
    ///
    /// Over HTTP/2, a connection ends if *all* of its requests wait for their client, by this limit or by that of answers.
    #[must_use]
    pub fn body(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.body = time.into();
        self
    }

    /// How long a client may take no byte of an available answer (default 60 s). It begins again with each byte that
    /// reaches the client; over TLS that ends in the app, and over HTTP/2, with each piece that is sent.
    ///
    /// An answer that has nothing to send yet does not count.
    #[must_use]
    pub fn answer(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.answer = time.into();
        self
    }

    /// How long an HTTP/2 client may be silent before the server sends a ping (default 20 s). Its connections live long,
    /// and one quiet request keeps them open: only a ping shows whether the client is there.
    #[must_use]
    pub fn ping(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.ping = time.into();
        self
    }

    /// How long the client may take to answer the ping (default 20 s).
    #[must_use]
    pub fn pong(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.pong = time.into();
        self
    }

    /// Longest age of a connection (default: none, because connections move to new code at a handover). After that, the
    /// next answer says `Connection: close`; a connection that stays idle for the [linger time](crate::Server::linger) is
    /// closed; HTTP/2 gets GOAWAY and finishes its streams.
    ///
    /// For spreading connections over several servers.
    #[must_use]
    pub fn age(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.age = time.into();
        self
    }

    /// Number of open connections (default: the limit of open files less a sixteenth, which is left to the app; at least 16
    /// and at most 1,024 are left).
    ///
    /// Beyond it, connections that have been idle for longest end. If none is idle, answers say `Connection: close`, and
    /// nobody is accepted until there is room: new clients wait in the queue of the listening socket. Each listener may
    /// exceed it by one. A connection of the last generation that would exceed it is not taken over: it ends there.
    #[must_use]
    pub fn connections(mut self, most: impl Into<Option<usize>>) -> Self {
        self.connections = most.into().map_or(Cap::Off, Cap::Most);
        self
    }

    /// How long without a packet until TCP probes whether the other machine is there (default 60 s, whole seconds, 32,767 s
    /// at most); then four more probes follow, each after a quarter of this. It ends connections whose client has lost its
    /// network: for upgraded ones, nothing else does. `None` leaves it to the listening socket (`KeepAlive=` of systemd).
    #[must_use]
    pub fn tcp_keepalive(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.tcp_keepalive = time.into();
        self
    }

    /// How long sent data may stay without an acknowledgement of the other machine, or without room there
    /// (`TCP_USER_TIMEOUT`; default 120 s, or the limit of [answers](Self::answer) if that is longer or off). The kernel's
    /// own limit is a quarter of an hour. `None` leaves it to the kernel.
    #[must_use]
    pub fn tcp_user_timeout(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.tcp_user_timeout = UserTimeout::Set(time.into());
        self
    }

    /// Whether the limits are valid.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let UserTimeout::Set(user_timeout) = self.tcp_user_timeout else {
            return self.check_with(None);
        };
        self.check_with(user_timeout)
    }

    fn check_with(&self, user_timeout: Option<Duration>) -> Result<(), Error> {
        if self.connections == Cap::Most(0) {
            return Err(Error::Limit {
                what: "connections",
                why: "it is 0, and nobody would be served; None switches it off",
            });
        }
        for (what, time) in [
            ("idle", self.idle),
            ("head", self.head),
            ("body", self.body),
            ("answer", self.answer),
            ("ping", self.ping),
            ("pong", self.pong),
            ("age", self.age),
            ("tcp_keepalive", self.tcp_keepalive),
            ("tcp_user_timeout", user_timeout),
        ] {
            let why = match time {
                Some(Duration::ZERO) => "it is 0, which nobody can keep; None switches it off",
                Some(time) if time > A_YEAR => "it is longer than a year; None switches it off",
                _ => continue,
            };
            return Err(Error::Limit { what, why });
        }
        Ok(())
    }

    /// The largest number of connections for a process with this limit of open files.
    pub(crate) fn most_connections(&self, files: Option<u64>) -> usize {
        match self.connections {
            Cap::Off => usize::MAX,
            Cap::Most(most) => most,
            Cap::ByFiles => {
                let files = files.map_or(usize::MAX, |files| {
                    usize::try_from(files).unwrap_or(usize::MAX)
                });
                let reserve = (files / 16).clamp(16, 1024);
                files.saturating_sub(reserve).max(1)
            }
        }
    }

    pub(crate) fn head_time(&self) -> Option<Duration> {
        self.head
    }

    /// The interval of HTTP/2 pings, and the limit of their answers.
    #[cfg(feature = "http2")]
    pub(crate) fn pings(&self) -> Option<(Duration, Duration)> {
        // Without a limit for the answer, a ping is useless.
        self.ping.zip(self.pong)
    }

    /// How long a connection of this age has been too old.
    pub(crate) fn too_old(&self, age: Duration) -> Option<Duration> {
        age.checked_sub(self.age?)
    }

    /// The interval of the sweeper.
    pub(crate) fn step(&self) -> Duration {
        let times = [
            self.idle,
            self.head,
            self.body,
            // It is looked at twice.
            self.answer.map(|time| time / 2),
            self.age,
        ];
        let shortest = times.into_iter().flatten().min();
        shortest.map_or(SWEEPS.1, |time| (time / 10).clamp(SWEEPS.0, SWEEPS.1))
    }

    fn user_timeout(&self) -> Option<Duration> {
        match self.tcp_user_timeout {
            UserTimeout::Set(time) => time,
            UserTimeout::ByAnswer => self.answer.map(|time| time.max(USER_TIMEOUT)),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_and_years_are_refused_by_name() {
        const OFTEN: Duration = Duration::from_secs(1 << 40);
        type Set = fn(Limits, Option<Duration>) -> Limits;
        let setters: [(&str, Set); 9] = [
            ("idle", Limits::idle),
            ("head", Limits::head),
            ("body", Limits::body),
            ("answer", Limits::answer),
            ("ping", Limits::ping),
            ("pong", Limits::pong),
            ("age", Limits::age),
            ("tcp_keepalive", Limits::tcp_keepalive),
            ("tcp_user_timeout", Limits::tcp_user_timeout),
        ];
        for (name, set) in setters {
            for time in [
                Duration::ZERO,
                A_YEAR + Duration::from_secs(1),
                OFTEN,
                Duration::MAX,
            ] {
                let error = set(Limits::new(), Some(time))
                    .check()
                    .unwrap_err()
                    .to_string();
                assert!(error.contains(&format!("`{name}`")), "{error}");
            }
            for time in [None, Some(Duration::from_nanos(1)), Some(A_YEAR)] {
                assert!(set(Limits::new(), time).check().is_ok(), "{name} {time:?}");
            }
        }
        assert!(Limits::new().connections(0).check().is_err());
        assert!(Limits::new().connections(1).check().is_ok());
        assert!(Limits::new().check().is_ok());
    }

    #[test]
    fn some_files_are_left_to_the_app() {
        let most = |files| Limits::new().most_connections(files);
        assert_eq!(most(Some(524_288)), 524_288 - 1024);
        assert_eq!(most(Some(1024)), 1024 - 64);
        assert_eq!(most(Some(100)), 84);
        assert_eq!(most(Some(16)), 1);
        assert_eq!(most(None), usize::MAX - 1024);
        assert_eq!(Limits::new().connections(7).most_connections(Some(1024)), 7);
        assert_eq!(
            Limits::new().connections(None).most_connections(Some(9)),
            usize::MAX
        );
    }

    #[test]
    fn the_kernel_is_no_stricter_than_the_limit_of_answers() {
        assert_eq!(Limits::new().user_timeout(), seconds(120));
        assert_eq!(
            Limits::new().answer(seconds(600)).user_timeout(),
            seconds(600)
        );
        assert_eq!(Limits::new().answer(None).user_timeout(), None);
        let set = Limits::new().answer(None).tcp_user_timeout(seconds(9));
        assert_eq!(set.user_timeout(), seconds(9));
    }

    #[test]
    fn the_shortest_limit_says_how_often_to_look() {
        assert_eq!(Limits::new().step(), Duration::from_secs(3));
        assert_eq!(
            Limits::new().head(Duration::from_secs(1)).step(),
            Duration::from_millis(100)
        );
        assert_eq!(Limits::new().idle(Duration::from_nanos(1)).step(), SWEEPS.0);
        let off = Limits::new().idle(None).head(None).body(None).answer(None);
        assert_eq!(off.step(), SWEEPS.1);
    }
}
