//! Pages of all kinds, for what a browser sees of `portkeep dev`.

use std::time::Duration;

use axum::extract::{Path, Request};
use axum::http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
};
use axum::http::StatusCode;
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
        .route("/sandboxed/{allows}", get(sandboxed))
        .route("/worker/{first}", get(with_worker))
        .route("/worker/{first}/worker.js", get(worker))
        .route("/htmx", get(|| async { htmx("first") }))
        .route("/htmx/second", get(|| async { htmx("second") }))
        .route("/htmx.js", get(|| async { file("htmx.js", "text/javascript").await }))
        .route("/compressed", get(compressed))
        .route("/zipped", get(zipped))
        .route("/kept", get(kept))
        .route("/inline", get(inline))
        .route("/hashed", get(hashed))
        .route("/hashed/{hash}", get(by_hash))
        .route("/chart", get(chart))
        .route("/form", get(form).post(page))
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

/// With an origin of its own, unless it is allowed to have the app's.
async fn sandboxed(Path(allows): Path<String>) -> impl IntoResponse {
    let policy = format!("sandbox {}", allows.replace('+', " "));
    ([(CONTENT_SECURITY_POLICY, policy)], Html(document(VERSION)))
}

/// A page with a service worker that looks into its cache `first`, or at the network.
async fn with_worker(Path(first): Path<String>) -> impl IntoResponse {
    let script = format!("<script>navigator.serviceWorker.register(\"/worker/{first}/worker.js\", {{ scope: \"/worker/{first}\" }});</script>");
    Html(document(VERSION).replace("</head>", &format!("{script}</head>")))
}

async fn worker(Path(first): Path<String>) -> impl IntoResponse {
    let script = "addEventListener('install', () => skipWaiting());\n\
        addEventListener('activate', (event) => event.waitUntil(clients.claim()));\n\
        const network = async (request) => {\n\
          const answer = await fetch(request);\n\
          if (request.mode === 'navigate') await (await caches.open('pages')).put(request, answer.clone());\n\
          return answer;\n\
        };\n\
        const cached = async (request) => (await caches.match(request)) ?? network(request);\n\
        addEventListener('fetch', (event) => event.respondWith(FIRST(event.request)));\n";
    let first = if first == "cache" { "cached" } else { "network" };
    let headers = [("content-type", "text/javascript"), ("service-worker-allowed", "/worker")];
    (headers, script.replace("FIRST", first))
}

/// A page whose links htmx follows: it swaps the body, and keeps the one before for the way back.
fn htmx(name: &str) -> Html<String> {
    let link = format!("<script src=\"/htmx.js\"></script></head>\n<body hx-boost=\"true\"><p id=\"name\">{name}</p><a id=\"on\" href=\"/htmx/second\">on</a>");
    Html(document(VERSION).replace("</head>\n<body>", &link))
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

/// As a file server does that has nothing but what was compressed at build time.
async fn zipped() -> impl IntoResponse {
    let bytes = tokio::fs::read("static/page.html.gz").await.unwrap_or_default();
    ([(CONTENT_TYPE, "text/html"), (CONTENT_ENCODING, "gzip")], bytes)
}

/// As a page that says that it did not change.
async fn kept(request: Request) -> Response {
    let is_kept = request.headers().contains_key(IF_NONE_MATCH);
    let status = if is_kept { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
    (status, [(ETAG, "\"kept\"")], Html(document(VERSION))).into_response()
}

/// A style sheet of the executable, in another place than behind a link of its own.
fn with_styles(place: &str) -> Html<String> {
    Html(document(VERSION).replace("<link rel=\"stylesheet\" href=\"/embedded.css\">", place))
}

async fn inline() -> impl IntoResponse {
    with_styles(concat!("<style>", include_str!("embedded.css"), "</style>"))
}

/// The contents are in the name.
fn hash() -> String {
    let bytes = include_bytes!("embedded.css").iter();
    format!("{:x}", bytes.fold(7_u64, |hash, byte| hash.wrapping_mul(31) + u64::from(*byte)))
}

async fn hashed() -> impl IntoResponse {
    with_styles(&format!("<link rel=\"stylesheet\" href=\"/hashed/{}\">", hash()))
}

async fn by_hash(Path(wanted): Path<String>) -> Response {
    if wanted != hash() {
        return StatusCode::NOT_FOUND.into_response();
    }
    ([(CONTENT_TYPE, "text/css")], include_str!("embedded.css")).into_response()
}

/// Writes a picture into the project whenever it is asked.
async fn chart() -> impl IntoResponse {
    let now = std::time::SystemTime::now();
    let _ = tokio::fs::write("static/chart.svg", format!("<svg><!-- {now:?} --></svg>")).await;
    page().await
}

async fn form() -> impl IntoResponse {
    Html("<!doctype html><body><form method=\"post\"><button>Send</button></form></body>")
}

async fn slow() -> impl IntoResponse {
    tokio::time::sleep(Duration::from_secs(1)).await;
    VERSION
}

async fn file(name: &str, kind: &'static str) -> impl IntoResponse + use<> {
    let bytes = tokio::fs::read(format!("static/{name}")).await.unwrap_or_default();
    ([(CONTENT_TYPE, kind)], bytes)
}
