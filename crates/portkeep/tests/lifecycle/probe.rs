//! The process under test: this test binary again, started for this one test.

use std::convert::Infallible;
use std::env;
use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code::RESTART};
use axum::extract::{ConnectInfo, Path, Request};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use bytes::Bytes;
use futures_util::stream::once;
use futures_util::{SinkExt, StreamExt};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use portkeep::{Health, Peer, Server, ShutdownToken, Sockets};

use tokio::io::AsyncReadExt;

use crate::cipher::{Cipher, Key};
use crate::example;
use crate::example::log::Log;
use crate::example::websocket::{self, Session};
use crate::tls;

/// Set in the process under test; says what it does.
pub(crate) const KEEPS_HTTP2: &str = "PORTKEEP_TEST_KEEPS_HTTP2";
pub(crate) const MODE: &str = "PORTKEEP_TEST_MODE";
pub(crate) const LINGER: &str = "PORTKEEP_TEST_LINGER_MS";
pub(crate) const DRAIN: &str = "PORTKEEP_TEST_DRAIN_MS";
pub(crate) const SOCKET: &str = "PORTKEEP_TEST_SOCKET";
/// A file; the check passes when it is there.
pub(crate) const GATE: &str = "PORTKEEP_TEST_GATE";
pub(crate) const REUSE: &str = "PORTKEEP_TEST_REUSE_PORT";
/// A number: whose process it is from the beginning on.
pub(crate) const USER: &str = "PORTKEEP_TEST_USER";
pub(crate) const FAIL: &str = "PORTKEEP_TEST_FAIL";

/// The length of the answer to `/early`: more than a small socket takes, less than what hyper
/// buffers.
pub(crate) const EARLY: usize = 300_000;

/// What `/download` sends.
pub(crate) const LARGE: usize = 100_000_000;
/// A directory with `certificate` and `key`, in DER: serve TLS.
pub(crate) const TLS: &str = "PORTKEEP_TEST_TLS";
/// A directory: where generations that serve TLS share their ticket keys.
pub(crate) const TICKETS: &str = "PORTKEEP_TEST_TICKETS";
/// A number, and `alone` if states of others are refused: serve behind the cipher.
pub(crate) const CIPHER: &str = "PORTKEEP_TEST_CIPHER";
/// A file: be the example of a chat too, with this log.
pub(crate) const CHAT: &str = "PORTKEEP_TEST_CHAT";
/// Be a version that does not understand the sessions of another one.
pub(crate) const FOREIGN: &str = "PORTKEEP_TEST_FOREIGN";

#[test]
fn probe_process() {
    if let Ok(user) = env::var(USER) {
        // Of this thread, and of those that it starts.
        let user = rustix::process::Uid::from_raw(user.parse().unwrap());
        rustix::thread::set_thread_uid(user).unwrap();
    }
    match env::var(MODE).as_deref() {
        Ok("serve") => serve(),
        Ok("sockets") => sockets(),
        Ok("children") => children(),
        // Not started by another test: nothing to do here.
        _ => {}
    }
}

fn millis(variable: &str) -> Option<Duration> {
    Some(Duration::from_millis(
        env::var(variable).ok()?.parse().unwrap(),
    ))
}

fn serve() {
    tracing_subscriber::fmt()
        .with_env_filter("debug,hyper=info,h2=info")
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let mut times = 0;
    let mut server = Server::new().on_hangup(move || {
        times += 1;
        async move { eprintln!("REREAD {times}") }
    });
    if env::var_os(REUSE).is_some() {
        server = server.reuse_port();
    }
    if env::var_os(KEEPS_HTTP2).is_some() {
        server = server.move_http2(false);
    }
    if let Some(linger) = millis(LINGER) {
        server = server.linger(linger);
    }
    if let Some(drain) = millis(DRAIN) {
        server = server.drain_timeout(drain);
    }
    if let Ok(name) = env::var(SOCKET) {
        server = server.socket(name);
    }
    if let Ok(gate) = env::var(GATE) {
        server = server.ready_when(async move {
            while !std::fs::exists(&gate)? {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Ok::<_, std::io::Error>(())
        });
    }
    if let Some(directory) = env::var_os(TLS) {
        let tls = tls::acceptor(directory.as_ref());
        server = server.accept_with(move |connection| tls.accept(connection));
    }
    if let Ok(cipher) = env::var(CIPHER) {
        let mut words = cipher.split(' ');
        server = server.transport(Cipher {
            name: words.next().unwrap().parse().unwrap(),
            foreign: words.next() != Some("alone"),
        });
    }
    if env::var_os(FAIL).is_some() {
        server = server.ready_when(async { Err("the database is away") });
    }
    let mut app = app();
    if let Some(file) = env::var_os(CHAT) {
        let _in_runtime = runtime.enter();
        let log = Log::open(file.as_ref()).unwrap();
        let chat = Router::new()
            .route("/chat", get(websocket::upgrade))
            .route("/log", get(example::events::events))
            .route("/say", post(example::events::say));
        app = app.merge(chat.with_state(log.clone()));
        let understand = match env::var_os(FOREIGN) {
            None => Session::understand,
            Some(_) => |_| Err("only version 7 is known here".to_owned()),
        };
        let resumed = move |socket, session| websocket::chat(socket, session, log.clone());
        server = server.resume("chat", understand, resumed);
    }
    let result = runtime.block_on(server.serve(app));
    // Cut handlers may still block a thread.
    runtime.shutdown_background();
    if let Err(error) = result {
        let mut chain: &dyn std::error::Error = &error;
        eprintln!("ERROR {chain}");
        while let Some(source) = chain.source() {
            eprintln!("CAUSE {source}");
            chain = source;
        }
        panic!("serve failed");
    }
}

/// Takes "metrics" as UDP, then #0 as TCP, and says what came of it.
fn sockets() {
    let sockets = Sockets::from_env().unwrap();
    eprintln!("LIST {:?}", sockets.list().len());
    eprintln!(
        "TCP {:?}",
        sockets.tcp("http").map(|_| ()).map_err(|e| e.to_string())
    );
    eprintln!(
        "AGAIN {:?}",
        sockets.tcp("http").map(|_| ()).map_err(|e| e.to_string())
    );
    eprintln!(
        "UDP {:?}",
        sockets
            .udp("metrics")
            .map(|_| ())
            .map_err(|e| e.to_string())
    );
    eprintln!(
        "INDEX {:?}",
        sockets.tcp(0).map(|_| ()).map_err(|e| e.to_string())
    );
    eprintln!("ENV {:?}", env::var("LISTEN_FDS").ok());
}

/// Whether a child has the descriptors 3 and 4.
fn children() {
    let inherits = || {
        // Of the shell and not of `readlink`, which opens files of its own.
        let links = std::process::Command::new("sh")
            .args(["-c", "readlink /proc/$$/fd/3 /proc/$$/fd/4; true"])
            .output();
        String::from_utf8(links.unwrap().stdout).unwrap()
    };
    let before = inherits();
    let sockets = Sockets::from_env().unwrap();
    let after = inherits();
    for socket in sockets.list() {
        eprintln!("KIND {:?}", socket.kind);
    }
    let has = |links: &str| format!("{} {}", links.contains("socket"), links.contains("pipe"));
    eprintln!("BEFORE {}", has(&before));
    eprintln!("AFTER {}", has(&after));
}

/// Changes what is said of a check: `ok`, a reason, `asked` (it fails), or `gone`.
async fn says(Path((check, says)): Path<(String, String)>) {
    let health = Health::process();
    match says.as_str() {
        "ok" => health.pass(check),
        "gone" => health.remove(&check),
        "asked" => health.check(check, || async { Err::<(), _>("it was asked") }),
        _ => health.fail(check, says),
    }
}

fn app() -> Router {
    Router::new()
        .route("/", get(|| async { format!("{}", std::process::id()) }))
        .route("/health/{check}/{says}", get(says))
        .route("/peer", get(peer))
        .route(
            "/known",
            get(|Extension(Key(key)): Extension<Key>| async move {
                format!("{} {key}", std::process::id())
            }),
        )
        .route(
            "/connect-info",
            get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.to_string() }),
        )
        .route(
            "/seen",
            get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move {
                format!("{} {peer}", std::process::id())
            }),
        )
        .route("/ticks", get(ticks))
        .route("/slow/{ms}", get(slow))
        .route("/block/{ms}", get(block))
        .route("/stream/{ms}", get(stream))
        .route("/until-shutdown", get(until_shutdown))
        .route("/big", get(|| async { vec![b'x'; 4 << 20] }))
        .route(
            "/echo",
            post(|body: Bytes| async move { format!("{}", body.len()) }),
        )
        .route("/echo/{ms}", post(echo_late))
        .route("/quiet", get(quiet))
        .route("/ignore", post(|| async { "ignored" }))
        .route("/events", get(events))
        .route("/download", get(download))
        .route("/upload", post(upload))
        .route(
            "/ws",
            get(|upgrade: WebSocketUpgrade| async { upgrade.on_upgrade(echo) }),
        )
        .route("/early", post(early))
        .route("/upgrade", get(upgrade))
        .route(
            "/shutdown",
            get(|| async { ShutdownToken::process().start() }),
        )
}

async fn peer(peer: Peer) -> String {
    peer.address()
        .map_or_else(String::new, |peer| peer.to_string())
}

async fn ticks() -> Body {
    let ticks = futures_util::stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        Some((Ok::<_, Infallible>("tick"), ()))
    });
    Body::from_stream(portkeep::until_drain(ticks))
}

/// Server-sent events, with the process that sends them.
async fn events() -> Response {
    let pid = std::process::id();
    let events = futures_util::stream::unfold(0, move |number| async move {
        tokio::time::sleep(Duration::from_millis(5)).await;
        let event = match number {
            0 => "retry: 100\n\n".to_owned(),
            _ => format!("data: {pid}\n\n"),
        };
        Some((Ok::<_, Infallible>(event), number + 1))
    });
    let body = Body::from_stream(portkeep::until_drain(events));
    ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}

async fn download() -> Response {
    let piece = Bytes::from(vec![b'x'; LARGE / 100]);
    let pieces =
        futures_util::stream::iter((0..100).map(move |_| Ok::<_, Infallible>(piece.clone())));
    let body = Body::from_stream(pieces);
    ([(header::CONTENT_LENGTH, LARGE)], body).into_response()
}

/// How much came, and to which process.
async fn upload(request: Request) -> String {
    let mut body = request.into_body();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        length += frame.unwrap().into_data().map_or(0, |data| data.len());
    }
    format!("{length} {}", std::process::id())
}

async fn echo(socket: WebSocket) {
    let frame = CloseFrame {
        code: RESTART,
        reason: "restart".into(),
    };
    let mut socket = portkeep::close_at_drain(socket, Message::Close(Some(frame)));
    while let Some(Ok(message)) = socket.next().await {
        if let Message::Text(_) = message {
            let _ = socket.send(message).await;
        }
    }
}

/// Has the whole body, and takes its time.
async fn echo_late(Path(ms): Path<u64>, body: Bytes) -> String {
    tokio::time::sleep(Duration::from_millis(ms)).await;
    format!("{}", body.len())
}

/// Server-sent events of which there are none.
async fn quiet() -> Response {
    let body = Body::from_stream(futures_util::stream::pending::<Result<Bytes, Infallible>>());
    ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}

async fn slow(Path(ms): Path<u64>) -> &'static str {
    tokio::time::sleep(Duration::from_millis(ms)).await;
    "slow"
}

/// Blocks its worker. Tokio wakes no other worker for a request that it read itself, and then nobody polls the sockets until
/// this returns. A second task that is spawned wakes one: the first waits in a slot that nobody else looks into.
async fn block(Path(ms): Path<u64>) -> &'static str {
    for _ in 0..2 {
        tokio::spawn(async {});
    }
    std::thread::sleep(Duration::from_millis(ms));
    "blocked"
}

/// Sends the head and a first chunk at once, the rest later.
async fn stream(Path(ms): Path<u64>) -> Body {
    start_and(async move {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        "end"
    })
}

async fn until_shutdown() -> Body {
    start_and(async {
        portkeep::shutdown().await;
        "bye"
    })
}

/// Not by `http_body_util::channel`, which may lose what is sent together with the end.
fn start_and(last: impl Future<Output = &'static str> + Send + 'static) -> Body {
    let parts = once(async { "start " }).chain(once(last));
    Body::from_stream(parts.map(Ok::<_, Infallible>))
}

/// Answers at once and reads the request's body beside it.
async fn early(request: Request) -> Vec<u8> {
    tokio::spawn(request.into_body().collect());
    vec![b'x'; EARLY]
}

/// Switches protocols and then reads until the client ends.
async fn upgrade(mut request: Request) -> Response {
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut io = TokioIo::new(upgraded.await.unwrap());
        let mut bytes = Vec::new();
        let _ = io.read_to_end(&mut bytes).await;
    });
    let headers = [(header::CONNECTION, "upgrade"), (header::UPGRADE, "test")];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}
