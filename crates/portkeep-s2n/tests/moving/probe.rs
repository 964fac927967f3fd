//! The process under test: this test binary again, started for this one test.

use std::env;
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, Request};
use axum::response::Html;
use axum::routing::{get, post};
use portkeep::{Peer, Server};
use portkeep_s2n::{ClientCertificates, Session, Settings};

use crate::counting::{self, Counting};

/// Set in the process under test.
pub(crate) const MODE: &str = "PORTKEEP_TEST_MODE";
pub(crate) const USER: &str = "PORTKEEP_TEST_USER";
/// A directory with `cert.pem`, `key.pem` and `ca.pem`.
pub(crate) const FILES: &str = "PORTKEEP_TEST_FILES";
/// `required` or `optional`.
pub(crate) const CLIENTS: &str = "PORTKEEP_TEST_CLIENTS";
pub(crate) const POLICY: &str = "PORTKEEP_TEST_POLICY";
/// Without TLS.
pub(crate) const PLAIN: &str = "PORTKEEP_TEST_PLAIN";
/// What ALPN offers.
pub(crate) const PROTOCOLS: &str = "PORTKEEP_TEST_PROTOCOLS";
/// Be the app without a framework.
pub(crate) const COUNTS: &str = "PORTKEEP_TEST_COUNTS";
pub(crate) const EXPIRED: &str = "PORTKEEP_TEST_EXPIRED";

#[test]
fn probe_process() {
    if env::var(MODE).as_deref() == Ok("serve") {
        serve();
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn serve() {
    tracing_subscriber::fmt()
        .with_env_filter("debug,hyper=info,h2=info")
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    let files = env::var_os(FILES).unwrap();
    let files = Path::new(&files);
    let mut settings =
        Settings::from_files(files.join("cert.pem"), files.join("key.pem")).introduce_sessions();
    let authorities = files.join("ca.pem");
    settings = match env::var(CLIENTS).as_deref() {
        Ok("required") => settings.client_certificates(ClientCertificates::Required(authorities)),
        Ok("optional") => settings.client_certificates(ClientCertificates::Optional(authorities)),
        _ => settings,
    };
    if let Ok(policy) = env::var(POLICY) {
        settings = settings.policy(policy);
    }
    if let Ok(protocols) = env::var(PROTOCOLS) {
        settings = settings.protocols(protocols.split(','));
    }
    if env::var_os(EXPIRED).is_some() {
        settings = settings.accept_expired();
    }
    if env::var_os(PLAIN).is_some() {
        return Server::new().serve(app()).await.unwrap();
    }
    let tls = match settings.load() {
        Ok(tls) => tls,
        Err(error) => {
            let mut chain: &dyn std::error::Error = &error;
            eprintln!("ERROR {chain}");
            while let Some(source) = chain.source() {
                eprintln!("CAUSE {source}");
                chain = source;
            }
            std::process::exit(1);
        }
    };
    let reread = tls.clone();
    let server = Server::new()
        // As long as a client on a busy machine may need for the rest of a record.
        .linger(Duration::from_secs(20))
        .drain_timeout(Duration::from_secs(60))
        .on_hangup(move || {
            let reread = reread.clone();
            async move {
                match reread.reread() {
                    Ok(()) => eprintln!("REREAD"),
                    Err(error) => eprintln!("NOT REREAD: {error}"),
                }
            }
        })
        .transport(tls);
    match env::var_os(COUNTS) {
        None => server.serve(app()).await,
        Some(_) => counting::resume(server).serve(Counting).await,
    }
    .unwrap();
}

/// The session of the request, as text.
async fn session(request: Request) -> String {
    let session = Session::of(request.extensions()).unwrap();
    format!(
        "{} {} {}",
        session.server_name().unwrap_or("-"),
        session.protocol().unwrap_or("-"),
        session
            .client_certificates()
            .map(<[u8]>::len)
            .sum::<usize>()
    )
}

/// The client, and the process that answers.
async fn peer(request: Request) -> String {
    let peer = Peer::of(request.extensions()).and_then(|peer| peer.address());
    format!("{} {}", peer.unwrap(), std::process::id())
}

#[derive(serde::Deserialize)]
struct Size {
    size: usize,
}

fn app() -> Router {
    Router::new()
        .route("/", get(|| async { std::process::id().to_string() }))
        .route("/session", get(session))
        .route("/peer", get(peer))
        .route(
            "/page",
            get(|| async { Html(include_str!("programs/page.html")) }),
        )
        .route(
            "/told",
            get(|request: Request| async {
                let seen = request.uri().query().unwrap();
                eprintln!("BROWSER {:?} {seen}", request.version());
                peer(request).await
            }),
        )
        .route(
            "/letters",
            get(|Query(Size { size }): Query<Size>| async move {
                let letters: Vec<u8> = (b'a'..=b'z').cycle().take(size).collect();
                ([("x-process", std::process::id().to_string())], letters)
            }),
        )
        .route(
            "/sum",
            post(|body: Bytes| async move {
                let sum: u64 = body.iter().map(|byte| u64::from(*byte)).sum();
                format!("{} {sum}", body.len())
            }),
        )
}
