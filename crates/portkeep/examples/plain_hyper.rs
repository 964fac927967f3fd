//! Run: `cargo run -p portkeep --example plain_hyper`, then open http://127.0.0.1:8080/
//!
//! With a server loop of your own: this library only brings the socket, says READY, and tells when
//! the end begins. From then on each answer says `Connection: close`, and five seconds later
//! hyper-util closes what is idle: at once, it would cut requests that are on their way. The
//! connections do not move.

use std::convert::Infallible;
use std::error::Error;
use std::time::Duration;

use http::{Response, header};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let sockets = portkeep::Sockets::from_env()?;
    let listener = if sockets.is_empty() {
        TcpListener::bind("127.0.0.1:8080").await?
    } else {
        TcpListener::from_std(sockets.tcp("http")?)?
    };
    // Before the first accept: the socket is shared with the generation that serves.
    portkeep::ready()?;

    let (http, drain) = (Builder::new(TokioExecutor::new()), GracefulShutdown::new());
    let mut end = std::pin::pin!(portkeep::shutdown());
    loop {
        let (stream, _) = tokio::select! {
            accepted = listener.accept() => accepted?,
            () = &mut end => break,
        };
        let hello = service_fn(|_| async {
            let mut answer = Response::new(format!("Hello from process {}\n", std::process::id()));
            if portkeep::ShutdownToken::process().is_started() {
                let close = header::HeaderValue::from_static("close");
                answer.headers_mut().insert(header::CONNECTION, close);
            }
            Ok::<_, Infallible>(answer)
        });
        let connection = http.serve_connection(TokioIo::new(stream), hello);
        tokio::spawn(drain.watch(connection.into_owned()));
    }
    drop(listener);
    tokio::time::sleep(Duration::from_secs(5)).await;
    drain.shutdown().await;
    Ok(())
}
