//! Client of server-sent events, on a stream that stays open. It measures pauses between events.

use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::header::ACCEPT;
use tokio::time::Instant;

use super::super::failure::Failure;
use super::super::sample::Observations;
use super::{RECONNECT, Shared, answer, keep_alive};

pub(super) async fn run(shared: Shared) -> Observations {
    let mut seen = Observations::default();
    // Measured from the last event, even across two streams.
    let mut last = Instant::now();
    while !shared.pace.is_over(Instant::now()) {
        match open(&shared, &mut seen, last + shared.plan.timeout).await {
            Ok((body, version)) => listen(&shared, body, version, &mut last, &mut seen).await,
            Err(failure) => {
                shared.note(&mut seen, last, Err(failure));
                last = Instant::now();
                tokio::time::sleep(RECONNECT).await;
            }
        }
    }
    seen
}

async fn open(
    shared: &Shared,
    seen: &mut Observations,
    deadline: Instant,
) -> Result<(Incoming, Option<u16>), Failure> {
    let opened = tokio::time::timeout_at(deadline, async {
        let mut sender = keep_alive::open(shared, seen).await?;
        let request = shared
            .plan
            .target
            .get()
            .header(ACCEPT, "text/event-stream")
            .body(Empty::new())
            .map_err(|_| Failure::Other)?;
        let sent = sender.send_request(request).await;
        sent.map_err(|error| Failure::of(&error))
    });
    let response = opened.await.unwrap_or(Err(Failure::TimedOut))?;
    let (head, body) = response.into_parts();
    let version = answer::read_head(&head, &shared.plan.version, seen)?;
    Ok((body, version))
}

/// Reads until the stream or the run ends.
async fn listen(
    shared: &Shared,
    mut body: Incoming,
    version: Option<u16>,
    last: &mut Instant,
    seen: &mut Observations,
) {
    loop {
        let next = tokio::time::timeout_at(*last + shared.plan.timeout, body.frame()).await;
        let now = Instant::now();
        if shared.pace.is_over(now) {
            return;
        }
        match next {
            Ok(Some(Ok(frame))) => {
                if frame.is_data() {
                    shared.note(seen, *last, Ok(version));
                    *last = now;
                }
            }
            Ok(None) => {
                seen.connections.told("end of the stream");
                return;
            }
            Ok(Some(Err(error))) => {
                seen.connections.cut += 1;
                shared.note(seen, *last, Err(Failure::of(&error)));
                *last = now;
                return;
            }
            Err(_) => {
                seen.connections.cut += 1;
                shared.note(seen, *last, Err(Failure::TimedOut));
                *last = now;
                return;
            }
        }
    }
}
