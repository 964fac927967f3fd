//! WebSockets whose messages are sent back.

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::error::Error;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::super::failure::Failure;
use super::super::plan::VersionIn;
use super::super::sample::Observations;
use super::{Outcome, Shared, Timed};

type Socket = WebSocketStream<TcpStream>;

pub(super) async fn run(shared: Shared) -> Observations {
    let mut seen = Observations::default();
    let mut socket: Option<Socket> = None;
    let mut number = 0_u64;
    while let Some(start) = shared.pace.next().await {
        number += 1;
        let request = async |seen: &mut Observations| -> Outcome {
            echo(&shared, &mut socket, number, seen).await
        };
        if shared.timed(&mut seen, start, request).await == Timed::Out && socket.take().is_some() {
            seen.connections.cut += 1;
        }
    }
    seen
}

async fn echo(
    shared: &Shared,
    socket: &mut Option<Socket>,
    number: u64,
    seen: &mut Observations,
) -> Outcome {
    if socket.is_none() {
        match open(shared, seen).await {
            Ok(opened) => *socket = Some(opened),
            Err(failure) => return Some(Err(failure)),
        }
    }
    let Some(open) = socket.as_mut() else {
        return Some(Err(Failure::Other));
    };
    let ended = match exchange(open, number).await {
        Ok(text) => {
            let version = match shared.plan.version {
                VersionIn::Body => Some(seen.version(&text)),
                _ => None,
            };
            return Some(Ok(version));
        }
        Err(ended) => ended,
    };
    *socket = None;
    match ended {
        // Told to end: the client knows that its message was not answered, and goes on elsewhere.
        Ended::Told(code) => {
            seen.connections.told(&format!("close frame {code}"));
            None
        }
        Ended::Cut(failure) => {
            seen.connections.cut += 1;
            Some(Err(failure))
        }
    }
}

async fn open(shared: &Shared, seen: &mut Observations) -> Result<Socket, Failure> {
    let stream = shared.connect(seen).await?;
    let target = &shared.plan.target;
    let url = format!("ws://{}{}", target.authority, target.path);
    match client_async(url, stream).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(response)) => {
            *seen.statuses.entry(response.status().as_u16()).or_default() += 1;
            Err(match response.status().is_server_error() {
                true => Failure::ServerError,
                false => Failure::Other,
            })
        }
        Err(error) => Err(failure(&error)),
    }
}

enum Ended {
    Told(u16),
    Cut(Failure),
}

/// Sends one message and waits for it to come back. Others that the server sends are passed over.
async fn exchange(socket: &mut Socket, number: u64) -> Result<String, Ended> {
    let cut = |error: &Error| Ended::Cut(failure(error));
    let text = number.to_string();
    let sent = socket.send(Message::text(text.clone())).await;
    if let Err(error) = &sent
        && !matches!(
            error,
            Error::ConnectionClosed | Error::AlreadyClosed | Error::Protocol(_) | Error::Io(_)
        )
    {
        return Err(cut(error));
    }
    // Where sending failed, a close frame may have come before: it is read first.
    loop {
        match socket.next().await {
            Some(Ok(Message::Close(frame))) => {
                return Err(Ended::Told(frame.map_or(1005, |frame| frame.code.into())));
            }
            Some(Ok(Message::Text(answer))) if answer.as_str().contains(&text) => {
                return Ok(answer.as_str().to_owned());
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(cut(&error)),
            None => return Err(Ended::Cut(Failure::Closed)),
        }
    }
}

fn failure(error: &Error) -> Failure {
    match error {
        Error::Io(error) => Failure::of(error),
        Error::ConnectionClosed | Error::AlreadyClosed | Error::Protocol(_) => Failure::Closed,
        _ => Failure::Other,
    }
}
