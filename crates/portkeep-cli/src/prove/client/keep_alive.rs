//! HTTP/1.1, many requests on each connection.

use bytes::Bytes;
use http_body_util::Empty;
use hyper::Version;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::CONNECTION;
use hyper_util::rt::TokioIo;

use super::super::failure::Failure;
use super::super::sample::Observations;
use super::{Outcome, Shared, Timed, answer};

type Sender = SendRequest<Empty<Bytes>>;

pub(super) async fn run(shared: Shared) -> Observations {
    let mut seen = Observations::default();
    let mut connection: Option<Sender> = None;
    while let Some(start) = shared.pace.next().await {
        let request = async |seen: &mut Observations| -> Outcome {
            Some(request(&shared, &mut connection, seen).await)
        };
        if shared.timed(&mut seen, start, request).await == Timed::Out {
            connection = None;
        }
    }
    seen
}

async fn request(
    shared: &Shared,
    connection: &mut Option<Sender>,
    seen: &mut Observations,
) -> Result<Option<u16>, Failure> {
    // The server closed it while it was idle: a client that checks opens another one, and nothing is lost.
    if connection.as_ref().is_some_and(SendRequest::is_closed) {
        *connection = None;
        seen.connections.told("idle closed");
    }
    let mut sender = match connection.take() {
        Some(sender) => sender,
        None => open(shared, seen).await?,
    };
    let asked = ask(shared, &mut sender, seen).await;
    match &asked {
        Ok((_, KeptOpen::Yes)) => *connection = Some(sender),
        Ok((_, KeptOpen::No)) => seen.connections.told("connection: close"),
        // An answer with status 500 is complete.
        Err(Failure::ServerError) => *connection = Some(sender),
        Err(_) => seen.connections.cut += 1,
    }
    asked.map(|(version, _)| version)
}

enum KeptOpen {
    Yes,
    No,
}

pub(super) async fn open(shared: &Shared, seen: &mut Observations) -> Result<Sender, Failure> {
    let stream = shared.connect(seen).await?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| Failure::of(&error))?;
    // The request that they hit reports its errors.
    tokio::spawn(connection);
    Ok(sender)
}

async fn ask(
    shared: &Shared,
    sender: &mut Sender,
    seen: &mut Observations,
) -> Result<(Option<u16>, KeptOpen), Failure> {
    sender.ready().await.map_err(|error| Failure::of(&error))?;
    let request = shared
        .plan
        .target
        .get()
        .body(Empty::new())
        .map_err(|_| Failure::Other)?;
    let response = sender
        .send_request(request)
        .await
        .map_err(|error| Failure::of(&error))?;
    let says_close = response
        .headers()
        .get(CONNECTION)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"));
    let kept = match says_close || response.version() == Version::HTTP_10 {
        true => KeptOpen::No,
        false => KeptOpen::Yes,
    };
    let version = answer::read(response, &shared.plan.version, seen).await?;
    Ok((version, kept))
}
