//! Forwards a queued request to the generation that was built meanwhile.

use std::io;
use std::time::Duration;

use http::header::{CONNECTION, HOST};
use http::{HeaderValue, Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};

use super::queued_request;
use crate::listen::Stream;
use crate::{BoxError, task};

/// Sends `request`, which has waited, to the server at `address`: `IP:PORT`, or the path of a Unix socket.
pub(super) async fn forward(
    mut request: Request<Incoming>,
    address: &str,
    waited: Duration,
) -> Result<Response<Incoming>, BoxError> {
    if !request.headers().contains_key(HOST)
        && let Some(authority) = request.uri().authority()
    {
        let host = HeaderValue::from_str(authority.as_str())?;
        request.headers_mut().insert(HOST, host);
    }
    // In the form for a server that is no proxy.
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str());
    let path: Uri = path.parse()?;
    *request.uri_mut() = path;
    *request.version_mut() = http::Version::HTTP_11;
    queued_request::note_waited(request.headers_mut(), waited);
    // Each request has a connection of its own.
    request
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    let stream = if address.starts_with('/') {
        Stream::Unix(UnixStream::connect(address).await?)
    } else {
        Stream::Tcp(TcpStream::connect(address).await?)
    };
    let mut response = send(stream, request).await?;
    response.headers_mut().remove(CONNECTION);
    Ok(response)
}

async fn send(stream: Stream, request: Request<Incoming>) -> Result<Response<Incoming>, BoxError> {
    let connected = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = connected.map_err(io::Error::other)?;
    task::spawn(async {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "the connection of a request that was forwarded");
        }
    });
    Ok(sender.send_request(request).await?)
}
