//! HTTP/2 by prior knowledge: several concurrent requests on a connection, by clients that obey GOAWAY.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::Request;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::super::failure::Failure;
use super::super::sample::Observations;
use super::{Outcome, Shared, answer};

type Sender = SendRequest<Empty<Bytes>>;

/// The connection for new requests, and the number of connections before it.
#[derive(Debug, Default)]
struct Slot {
    sender: Option<Sender>,
    number: u64,
}

pub(super) async fn run(shared: Shared, streams: u32) -> Observations {
    let slot = Arc::new(Mutex::new(Slot::default()));
    let mut all = JoinSet::new();
    for _ in 0..streams {
        all.spawn(stream(shared.clone(), Arc::clone(&slot)));
    }
    let mut seen = Observations::default();
    while let Some(one) = all.join_next().await {
        // A panic is a bug of this program, and `join_next` would hide it.
        seen.add(one.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic())));
    }
    seen
}

async fn stream(shared: Shared, slot: Arc<Mutex<Slot>>) -> Observations {
    let mut seen = Observations::default();
    while let Some(start) = shared.pace.next().await {
        let request = async |seen: &mut Observations| -> Outcome {
            Some(request(&shared, &slot, seen).await)
        };
        shared.timed(&mut seen, start, request).await;
    }
    seen
}

async fn request(
    shared: &Shared,
    slot: &Mutex<Slot>,
    seen: &mut Observations,
) -> Result<Option<u16>, Failure> {
    let target = &shared.plan.target;
    let mut request = Request::get(format!("http://{}{}", target.authority, target.path))
        .body(Empty::new())
        .map_err(|_| Failure::Other)?;
    loop {
        let (mut sender, number) = current(shared, slot, seen).await?;
        let unsent = match sender.ready().await {
            Ok(()) => match sender.try_send_request(request).await {
                Ok(response) => return answer::read(response, &shared.plan.version, seen).await,
                Err(mut error) => match error.take_message() {
                    Some(unsent) => unsent,
                    None => {
                        forget(slot, number, seen, Ending::Cut).await;
                        return Err(Failure::of(error.error()));
                    }
                },
            },
            Err(_) => request,
        };
        // GOAWAY came before the request was sent, so the request goes over the next connection, as the protocol requires.
        request = unsent;
        seen.connections.moved_by_goaway += 1;
        forget(slot, number, seen, Ending::Told).await;
    }
}

#[derive(Clone, Copy)]
enum Ending {
    Told,
    Cut,
}

/// The connection, reopened if it is closed. Other requests wait meanwhile, as for a connection pool.
async fn current(
    shared: &Shared,
    slot: &Mutex<Slot>,
    seen: &mut Observations,
) -> Result<(Sender, u64), Failure> {
    let mut slot = slot.lock().await;
    if slot.sender.as_ref().is_some_and(SendRequest::is_closed) {
        slot.sender = None;
        seen.connections.told("goaway");
    }
    if let Some(sender) = &slot.sender {
        return Ok((sender.clone(), slot.number));
    }
    let stream = shared.connect(seen).await?;
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .map_err(|error| Failure::of(&error))?;
    tokio::spawn(connection);
    slot.number += 1;
    slot.sender = Some(sender.clone());
    Ok((sender, slot.number))
}

/// Closes a connection to new requests; the first caller counts it.
async fn forget(slot: &Mutex<Slot>, number: u64, seen: &mut Observations, ending: Ending) {
    let mut slot = slot.lock().await;
    if slot.number == number && slot.sender.take().is_some() {
        match ending {
            Ending::Told => seen.connections.told("goaway"),
            Ending::Cut => seen.connections.cut += 1,
        }
    }
}
