//! Serves files of releases, of this one and of other kept ones.

mod body;
mod content_type;
mod hashed;
mod locate;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use tower_service::Service;

pub use body::FileBody;
pub use hashed::is_hashed;

use locate::{Located, Places, relative};

/// A year, the longest time of RFC 9111, without revalidation: the name of a file determines its contents.
const FOR_GOOD: &str = "public, max-age=31536000, immutable";

/// A tower service that answers with hashed files of this release, and of others that are kept.
///
/// A page in a browser was made by one release and names files of that release. When it requests one of them, another
/// release may serve: after a reload, after a roll back, or in the moment in which both accept. This service looks into the
/// files of all of them, so the page gets the file that it names.
///
/// ```
/// use axum::Router;
/// use portkeep::ReleaseFiles;
///
/// // `"files": ["assets", "templates"]` in the spec.
/// let app: Router = Router::new().nest_service("/assets", ReleaseFiles::below("assets"));
/// ```
///
/// # Hashed names only
/// It serves a file only if its name says what is in it, as those do that bundlers make: else two releases could have different
/// files of that name, and an old page would get a part of the new one. The rule is [`is_hashed`]: the name has a part of 8 to 64
/// hexadecimal digits, like `app-3f9a12c4.js`. [`hashed_by`](Self::hashed_by) takes another rule. Any other name is answered
/// with 404; serve it yourself, from [`PORTKEEP_RELEASE_DIR`](#where-the-files-are).
///
/// # Where the files are
/// In the directory that `PORTKEEP_RELEASE_DIR` names, and then in those that the file lists which `PORTKEEP_KEPT_FILES` names;
/// portkeep sets both for an app whose spec has `files`. Without them (`cargo run`), in the working directory.
///
/// # What it answers
/// - 200 to GET and HEAD, with `Content-Length`, the `Content-Type` of the extension (`application/octet-stream` if it is not a
///   usual one), `Cache-Control: public, max-age=31536000, immutable`, an `ETag`, and `X-Content-Type-Options: nosniff`;
/// - 304 where `If-None-Match` has that `ETag`;
/// - 404 to everything that is not a regular file with a hashed name. Names are letters, digits and `.-_~+@`; none begins with a
///   dot, nothing is decoded, and no symbolic link is followed;
/// - 405 to other methods.
///
/// Ranges are not served. The response never fails; a file that cannot be read to its end cuts its connection.
#[derive(Debug, Clone)]
pub struct ReleaseFiles {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    places: Places,
    is_hashed: fn(&str) -> bool,
}

/// What an answer depends on.
#[derive(Debug)]
struct FileRequest {
    is_head: bool,
    path: PathBuf,
    etag: HeaderValue,
    is_known: bool,
}

impl ReleaseFiles {
    /// Serves files in `directory` of a release, relative to `filesFrom` of the spec; `""` is all of it.
    #[must_use]
    pub fn below(directory: impl Into<PathBuf>) -> Self {
        Self::with(Places::from_environment(directory.into()))
    }

    fn with(places: Places) -> Self {
        Self {
            shared: Arc::new(Shared { places, is_hashed }),
        }
    }

    /// Sets another rule for hashed file names. It gets the last part of a path.
    ///
    /// For a directory in which *all* names are hashed, like Vite's (whose hashes have other letters): `hashed_by(|_|
    /// true)`.
    #[must_use]
    pub fn hashed_by(self, rule: fn(&str) -> bool) -> Self {
        let shared = Shared {
            places: self.shared.places.clone(),
            is_hashed: rule,
        };
        Self {
            shared: Arc::new(shared),
        }
    }
}

impl<B> Service<Request<B>> for ReleaseFiles {
    type Response = Response<FileBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let asked = self
            .shared
            .judge(request.method(), request.uri().path(), request.headers());
        let shared = self.shared.clone();
        Box::pin(async move {
            Ok(match asked {
                Ok(asked) => shared.answer(asked).await,
                Err(status) => refusal(status),
            })
        })
    }
}

impl Shared {
    /// The requested file, or the status of a refusal.
    fn judge(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<FileRequest, StatusCode> {
        if method != Method::GET && method != Method::HEAD {
            return Err(StatusCode::METHOD_NOT_ALLOWED);
        }
        let (path, name) = relative(path).ok_or(StatusCode::NOT_FOUND)?;
        if !(self.is_hashed)(name) {
            return Err(StatusCode::NOT_FOUND);
        }
        // From the whole path: two directories may have the same name.
        let etag = format!("\"{}\"", path.display());
        let etag = HeaderValue::try_from(etag).map_err(|_| StatusCode::NOT_FOUND)?;
        Ok(FileRequest {
            is_head: method == Method::HEAD,
            is_known: is_known(headers, &etag),
            path,
            etag,
        })
    }

    async fn answer(self: Arc<Self>, asked: FileRequest) -> Response<FileBody> {
        let path = asked.path.clone();
        // A disk may be slow.
        let located = tokio::task::spawn_blocking(move || self.places.open(&path)).await;
        match located {
            Ok(Ok(located)) => found(asked, located),
            Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
                refusal(StatusCode::NOT_FOUND)
            }
            Ok(Err(error)) => {
                tracing::warn!("cannot serve {}: {error}", asked.path.display());
                refusal(StatusCode::INTERNAL_SERVER_ERROR)
            }
            // The runtime is ending.
            Err(_) => refusal(StatusCode::SERVICE_UNAVAILABLE),
        }
    }
}

fn is_known(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let known = headers.get_all(IF_NONE_MATCH).iter();
    let known = known.filter_map(|value| value.to_str().ok());
    known.flat_map(|value| value.split(',')).any(|one| {
        let one = one.trim();
        // The weak form of it means the same here.
        one == "*" || one.strip_prefix("W/").unwrap_or(one).as_bytes() == etag.as_bytes()
    })
}

fn found(asked: FileRequest, located: Located) -> Response<FileBody> {
    let Located { file, size } = located;
    let is_whole = !asked.is_known && !asked.is_head;
    let mut response = Response::new(match is_whole {
        true => FileBody::of(file, size),
        false => FileBody::empty(),
    });
    let headers = response.headers_mut();
    if !asked.is_known {
        headers.insert(CONTENT_LENGTH, size.into());
        let kind = content_type::of(&asked.path);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(FOR_GOOD));
    headers.insert(ETAG, asked.etag);
    if asked.is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    response
}

fn refusal(status: StatusCode) -> Response<FileBody> {
    let mut response = Response::new(FileBody::empty());
    *response.status_mut() = status;
    if status == StatusCode::METHOD_NOT_ALLOWED {
        let allowed = HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(ALLOW, allowed);
    }
    response
}

#[cfg(test)]
mod tests;
