//! Plain axum with its graceful shutdown, on a passed socket (`listenfd`), else on one of its own; with `SO_REUSEPORT` if
//! `BENCH_REUSEPORT` is set, and then `BENCH_READY` names a file that says that it serves.

use std::env;
use std::fs;
use std::net::TcpListener;
use std::os::fd::FromRawFd;

use listenfd::ListenFd;
use peers::{Release, never_told, router};
use socket2::{Domain, Socket, Type};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let release = Release::start().await?;
    let listener = listener(&release)?;
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let mut terminate = signal(SignalKind::terminate())?;
    release.serving();
    if let Some(file) = env::var_os("BENCH_READY") {
        fs::write(file, std::process::id().to_string())?;
    }
    axum::serve(listener, router(&release.version, never_told()))
        .with_graceful_shutdown(async move {
            terminate.recv().await;
        })
        .await?;
    Ok(())
}

fn listener(release: &Release) -> anyhow::Result<TcpListener> {
    if let Some(passed) = ListenFd::from_env().take_tcp_listener(0)? {
        return Ok(passed);
    }
    // cargo-devserver's own.
    if let Some(descriptor) = env::var("LISTEN_FD")
        .ok()
        .and_then(|text| text.parse().ok())
    {
        #[allow(
            unsafe_code,
            reason = "the documented way to take the socket of cargo-devserver"
        )]
        // SAFETY: cargo-devserver passes this descriptor to its child, and nobody else here takes it.
        return Ok(unsafe { TcpListener::from_raw_fd(descriptor) });
    }
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    if env::var_os("BENCH_REUSEPORT").is_some() {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&release.address.into())?;
    // What std and tokio ask for.
    socket.listen(1024)?;
    Ok(socket.into())
}
