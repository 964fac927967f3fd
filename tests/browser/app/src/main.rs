//! Pages of all kinds, for what a browser sees of `portkeep dev`.

use std::time::Duration;

use axum::extract::Request;
use axum::http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
};
use axum::response::{Html, IntoResponse, Response};
use axum::{Router, routing::get};

const VERSION: &str = "one";
/// How long a start takes, in milliseconds.
const START: u64 = 0;

#[tokio::main]
async fn main() -> Result<(), portkeep::Error> {
    // start
    let app = Router::new()
        .route("/", get(page))
        .route("/plain", get(|| async { VERSION }))
        .route("/json", get(|| async { ([(CONTENT_TYPE, "application/json")], "{\"a\":\"</body>\"}") }))
        .route("/nonce", get(nonce))
        .route("/strict", get(strict))
        .route("/compressed", get(compressed))
        .route("/slow", get(slow))
        .route("/echo", get(page).post(|body: String| async move { format!("{VERSION} {body}") }))
        .route("/embedded.css", get(|| async { ([(CONTENT_TYPE, "text/css")], include_str!("embedded.css")) }))
        .route("/style.css", get(|| async { file("style.css", "text/css").await }));
    portkeep::Server::new()
        .ready_when(async {
            tokio::time::sleep(Duration::from_millis(START)).await;
            Ok::<_, std::io::Error>(())
        })
        .serve(app)
        .await
}

fn document(version: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>Pages</title>\n\
         <link rel=\"icon\" href=\"data:,\">\n\
         <link rel=\"stylesheet\" href=\"/style.css\"><link rel=\"stylesheet\" href=\"/embedded.css\"></head>\n\
         <body>\n<h1>Pages</h1>\n<p id=\"version\">{version}</p>\n\
         <p>A list of things that a page shows while it is developed.</p>\n\
         <form><input id=\"field\" name=\"field\"><button>Send</button></form>\n\
         <script>window.text = \"</body>\";</script>\n\
         <div style=\"height: 2000px\"></div>\n</body>\n</html>\n"
    )
}

async fn page() -> impl IntoResponse {
    ([(ETAG, "\"always the same\"")], Html(document(VERSION)))
}

async fn nonce() -> impl IntoResponse {
    let policy = "default-src 'self'; script-src 'nonce-r4nd0m'; style-src 'self'";
    ([(CONTENT_SECURITY_POLICY, policy)], Html(document(VERSION)))
}

async fn strict() -> impl IntoResponse {
    let policy = "default-src 'self'; require-trusted-types-for 'script'; trusted-types 'none'";
    ([(CONTENT_SECURITY_POLICY, policy)], Html(document(VERSION)))
}

/// As a compressing layer does: by what the client accepts.
async fn compressed(request: Request) -> Response {
    let accepts = request.headers().get(ACCEPT_ENCODING);
    let accepts = accepts.and_then(|value| value.to_str().ok()).unwrap_or_default();
    for (word, name) in [("zstd", "zst"), ("br", "br"), ("gzip", "gz"), ("deflate", "zz")] {
        if accepts.contains(word) {
            let bytes = tokio::fs::read(format!("static/page.html.{name}")).await.unwrap_or_default();
            return ([(CONTENT_TYPE, "text/html"), (CONTENT_ENCODING, word)], bytes).into_response();
        }
    }
    file("page.html", "text/html").await.into_response()
}

async fn slow() -> impl IntoResponse {
    tokio::time::sleep(Duration::from_secs(1)).await;
    VERSION
}

async fn file(name: &str, kind: &'static str) -> impl IntoResponse + use<> {
    let bytes = tokio::fs::read(format!("static/{name}")).await.unwrap_or_default();
    ([(CONTENT_TYPE, kind)], bytes)
}
