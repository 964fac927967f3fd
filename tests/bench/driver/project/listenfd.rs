use axum::{Router, routing::get};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let app = Router::new().route("/", get(|| async { ([("x-version", "VERSION")], "Hello\n") }));
    let passed = listenfd::ListenFd::from_env().take_tcp_listener(0)?;
    let listener = match (passed, std::env::var("LISTEN_FD")) {
        (Some(passed), _) => passed,
        // cargo-devserver's own.
        (None, Ok(descriptor)) => unsafe { std::os::fd::FromRawFd::from_raw_fd(descriptor.parse()?) },
        (None, Err(_)) => std::net::TcpListener::bind(std::env::var("BENCH_LISTEN")?)?,
    };
    listener.set_nonblocking(true)?;
    let mut terminate = signal(SignalKind::terminate())?;
    axum::serve(TcpListener::from_std(listener)?, app)
        .with_graceful_shutdown(async move {
            terminate.recv().await;
        })
        .await?;
    Ok(())
}
