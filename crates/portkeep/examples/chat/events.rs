//! The same as server-sent events, which go on where they were: the number of an event is the place behind its line.

use std::io;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use super::log::Log;

/// A client that comes back says how far it was, in `Last-Event-ID`: a browser does so by itself.
pub(crate) async fn events(State(log): State<Log>, headers: HeaderMap) -> Response {
    let last = headers
        .get("last-event-id")
        .map(|id| id.to_str().ok()?.parse().ok());
    let place = match last {
        // It is not believed that there is such a place.
        Some(place) => place.filter(|place| log.end().is_ok_and(|end| *place <= end)),
        None => log.end().ok(),
    };
    let Some(place) = place else {
        return (StatusCode::BAD_REQUEST, "no such Last-Event-ID\n").into_response();
    };
    // How soon it comes back.
    let hello = Event::default()
        .retry(Duration::from_millis(100))
        .id(place.to_string());
    let events = stream::unfold(
        (place, Some(hello), log),
        |(place, hello, log)| async move {
            if let Some(hello) = hello {
                return Some((Ok::<_, io::Error>(hello), (place, None, log)));
            }
            let (place, line) = log.next(place).await.ok()?;
            let event = Event::default().id(place.to_string()).data(line);
            Some((Ok(event), (place, None, log)))
        },
    );
    // Between two events it ends, and the client comes back to the next generation.
    Sse::new(portkeep::until_drain(events)).into_response()
}

pub(crate) async fn say(State(log): State<Log>, line: String) -> StatusCode {
    match log.say(&line) {
        Ok(()) => StatusCode::NO_CONTENT,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
