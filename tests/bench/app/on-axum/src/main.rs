use axum::{Router, routing::get};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() {
    let app = Router::new().route("/", get(|| async { "VERSION" }));
    let address = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let mut listenfd = listenfd::ListenFd::from_env();
    let listener = match listenfd.take_tcp_listener(0).unwrap() {
        Some(passed) => {
            passed.set_nonblocking(true).unwrap();
            TcpListener::from_std(passed).unwrap()
        }
        None => TcpListener::bind(address).await.unwrap(),
    };
    axum::serve(listener, app).await.unwrap();
}
