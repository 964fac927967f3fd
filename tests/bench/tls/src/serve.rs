//! The servers.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::routing::{get, post};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;

use crate::process::Kind;
use crate::world::{CERTIFICATE, KEY};

pub(crate) fn serve(kind: Kind, directory: &Path) -> anyhow::Result<()> {
    let app = Router::new().route("/", get(|| async { "hello" }));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match kind {
            Kind::PortkeepS2n => {
                let settings = portkeep_s2n::Settings::from_files(
                    directory.join(CERTIFICATE),
                    directory.join(KEY),
                );
                let server = portkeep::Server::new().transport(settings.load()?);
                Ok(server.serve(app).await?)
            }
            Kind::TokioRustls => Ok(axum::serve(Tls::listen(directory)?, app).await?),
        }
    })
}

/// Without TLS, for `tests/bench/limits`: reads bodies, and has an answer that no buffer takes in.
pub(crate) fn plain(address: &str) -> anyhow::Result<()> {
    let app = Router::new()
        .route("/", get(|| async { "hello" }))
        .route(
            "/body",
            post(|body: Bytes| async move { body.len().to_string() }),
        )
        .route("/big", get(|| async { vec![b'x'; 50_000_000] }));
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(portkeep::Server::new().listen(address).serve(app))?;
    Ok(())
}

/// Handshakes are tasks of their own.
struct Tls {
    address: SocketAddr,
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
}

impl Tls {
    /// On standard input.
    fn listen(directory: &Path) -> anyhow::Result<Self> {
        let listener = io::stdin().as_fd().try_clone_to_owned()?;
        let listener = std::net::TcpListener::from(listener);
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_file(directory.join(CERTIFICATE))?],
                PrivateKeyDer::from_pem_file(directory.join(KEY))?,
            )?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (sender, ready) = mpsc::channel(128);
        let address = listener.local_addr()?;
        tokio::spawn(async move {
            while let Ok((socket, peer)) = listener.accept().await {
                let (acceptor, sender) = (acceptor.clone(), sender.clone());
                tokio::spawn(async move {
                    let _ = socket.set_nodelay(true);
                    if let Ok(stream) = acceptor.accept(socket).await {
                        let _ = sender.send((stream, peer)).await;
                    }
                });
            }
        });
        Ok(Self { address, ready })
    }
}

impl axum::serve::Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(ready) => ready,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(self.address)
    }
}
