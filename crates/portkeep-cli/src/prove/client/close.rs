//! HTTP/1.1, a new connection for each request.

use http_body_util::Empty;
use hyper::header::CONNECTION;

use super::super::failure::Failure;
use super::super::sample::Observations;
use super::{Outcome, Shared, answer, keep_alive};

pub(super) async fn run(shared: Shared) -> Observations {
    let mut seen = Observations::default();
    while let Some(start) = shared.pace.next().await {
        let request = async |seen: &mut Observations| -> Outcome {
            let asked = request(&shared, seen).await;
            seen.connections.cut +=
                u64::from(matches!(asked, Err(Failure::Reset | Failure::Closed)));
            Some(asked)
        };
        shared.timed(&mut seen, start, request).await;
    }
    seen
}

async fn request(shared: &Shared, seen: &mut Observations) -> Result<Option<u16>, Failure> {
    let mut sender = keep_alive::open(shared, seen).await?;
    let request = shared
        .plan
        .target
        .get()
        .header(CONNECTION, "close")
        .body(Empty::new())
        .map_err(|_| Failure::Other)?;
    let response = sender
        .send_request(request)
        .await
        .map_err(|error| Failure::of(&error))?;
    answer::read(response, &shared.plan.version, seen).await
}
