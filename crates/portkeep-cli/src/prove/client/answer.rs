//! Reads an answer to its end.

use http::response::Parts;
use http_body_util::BodyExt;
use hyper::Response;
use hyper::body::Incoming;

use super::super::failure::Failure;
use super::super::plan::VersionIn;
use super::super::sample::Observations;

/// A version is a word; more of a body is not looked at.
const LONGEST_VERSION: usize = 100;

/// Reads the body, counts the status, and answers the version.
pub(super) async fn read(
    response: Response<Incoming>,
    version: &VersionIn,
    seen: &mut Observations,
) -> Result<Option<u16>, Failure> {
    let (head, body) = response.into_parts();
    let body = body.collect().await.map_err(|error| Failure::of(&error))?;
    let in_header = read_head(&head, version, seen)?;
    if *version != VersionIn::Body {
        return Ok(in_header);
    }
    let bytes = body.to_bytes();
    let text = String::from_utf8_lossy(&bytes);
    let text: String = text.trim().chars().take(LONGEST_VERSION).collect();
    Ok(Some(seen.version(&text)))
}

/// Counts the status, and answers the version if that is in a header.
pub(super) fn read_head(
    head: &Parts,
    version: &VersionIn,
    seen: &mut Observations,
) -> Result<Option<u16>, Failure> {
    *seen.statuses.entry(head.status.as_u16()).or_default() += 1;
    if head.status.as_u16() >= 500 {
        return Err(Failure::ServerError);
    }
    let VersionIn::Header(name) = version else {
        return Ok(None);
    };
    let value = head.headers.get(name);
    Ok(value.map(|value| seen.version(&String::from_utf8_lossy(value.as_bytes()))))
}
