//! Settings of a server.

mod deployed;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::accepted::Accepted;
use crate::acceptor::Acceptor;
use crate::app::{App, ErasedApp};
use crate::connection::Resumers;
use crate::health::{Health, Source};
use crate::limits::Limits;
use crate::serve;
use crate::{BoxError, Error, RawWebSocket, SessionState, ShutdownToken, Transport};

/// The default address if no socket is passed.
const DEFAULT_ADDRESS: &str = "127.0.0.1:8080";
const DEFAULT_DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
const DEFAULT_LINGER: Duration = Duration::from_secs(5);

/// Runs at SIGHUP.
pub(crate) type Hangup = Box<dyn FnMut() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;
pub(crate) type Check = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

/// The aim of a drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Policy {
    /// No request is lost. A connection that cannot move to the next generation may send requests to the old one for as
    /// long as it [lingers](Server::linger).
    #[default]
    Lossless,
    /// Old code answers no new request: for development, where a page from the old version is wrong. Connections that
    /// cannot move are closed as soon as they are idle, including those that have sent nothing yet; a request that is sent
    /// in that moment is lost.
    ///
    /// With connections that move, there is no difference.
    Fresh,
}

/// A server that is not serving yet.
///
/// ```no_run
/// # use std::time::Duration;
/// # async fn example(app: axum::Router) -> Result<(), portkeep::Error> {
/// portkeep::Server::new()
///     .listen("127.0.0.1:3000")
///     .drain_timeout(Duration::from_secs(60))
///     .ready_when(async { warm_up().await })
///     .serve(app)
///     .await
/// # }
/// # async fn warm_up() -> Result<(), std::io::Error> { Ok(()) }
/// ```
#[must_use = "a server does nothing until `serve` is called and awaited"]
pub struct Server {
    pub(crate) address: String,
    pub(crate) names: Vec<String>,
    pub(crate) drain_timeout: Duration,
    pub(crate) linger: Duration,
    pub(crate) idle_exit: Option<Duration>,
    pub(crate) limits: Limits,
    pub(crate) policy: Policy,
    pub(crate) reuse_port: bool,
    #[cfg(feature = "http2")]
    pub(crate) move_http2: bool,
    pub(crate) acceptor: Option<Acceptor>,
    pub(crate) resumers: Resumers,
    pub(crate) hangup: Option<Hangup>,
    pub(crate) checks: Vec<Check>,
    pub(crate) health: Health,
    pub(crate) health_source: Option<Arc<dyn Source>>,
    pub(crate) shutdown: ShutdownToken,
}

impl Server {
    /// A server with the defaults: every passed stream listener, else 127.0.0.1:8080.
    pub fn new() -> Self {
        Self {
            address: DEFAULT_ADDRESS.to_owned(),
            names: Vec::new(),
            drain_timeout: DEFAULT_DRAIN_TIMEOUT,
            linger: DEFAULT_LINGER,
            idle_exit: None,
            limits: Limits::new(),
            policy: Policy::default(),
            reuse_port: false,
            #[cfg(feature = "http2")]
            move_http2: true,
            acceptor: None,
            resumers: Resumers::default(),
            hangup: None,
            checks: Vec::new(),
            health: Health::process(),
            health_source: None,
            shutdown: ShutdownToken::process(),
        }
    }

    /// The address if no socket is passed: `IP:PORT` or the path of a Unix socket (default 127.0.0.1:8080). The variable
    /// `PORTKEEP_LISTEN` wins over this.
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.address = address.into();
        self
    }

    /// Serves only the passed listeners with this name; may be called for several names. Without it, all passed stream
    /// listeners are served that the app has not taken.
    pub fn socket(mut self, name: impl Into<String>) -> Self {
        self.names.push(name.into());
        self
    }

    /// How long a drain may take before remaining connections are cut (default 30 s). The service manager is asked for this
    /// time.
    ///
    /// The `drainTimeout` of the app's spec wins over this: the operator decides. It comes in the variable
    /// `PORTKEEP_DRAIN_TIMEOUT_USEC`, in microseconds.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.drain_timeout = timeout;
        self
    }

    /// How long an idle HTTP/1 connection stays open while draining, so that its client can send one more request and learn
    /// from the answer that the connection ends (default 5 s).
    ///
    /// A shorter time makes drains shorter and loses requests: a client that sends one in the moment of the close gets no
    /// answer.
    ///
    /// The `linger` of the app's spec wins over this, in the variable `PORTKEEP_LINGER_USEC`.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// Exits when no connection and no request has come for this long, and no request is open (default: never). The owner
    /// of the port starts the program again for the next connection, which waits in the queue and is not refused. It takes
    /// effect at most a tenth of the time late.
    ///
    /// Connections between two requests are closed, as by any keep-alive timeout; WebSockets and other upgraded connections
    /// keep it running. It applies only to passed sockets: nobody would start a program again that binds its own.
    ///
    /// The `idleExit` of the app's spec wins over this, in the variable `PORTKEEP_IDLE_EXIT_USEC`.
    pub fn idle_exit(mut self, time: Duration) -> Self {
        self.idle_exit = Some(time);
        self
    }

    /// Whether HTTP/2 connections [move](crate::guide::draining#http2) to the next generation (default true).
    ///
    /// The price is that every frame is followed: up to 2,600 instructions for each request. A client loses its compression
    /// table at each move, as with a new connection. Without moving, HTTP/2 connections end by GOAWAY.
    #[cfg(feature = "http2")]
    pub fn move_http2(mut self, moves: bool) -> Self {
        self.move_http2 = moves;
        self
    }

    /// Limits of time and number for connections (default: [`Limits::new`], all on but for the age). Each of the `limits`
    /// of the app's spec wins over the one here.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The aim of a drain (default [`Policy::Lossless`]). The variable `PORTKEEP_DRAIN`, `lossless` or `fresh`, wins over
    /// this.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Binds TCP addresses with `SO_REUSEPORT`, so that a second process can listen on the same address before this one
    /// ends, without another process that holds the port for both. It applies only to addresses that this process binds.
    ///
    /// The system spreads new connections over both. The draining one accepts and answers the clients in its queue; a
    /// client that arrives in the moment between that and the end of its listener is refused. Passed sockets have no such
    /// moment.
    pub fn reuse_port(mut self) -> Self {
        self.reuse_port = true;
        self
    }

    /// Passes every accepted connection to `accept` before it is served: for TLS that ends in the app. It has as long as
    /// [the head of a request](Limits::head); a connection that it refuses is closed.
    ///
    /// ```no_run
    /// # async fn example(app: axum::Router, config: tokio_rustls::rustls::ServerConfig) -> Result<(), portkeep::Error> {
    /// let tls = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
    /// portkeep::Server::new()
    ///     .accept_with(move |connection| tls.accept(connection))
    ///     .serve(app)
    ///     .await
    /// # }
    /// ```
    ///
    /// Such connections do not move to the next generation, because the acceptor's knowledge of them (keys, counters) is
    /// not handed over; with [`transport`](Self::transport) it is. They drain: new ones are answered first, busy ones
    /// finish, idle ones linger. If HTTP/2 is negotiated, it is served.
    pub fn accept_with<F, S>(
        mut self,
        accept: impl Fn(Accepted) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = std::io::Result<S>> + Send + 'static,
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.acceptor = Some(Acceptor::new(accept));
        self
    }

    /// Passes every accepted connection to `transport` before it is served, as [`accept_with`](Self::accept_with) does, and
    /// lets it move to the next generation: for TLS that can export a session, such as that of the crate `portkeep-s2n`.
    ///
    /// Of the two, the last call counts.
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.acceptor = Some(Acceptor::movable(transport));
        self
    }

    /// Continues WebSockets that the last generation [hands over](crate::hand_over) to the handler with this name. May be
    /// called for several names; of two calls with one name the last counts.
    ///
    /// `understand` gets the state first, and makes of it what `go_on` needs. If it fails, or panics, the WebSocket stays
    /// with the last generation, which closes it in good order. It must not wait or have side effects: another process
    /// still has the socket. `go_on` runs in a task of its own, for each WebSocket.
    ///
    /// The state comes from a process of the same user and belongs to this socket. It is not a request: it has no cookie or
    /// password. What the app would check for a request (whether the session is still valid, what its user may do) it
    /// checks again here.
    ///
    /// ```
    /// use portkeep::{RawWebSocket, Server, SessionState};
    ///
    /// struct Session { user: String }
    ///
    /// impl Session {
    ///     fn understand(state: SessionState) -> Result<Self, String> {
    ///         match state.version() {
    ///             1 => {
    ///                 let user = String::from_utf8(state.bytes().to_vec());
    ///                 Ok(Self { user: user.map_err(|error| error.to_string())? })
    ///             }
    ///             other => Err(format!("version {other} of a session is not known here")),
    ///         }
    ///     }
    /// }
    ///
    /// async fn chat(socket: RawWebSocket, session: Session) {}
    ///
    /// let server = Server::new().resume("chat", Session::understand, chat);
    /// ```
    pub fn resume<T, E, F>(
        mut self,
        name: impl Into<String>,
        understand: impl Fn(SessionState) -> Result<T, E> + Send + Sync + 'static,
        go_on: impl Fn(RawWebSocket, T) -> F + Send + Sync + 'static,
    ) -> Self
    where
        T: Send + 'static,
        E: Into<BoxError>,
        F: Future<Output = ()> + Send + 'static,
    {
        self.resumers.add(name.into(), understand, go_on);
        self
    }

    /// Runs `reread` at each SIGHUP, one after another: for configuration that is read again
    /// while the server serves. Without this, SIGHUP ends the process.
    pub fn on_hangup<F>(mut self, mut reread: impl FnMut() -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.hangup = Some(Box::new(move || Box::pin(reread())));
        self
    }

    /// A check that has to pass before this server is ready; several run one after another. If one fails, `serve` fails,
    /// and the current generation goes on serving.
    pub fn ready_when<E: Into<BoxError>>(
        mut self,
        check: impl Future<Output = Result<(), E>> + Send + 'static,
    ) -> Self {
        self.checks
            .push(Box::pin(async move { check.await.map_err(Into::into) }));
        self
    }

    /// The health for the health socket, if the app's spec has one, instead of [`Health::process`].
    pub fn health(mut self, health: Health) -> Self {
        self.health = health;
        self
    }

    /// The same, from a source that knows more than checks do: portkeep's holding page.
    #[doc(hidden)]
    pub fn health_source(mut self, source: Arc<dyn Source>) -> Self {
        self.health_source = Some(source);
        self
    }

    /// Drains when this token is started, instead of the token of the process. SIGTERM and
    /// SIGINT start it too.
    pub fn shutdown_on(mut self, token: ShutdownToken) -> Self {
        self.shutdown = token;
        self
    }

    /// The token that tells when this server drains, and that can ask it to.
    #[must_use]
    pub fn shutdown_token(&self) -> ShutdownToken {
        self.shutdown.clone()
    }

    /// Serves `app` until SIGTERM, SIGINT or the shutdown token, then drains. The
    /// [guide to draining](crate::guide::draining) says what that means for each kind of
    /// connection.
    ///
    /// Returns `Ok` after a drain, even if it had to cut something: that is logged and reported to the service manager, and
    /// not a failure of the app.
    ///
    /// # Errors
    ///
    /// If it cannot begin: see [`Error`].
    pub async fn serve<A: App>(self, app: A) -> Result<(), Error> {
        serve::run(self, ErasedApp::new(app)).await
    }

    /// The operator's settings win over the app's.
    pub(crate) fn obey_environment(&mut self) {
        deployed::apply(self, |name| std::env::var(name).ok());
    }
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("address", &self.address)
            .field("names", &self.names)
            .field("drain_timeout", &self.drain_timeout)
            .field("linger", &self.linger)
            .field("idle_exit", &self.idle_exit)
            .field("limits", &self.limits)
            .field("policy", &self.policy)
            .field("checks", &self.checks.len())
            .finish_non_exhaustive()
    }
}
