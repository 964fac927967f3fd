//! Answers questions of pages, which come through the app, and those of `portkeep dev wait`.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use portkeep_contract::development::{
    LONGEST_QUESTION, Question, Refusal, SCRIPT, Understanding, VERSION,
};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use super::state::{PageState, Settings};
use super::{queued_requests, view};
use crate::event::Event;
use crate::status::Page;
use crate::verdict::Verdict;

const CLIENT: &str = concat!(
    include_str!("client/reload.js"),
    include_str!("client/connection.js"),
    include_str!("client/overlay.js"),
    include_str!("client/terminal.js"),
);
/// The page script for a library that speaks another version.
const NOT_UNDERSTOOD: &str = include_str!("client/not_understood.js");
const STYLE: &str = include_str!("client/style.css");

/// How long a client that has connected may take to ask.
const PATIENCE: Duration = Duration::from_secs(1);
/// Interval of lines that tell both ends that the other still exists.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// The same for `portkeep dev wait`, which would not notice a stopped process otherwise.
pub(crate) const WAIT_HEARTBEAT: Duration = Duration::from_secs(1);
const EVENTS: &str = "200 text/event-stream\n";
const PLAIN: &str = "200 text/plain\n";
const UNKNOWN: &str = "404 text/plain\nportkeep dev does not have that\n";
const JAVASCRIPT: &str = "200 text/javascript; charset=utf-8\n";

pub(super) async fn serve(listener: UnixListener, state: Arc<PageState>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let state = state.clone();
                tokio::spawn(async move {
                    // The page has gone.
                    let _ = answer(stream, &state).await;
                });
            }
            // Most likely too many open files; some will be closed.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn answer(stream: UnixStream, state: &PageState) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let mut line = String::new();
    let mut question = (&mut read).take(LONGEST_QUESTION);
    let asked = tokio::time::timeout(PATIENCE, question.read_line(&mut line)).await;
    if !matches!(asked, Ok(Ok(_))) {
        return Ok(());
    }
    let Some(question) = Question::parse(line.trim_end_matches('\n')) else {
        return Ok(());
    };
    let understanding = Understanding::with(question.version);
    if understanding != Understanding::Same {
        state.reports.tell(Event::NotUnderstood(understanding));
        let text = not_understood(understanding, question.what);
        return write.write_all(text.as_bytes()).await;
    }
    let (via, asked) = (question.generation, question.what);
    let mut page = state.page.subscribe();
    // Paths in questions have no spaces.
    let text = match asked.split_once(' ').unwrap_or((asked, "")) {
        (SCRIPT, "") => script(&state.settings()),
        ("events", "") => {
            write.write_all(EVENTS.as_bytes()).await?;
            // Ends when the page is gone: the app closes its end then.
            let mut gone = [0; 1];
            return tokio::select! {
                _ = read.read(&mut gone) => Ok(()),
                told = events(&mut write, via, &mut page) => told,
            };
        }
        ("page", "") => format!("{PLAIN}{}\n", view::made_of(&page.borrow())),
        ("hello", "") => PLAIN.to_owned(),
        ("holds", "") => {
            state.reports.holds.fetch_max(via, Ordering::Relaxed);
            PLAIN.to_owned()
        }
        ("compressed", path) if !path.is_empty() => {
            state.reports.tell(Event::Compressed(path.to_owned()));
            PLAIN.to_owned()
        }
        ("refused", asked) => match refusal(asked) {
            Some((why, whose)) => {
                state.reports.tell(Event::Refused(why, whose.to_owned()));
                PLAIN.to_owned()
            }
            None => UNKNOWN.to_owned(),
        },
        ("attached", "now") => attached(&state.settings()),
        ("wait", "now") => {
            let mut gone = [0; 1];
            return tokio::select! {
                _ = read.read(&mut gone) => Ok(()),
                told = wait(&mut write, state) => told,
            };
        }
        ("hold", asked) => match queued_requests::Request::parse(via, asked) {
            Some(request) => request.wait(&state.settings(), &mut page).await,
            None => UNKNOWN.to_owned(),
        },
        _ => UNKNOWN.to_owned(),
    };
    write.write_all(text.as_bytes()).await
}

/// The script of a page.
fn script(settings: &Settings) -> String {
    // A path need not be text; one that cannot be shown gets no link.
    let root = settings.root.to_string_lossy();
    let options = json!({ "editor": settings.editor, "root": root, "style": STYLE });
    format!("{JAVASCRIPT}((options) => {{\n{CLIENT}\n}})({options});\n")
}

/// The answer to a library that speaks another version: in every version the script goes into pages.
fn not_understood(understanding: Understanding, asked: &str) -> String {
    if asked == SCRIPT {
        let words = json!(understanding.to_string());
        format!("{JAVASCRIPT}((words) => {{\n{NOT_UNDERSTOOD}\n}})({words});\n")
    } else {
        format!("426 text/plain\n{understanding}\n")
    }
}

/// Parses `WHY HOST-OR-PATH`; a browser need not have sent a host.
fn refusal(asked: &str) -> Option<(Refusal, &str)> {
    let (why, whose) = asked.split_once(' ')?;
    Some((Refusal::of_word(why)?, whose))
}

/// Names this app to other commands of the same user.
fn attached(settings: &Settings) -> String {
    let Settings { app, directory, .. } = settings;
    let told = json!({ "app": app, "project": directory.to_string_lossy(), "version": VERSION });
    format!("{PLAIN}{told}\n")
}

/// Sends the verdict on the saved sources once there is one, and an empty line now and then before it.
async fn wait(write: &mut (impl AsyncWriteExt + Unpin), state: &PageState) -> std::io::Result<()> {
    let (mut verdict, _unanswered) = state.reports.wait();
    write.write_all(PLAIN.as_bytes()).await?;
    let verdict = loop {
        match tokio::time::timeout(WAIT_HEARTBEAT, &mut verdict).await {
            Ok(Ok(verdict)) => break verdict,
            // This process is ending.
            Ok(Err(_)) => return Ok(()),
            Err(_elapsed) => write.write_all(b"\n").await?,
        }
    };
    let verdict = Verdict {
        app: Some(state.settings().app.clone()),
        ..verdict
    };
    write
        .write_all(format!("{}\n", json!(verdict)).as_bytes())
        .await
}

async fn events(
    write: &mut (impl AsyncWriteExt + Unpin),
    via: u64,
    page: &mut watch::Receiver<Page>,
) -> std::io::Result<()> {
    loop {
        let told = view::told(&page.borrow_and_update(), via, Instant::now())?;
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
    use std::path::Path;

    use tokio::sync::mpsc;

    use super::super::Pages;
    use super::*;
    use crate::event::WaitId;

    const DEADLINE: Duration = Duration::from_secs(60);

    #[test]
    fn a_directory_whose_name_is_no_text_has_a_script_too() {
        let settings = Settings {
            editor: "vscode".to_owned(),
            root: OsString::from_vec(b"/home/\xff/app".to_vec()).into(),
            hold: Duration::ZERO,
            app: "hello".to_owned(),
            directory: "/".into(),
            addresses: Vec::new(),
        };
        let script = script(&settings);
        assert!(script.contains("\"root\":\"/home/\u{fffd}/app\""));
    }

    fn settings_of(app: &str) -> Settings {
        Settings {
            editor: "vscode".to_owned(),
            root: "/".into(),
            hold: Duration::ZERO,
            app: app.to_owned(),
            directory: "/p".into(),
            addresses: Vec::new(),
        }
    }

    async fn ask(path: &Path, line: &str) -> UnixStream {
        let mut stream = UnixStream::connect(path).await.unwrap();
        let line = format!("{line}\n");
        stream.write_all(line.as_bytes()).await.unwrap();
        stream
    }

    async fn answer_of(mut stream: UnixStream) -> String {
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer);
        tokio::time::timeout(DEADLINE, read).await.unwrap().unwrap();
        answer
    }

    /// The answer to a question, as a line, and the event that the loop receives.
    async fn asked(line: &str) -> (String, Option<Event>) {
        let directory = tempfile::tempdir().unwrap();
        let (events, mut reports) = mpsc::unbounded_channel();
        let path = directory.path().join("dev");
        let settings = settings_of("hello");
        let _pages = Pages::listen(path.clone(), settings, Page::new(7), events).unwrap();
        let answer = answer_of(ask(&path, line).await).await;
        (answer, reports.try_recv().ok())
    }

    async fn waits(reports: &mut mpsc::UnboundedReceiver<Event>) -> WaitId {
        let event = tokio::time::timeout(DEADLINE, reports.recv()).await;
        match event.unwrap() {
            Some(Event::Waits(id)) => id,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn who_waits_when_a_session_ends_is_answered_by_the_next_wherever_that_is() {
        let directory = tempfile::tempdir().unwrap();
        let place = |name: &str| directory.path().join(name).join("dev");
        for name in ["one", "two"] {
            std::fs::create_dir(directory.path().join(name)).unwrap();
        }
        let question = Question::new(0, "wait now").to_string();
        let (events, mut first) = mpsc::unbounded_channel();
        let settings = settings_of("one");
        let mut pages = Pages::listen(place("one"), settings, Page::new(7), events).unwrap();
        let before = ask(&place("one"), &question).await;
        let id = waits(&mut first).await;
        // Its answer is not given: an older generation may have to rest first.
        pages.answer(vec![id], Verdict::serves(Some(1)));
        pages.leave();
        drop(first);
        let meanwhile = ask(&place("one"), &question).await;
        // It is asked now, or was asked already.
        for name in ["one", "two"] {
            let (events, mut next) = mpsc::unbounded_channel();
            let (settings, page) = (settings_of(name), Page::new(8));
            pages.go_on(place(name), settings, page, events).unwrap();
            let mut ids = [waits(&mut next).await, waits(&mut next).await];
            ids.sort_by_key(|id| id.0);
            assert_eq!(ids[0], id);
            if name == "two" {
                assert!(!place("one").exists());
                pages.answer(vec![ids[0]], Verdict::serves(None));
                let answer = answer_of(before).await;
                assert!(
                    answer.contains("\"serves\"") && answer.contains("\"two\""),
                    "{answer}"
                );
                break;
            }
            std::fs::remove_file(place(name)).unwrap();
        }
        pages.end("it has ended".to_owned()).await;
        let answer = answer_of(meanwhile).await;
        assert!(
            answer.contains("notRunning") && answer.contains("it has ended"),
            "{answer}"
        );
        assert!(!place("two").exists());
    }

    #[tokio::test]
    async fn a_library_of_another_version_is_told_in_its_pages_and_in_the_terminal() {
        for (line, word) in [
            ("3 dev.js", "speaks 1,"),
            ("portkeep-dev/1 3 dev.js", "speaks 1,"),
            ("portkeep-dev/99 3 dev.js", "speaks 99,"),
        ] {
            let (script, event) = asked(line).await;
            assert!(script.starts_with(JAVASCRIPT), "{line}: {script}");
            assert!(script.contains(word), "{line}: {script}");
            assert!(matches!(event, Some(Event::NotUnderstood(_))), "{line}");
            // As each version reads it: its wait is over.
            let hold = line.replace("dev.js", "hold 0 http");
            assert!(
                asked(&hold).await.0.starts_with("426 text/plain\n"),
                "{line}"
            );
        }
        let (answer, event) = asked(&Question::new(3, "hello").to_string()).await;
        assert_eq!(answer, PLAIN);
        assert!(event.is_none());
    }

    #[tokio::test]
    async fn what_is_no_question_is_not_answered() {
        for line in ["", "x", "portkeep-dev/2 x dev.js", "-1 dev.js"] {
            let (answer, event) = asked(line).await;
            assert!(answer.is_empty() && event.is_none(), "{line}: {answer}");
        }
        for what in ["dev.jsx", "wait", "attached", "refused other x", "hold"] {
            let (answer, event) = asked(&Question::new(3, what).to_string()).await;
            assert!(
                answer.starts_with("404 ") && event.is_none(),
                "{what}: {answer}"
            );
        }
    }

    #[tokio::test]
    async fn pages_without_a_script_are_told_of() {
        let question = Question::new(3, "refused host myapp.test:8080");
        let event = asked(&question.to_string()).await.1;
        assert!(
            matches!(event, Some(Event::Refused(Refusal::Host, host)) if host == "myapp.test:8080")
        );
    }
}
