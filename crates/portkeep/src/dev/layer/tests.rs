//! The layer between real connections, an app and a `portkeep dev` that the test controls.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::header::{CONTENT_ENCODING, ETAG, IF_NONE_MATCH};
use axum::response::{Html, IntoResponse};
use axum::routing::any;
use portkeep_contract::development::{Question, VERSION};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::time::timeout;

use super::*;
use crate::connection::Resumers;
use crate::drain::Shared;
use crate::listen::Listener;
use crate::listeners::Listeners;
use crate::moving::departures;

const DEADLINE: Duration = Duration::from_secs(10);
const PAGE: &str = "<body>page</body>";
const SCRIPT: &str = "<script src=\"//localhost/.portkeep/dev.js\" data-generation=\"3\"";
/// As a tab asks.
const TAB: &str = "accept: text/html\r\nsec-fetch-dest: document\r\n";

/// An app with the layer, at an address.
struct Stage {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    _open: crate::listeners::OpenListeners,
    _directory: tempfile::TempDir,
}

impl Stage {
    /// `answer` is what `portkeep dev` says to a question.
    fn new(app: Router, answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("dev");
        let listener = UnixListener::bind(&path).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut question = String::new();
                let mut read = BufReader::new(&mut stream);
                read.read_line(&mut question).await.unwrap();
                let question = Question::parse(question.trim_end_matches('\n')).unwrap();
                assert_eq!(question.version, VERSION);
                let question = format!("{} {}", question.generation, question.what);
                let said = answer(&question);
                heard.lock().unwrap().push(question);
                stream.write_all(said.as_bytes()).await.unwrap();
            }
        });
        let channel = Channel {
            path,
            generation: 3,
            holds: true,
            allowed: vec![".allowed.test".parse().unwrap()],
        };
        let layer = Layer::told_by(
            Some(channel),
            ErasedApp::new(app),
            ShutdownToken::new(),
            None,
        );
        let (listener, address) = bind();
        let listeners = Listeners {
            sockets: vec![Listener::of(listener, "web")],
            move_socket: None,
            resumers: Resumers::default(),
        };
        let shared = Arc::new(Shared::new(Duration::ZERO, departures().0));
        Self {
            address,
            asked,
            _open: listeners.open(&ErasedApp::new(layer), &shared),
            _directory: directory,
        }
    }

    /// Sends a request with these header lines and reads all of the answer.
    async fn ask(&self, method: &str, headers: &str) -> String {
        self.ask_of("/", "localhost", method, headers).await
    }

    /// The same of another path, by another name.
    async fn ask_of(&self, path: &str, host: &str, method: &str, headers: &str) -> String {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{headers}\r\n"
        );
        let exchange = async {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer.to_ascii_lowercase()
        };
        timeout(DEADLINE, exchange).await.unwrap()
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn bind() -> (std::net::TcpListener, SocketAddr) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// What `portkeep dev` says where nothing is built.
fn quiet(question: &str) -> String {
    match question {
        "3 page" => "200 text/plain\n77 1 2\n",
        question if question.starts_with("3 hold ") => "200 text/plain\nserve\n",
        _ => "200 text/plain\n",
    }
    .to_owned()
}

fn page() -> Router {
    Router::new().route("/", any(|| async { Html(PAGE) }))
}

#[tokio::test]
async fn a_page_that_a_browser_has_kept_comes_with_the_script_and_is_not_kept() {
    let app = Router::new().route(
        "/",
        any(|request: Request| async move {
            let is_kept = request.headers().contains_key(IF_NONE_MATCH);
            let status = if is_kept { 304 } else { 200 };
            let status = StatusCode::from_u16(status).unwrap();
            (status, [(ETAG, "\"same\"")], Html(PAGE)).into_response()
        }),
    );
    let stage = Stage::new(app, quiet);
    let kept = "if-none-match: \"same\"\r\nif-modified-since: Thu, 01 Jan 1970 00:00:00 GMT\r\n";
    let tab = stage.ask("GET", &format!("{TAB}{kept}")).await;
    assert!(
        tab.starts_with("http/1.1 200") && tab.contains(SCRIPT),
        "{tab}"
    );
    assert!(
        tab.contains("cache-control: no-store") && !tab.contains("etag"),
        "{tab}"
    );
    // Not only the browser asks: a script of the page gets what the app says.
    let fetched = stage.ask("GET", &format!("accept: */*\r\n{kept}")).await;
    assert!(
        fetched.starts_with("http/1.1 304") && fetched.contains("etag"),
        "{fetched}"
    );
}

#[tokio::test]
async fn a_page_is_told_what_was_known_before_it_was_made() {
    let revision = Arc::new(Mutex::new(1));
    let told = Arc::clone(&revision);
    let app = Router::new().route(
        "/",
        any(move || async move {
            // A file changes while the page is made of it.
            *revision.lock().unwrap() += 1;
            Html(PAGE)
        }),
    );
    let stage = Stage::new(app, move |question| match question {
        "3 page" => format!("200 text/plain\n77 0 {}\n", told.lock().unwrap()),
        other => quiet(other),
    });
    for revision in 1..3 {
        let page = stage.ask("GET", TAB).await;
        let attribute = format!("data-made-of=\"77 0 {revision}\" defer></script></body>");
        assert!(page.contains(&attribute), "{page}");
    }
}

#[tokio::test]
async fn the_page_of_a_form_knows_that_it_is_one() {
    let stage = Stage::new(page(), quiet);
    let page = stage
        .ask("POST", &format!("{TAB}content-length: 0\r\n"))
        .await;
    assert!(
        page.contains("data-made-of=\"77 1 2\" data-posted defer"),
        "{page}"
    );
    let fetched = stage
        .ask(
            "POST",
            "accept: text/html\r\nsec-fetch-dest: empty\r\ncontent-length: 0\r\n",
        )
        .await;
    assert!(fetched.ends_with(PAGE), "{fetched}");
}

#[tokio::test]
async fn what_comes_compressed_unasked_goes_through_untouched_and_is_told() {
    let app = Router::new().route(
        "/",
        any(|| async {
            let headers = [(CONTENT_ENCODING, "gzip"), (ETAG, "\"z\"")];
            (headers, Html("no page can be read in this")).into_response()
        }),
    );
    let stage = Stage::new(app, quiet);
    let answer = stage.ask("GET", TAB).await;
    assert!(
        answer.ends_with("\r\n\r\nno page can be read in this"),
        "{answer}"
    );
    assert!(answer.contains("content-encoding: gzip") && answer.contains("etag: \"z\""));
    let told = async {
        while !stage.asked().contains(&"3 compressed /".to_owned()) {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, told).await.unwrap();
}

#[tokio::test]
async fn a_request_that_waited_goes_on_where_it_came_in_and_says_how_long() {
    let (next, address) = bind();
    let next = TcpListener::from_std(next).unwrap();
    let stage = Stage::new(page(), move |_| {
        format!("200 text/plain\nforward {address}\n")
    });
    let answered = async {
        let (stream, _) = next.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            stream.read_line(&mut head).await.unwrap();
        }
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\nfrom the next";
        stream.write_all(answer).await.unwrap();
        head
    };
    let (answer, head) = tokio::join!(
        stage.ask("GET", "portkeep-waited: 1500\r\n"),
        timeout(DEADLINE, answered)
    );
    assert!(answer.ends_with("from the next"), "{answer}");
    assert_eq!(stage.asked(), ["3 hold 1500 web"]);
    let head = head.unwrap();
    let waited = head
        .lines()
        .find_map(|line| line.strip_prefix("portkeep-waited: "));
    let waited: u64 = waited.unwrap().parse().unwrap();
    assert!((1500..1500 + 10_000).contains(&waited), "{head}");
}

#[tokio::test]
async fn an_app_does_not_see_how_long_a_request_waited() {
    let app = Router::new().route(
        "/",
        any(|request: Request| async move { format!("{:?}", request.headers()) }),
    );
    let stage = Stage::new(app, quiet);
    let answer = stage.ask("GET", "portkeep-waited: 1500\r\n").await;
    assert!(
        answer.starts_with("http/1.1 200") && !answer.contains("waited"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_request_that_waited_too_long_gets_a_page_that_gives_way() {
    let stage = Stage::new(page(), |question| match question {
        "3 hold 0 web" => format!("503 text/html\n{PAGE}"),
        other => quiet(other),
    });
    let waited = stage.ask("GET", TAB).await;
    assert!(waited.starts_with("http/1.1 503"), "{waited}");
    assert!(
        waited.contains(SCRIPT) && waited.contains(" data-waiting"),
        "{waited}"
    );
    assert!(waited.contains("cache-control: no-store"), "{waited}");
    let program = stage.ask("GET", "").await;
    assert!(
        program.ends_with(&STILL_BUILDING.to_ascii_lowercase()),
        "{program}"
    );
}

#[tokio::test]
async fn where_the_app_ends_tls_itself_no_request_waits() {
    let holds = |acceptor: Option<&Acceptor>| {
        let channel = Channel {
            path: "/nowhere".into(),
            generation: 1,
            allowed: Vec::new(),
            holds: true,
        };
        Layer::told_by(
            Some(channel),
            ErasedApp::new(page()),
            ShutdownToken::new(),
            acceptor,
        )
        .holds
    };
    let acceptor = Acceptor::new(|accepted| async { Ok(accepted) });
    assert!(holds(None));
    assert!(!holds(Some(&acceptor)));
}

#[tokio::test]
async fn a_page_that_gets_no_script_is_told_of() {
    let sandboxed = || async {
        (
            [("content-security-policy", "sandbox allow-scripts")],
            Html(PAGE),
        )
    };
    let app = page().route("/sandboxed", any(sandboxed));
    let stage = Stage::new(app, quiet);
    let expect_told = async |told: &str| {
        let told = told.to_owned();
        let heard = async {
            while !stage.asked().contains(&told) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let heard = timeout(DEADLINE, heard).await;
        assert!(heard.is_ok(), "{told}: {:?}", stage.asked());
    };
    let other = stage.ask_of("/", "myapp.test:80", "GET", TAB).await;
    assert!(!other.contains("dev.js"), "{other}");
    expect_told("3 refused host myapp.test:80").await;
    let sandboxed = stage.ask_of("/sandboxed", "localhost", "GET", TAB).await;
    assert!(!sandboxed.contains("dev.js"), "{sandboxed}");
    expect_told("3 refused sandbox /sandboxed").await;
    let proxied = "sec-fetch-site: cross-site\r\nreferer: http://myapp.test/\r\n";
    let refused = stage
        .ask_of("/.portkeep/dev.js", "localhost", "GET", proxied)
        .await;
    assert!(refused.starts_with("http/1.1 403"), "{refused}");
    expect_told("3 refused page myapp.test").await;
    // What is no page needs no script.
    let before = stage.asked().len();
    stage
        .ask_of("/", "other.test", "GET", "accept: */*\r\n")
        .await;
    let asked = stage.asked();
    assert!(
        !asked[before..].iter().any(|one| one.contains("refused")),
        "{asked:?}"
    );
}

#[tokio::test]
async fn a_host_that_is_allowed_has_a_script_and_may_ask() {
    let stage = Stage::new(page(), quiet);
    let tab = stage.ask_of("/", "app.allowed.test:80", "GET", TAB).await;
    assert!(
        tab.contains("//app.allowed.test:80/.portkeep/dev.js"),
        "{tab}"
    );
    let script = stage
        .ask_of("/.portkeep/dev.js", "app.allowed.test:80", "GET", "")
        .await;
    assert!(script.starts_with("http/1.1 200"), "{script}");
    let foreign = "origin: http://evil.test\r\n";
    let refused = stage
        .ask_of("/.portkeep/events", "app.allowed.test:80", "GET", foreign)
        .await;
    assert!(refused.starts_with("http/1.1 403"), "{refused}");
}
