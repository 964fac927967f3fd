//! Answers what the pages ask, through the app: `GENERATION PATH`, see the library's `dev/channel.rs`.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use super::desk::{Desk, Settings};
use super::{hold, view};
use crate::event::Event;
use crate::status::Page;

const CLIENT: &str = concat!(
    include_str!("client/reload.js"),
    include_str!("client/connection.js"),
    include_str!("client/overlay.js"),
    include_str!("client/terminal.js"),
);
const STYLE: &str = include_str!("client/style.css");

/// Whoever connects and says nothing is not waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// A line now and then tells both ends that the other is still there.
const HEARTBEAT: Duration = Duration::from_secs(10);
const LONGEST_QUESTION: u64 = 1024;
const EVENTS: &str = "200 text/event-stream\n";
const PLAIN: &str = "200 text/plain\n";
const UNKNOWN: &str = "404 text/plain\nportkeep dev does not have that\n";
const JAVASCRIPT: &str = "200 text/javascript; charset=utf-8\n";

pub(super) async fn serve(listener: UnixListener, desk: Arc<Desk>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let desk = desk.clone();
                tokio::spawn(async move {
                    // The page has gone: nobody to tell.
                    let _ = answer(stream, &desk).await;
                });
            }
            // Too many open files, most likely; they become fewer.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn answer(stream: UnixStream, desk: &Desk) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let mut line = String::new();
    let mut question = (&mut read).take(LONGEST_QUESTION);
    let asked = tokio::time::timeout(PATIENCE, question.read_line(&mut line)).await;
    if !matches!(asked, Ok(Ok(_))) {
        return Ok(());
    }
    let Some((via, asked)) = line.trim_end_matches('\n').split_once(' ') else {
        return Ok(());
    };
    let via: u64 = via.parse().unwrap_or_default();
    let mut page = desk.page.subscribe();
    // Pages cannot ask for what has a space in it.
    let text = match asked.split_once(' ').unwrap_or((asked, "")) {
        ("dev.js", "") => script(&desk.settings),
        ("events", "") => {
            write.write_all(EVENTS.as_bytes()).await?;
            // Ends when the page is gone: then the app closes its end.
            let mut gone = [0; 1];
            return tokio::select! {
                _ = read.read(&mut gone) => Ok(()),
                told = events(&mut write, via, &mut page) => told,
            };
        }
        ("page", "") => format!("{PLAIN}{}\n", view::made_of(&page.borrow())),
        ("holds", "") => {
            desk.heard.holds.fetch_max(via, Ordering::Relaxed);
            PLAIN.to_owned()
        }
        ("compressed", path) if !path.is_empty() => {
            desk.heard.tell(Event::Compressed(path.to_owned()));
            PLAIN.to_owned()
        }
        ("hold", asked) => match hold::Request::parse(via, asked) {
            Some(request) => request.wait(&desk.settings, &mut page).await,
            None => UNKNOWN.to_owned(),
        },
        _ => UNKNOWN.to_owned(),
    };
    write.write_all(text.as_bytes()).await
}

/// The script of a page.
fn script(settings: &Settings) -> String {
    // A path need not be text; what cannot be shown leads nowhere.
    let root = settings.root.to_string_lossy();
    let options = json!({ "editor": settings.editor, "root": root, "style": STYLE });
    format!("{JAVASCRIPT}((options) => {{\n{CLIENT}\n}})({options});\n")
}

async fn events(
    write: &mut (impl AsyncWriteExt + Unpin),
    via: u64,
    page: &mut watch::Receiver<Page>,
) -> std::io::Result<()> {
    loop {
        let told = view::told(&page.borrow_and_update(), via)?;
        write
            .write_all(format!("data: {told}\n\n").as_bytes())
            .await?;
        while tokio::time::timeout(HEARTBEAT, page.changed())
            .await
            .is_err()
        {
            write.write_all(b":\n\n").await?;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn a_directory_whose_name_is_no_text_has_a_script_too() {
        let settings = Settings {
            editor: "vscode".to_owned(),
            root: OsString::from_vec(b"/home/\xff/app".to_vec()).into(),
            hold: Duration::ZERO,
            addresses: Vec::new(),
        };
        let script = script(&settings);
        assert!(script.contains("\"root\":\"/home/\u{fffd}/app\""));
    }
}
