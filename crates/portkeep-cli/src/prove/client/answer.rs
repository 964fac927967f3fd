//! Reads an answer to its end.

use http_body_util::BodyExt;
use hyper::Response;
use hyper::body::Incoming;

use super::super::failure::Failure;
use super::super::plan::VersionIn;
use super::super::sample::Seen;

/// A version is a word; more of a body is not looked at.
const LONGEST_VERSION: usize = 100;

/// Reads the body, counts the status, and answers the version.
pub(super) async fn read(
    response: Response<Incoming>,
    version: &VersionIn,
    seen: &mut Seen,
) -> Result<Option<u16>, Failure> {
    let (head, body) = response.into_parts();
    let body = body.collect().await.map_err(|error| Failure::of(&error))?;
    let status = head.status.as_u16();
    *seen.statuses.entry(status).or_default() += 1;
    if status >= 500 {
        return Err(Failure::ServerError);
    }
    Ok(match version {
        VersionIn::Nowhere => None,
        VersionIn::Header(name) => {
            let value = head.headers.get(name);
            value.map(|value| seen.version(&String::from_utf8_lossy(value.as_bytes())))
        }
        VersionIn::Body => {
            let bytes = body.to_bytes();
            let text = String::from_utf8_lossy(&bytes);
            let text: String = text.trim().chars().take(LONGEST_VERSION).collect();
            Some(seen.version(&text))
        }
    })
}
