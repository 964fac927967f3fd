//! Run: `cargo run -p portkeep --example chat`, connect to ws://127.0.0.1:8080/ws?your-name, and look at
//! `curl -N 127.0.0.1:8080/events`. Under `portkeep dev` or systemd, reload it meanwhile: nobody is disconnected.
//!
//! A chat whose WebSockets go on in the next generation, and whose event streams go on where they were.

mod events;
mod log;
mod websocket;

use std::env;
use std::error::Error;
use std::path::PathBuf;

use axum::Router;
use axum::routing::{get, post};
use portkeep::Server;

use crate::log::Log;
use crate::websocket::Session;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().init();
    let directory = env::var_os("STATE_DIRECTORY").map_or_else(env::temp_dir, PathBuf::from);
    let log = Log::open(&directory.join("chat.log"))?;
    let app = Router::new()
        .route("/ws", get(websocket::upgrade))
        .route("/events", get(events::events))
        .route("/say", post(events::say))
        .with_state(log.clone());
    let resumed = move |socket, session| websocket::chat(socket, session, log.clone());
    Server::new()
        .resume("chat", Session::understand, resumed)
        .serve(app)
        .await?;
    Ok(())
}
