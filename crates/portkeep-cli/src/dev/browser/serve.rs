//! Answers what the pages ask, through the app: `GENERATION PATH`, see the library's `dev/channel.rs`.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use super::state::State;
use super::{Settings, hold};

const CLIENT: &str = include_str!("client.js");
const STYLE: &str = include_str!("client.css");

/// Whoever connects and says nothing is not waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// A line now and then tells both ends that the other is still there.
const HEARTBEAT: Duration = Duration::from_secs(10);
const LONGEST_QUESTION: u64 = 1024;
const EVENTS: &str = "200 text/event-stream\n";
const JAVASCRIPT: &str = "200 text/javascript; charset=utf-8\n";

pub(super) async fn serve(
    listener: UnixListener,
    settings: Arc<Settings>,
    state: watch::Sender<State>,
) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (settings, state) = (settings.clone(), state.subscribe());
                tokio::spawn(async move {
                    // The page has gone: nobody to tell.
                    let _ = answer(stream, &settings, state).await;
                });
            }
            // Too many open files, most likely; they become fewer.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn answer(
    stream: UnixStream,
    settings: &Settings,
    mut state: watch::Receiver<State>,
) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let mut line = String::new();
    let mut question = (&mut read).take(LONGEST_QUESTION);
    let asked = tokio::time::timeout(PATIENCE, question.read_line(&mut line)).await;
    if !matches!(asked, Ok(Ok(_))) {
        return Ok(());
    }
    let Some((via, path)) = line.trim_end().split_once(' ') else {
        return Ok(());
    };
    let via: u64 = via.parse().unwrap_or_default();
    match path {
        "dev.js" => {
            let options =
                json!({ "editor": settings.editor, "root": settings.root, "style": STYLE });
            write.write_all(JAVASCRIPT.as_bytes()).await?;
            write
                .write_all(format!("((options) => {{\n{CLIENT}\n}})({options});\n").as_bytes())
                .await
        }
        "events" => {
            write.write_all(EVENTS.as_bytes()).await?;
            // Ends when the page is gone: then the app closes its end.
            let mut gone = [0; 1];
            tokio::select! {
                _ = read.read(&mut gone) => Ok(()),
                told = events(&mut write, via, &mut state) => told,
            }
        }
        "hold" => {
            let text = hold::wait(via, settings, &mut state).await;
            write.write_all(text.as_bytes()).await
        }
        _ => {
            write
                .write_all(b"404 text/plain\nportkeep dev does not have that\n")
                .await
        }
    }
}

async fn events(
    write: &mut (impl AsyncWriteExt + Unpin),
    via: u64,
    state: &mut watch::Receiver<State>,
) -> std::io::Result<()> {
    loop {
        let mut told = serde_json::to_value(&*state.borrow_and_update())?;
        // A page must not act on what it hears of a new generation from the old one.
        told["via"] = via.into();
        write
            .write_all(format!("data: {told}\n\n").as_bytes())
            .await?;
        while tokio::time::timeout(HEARTBEAT, state.changed())
            .await
            .is_err()
        {
            write.write_all(b":\n\n").await?;
        }
    }
}
