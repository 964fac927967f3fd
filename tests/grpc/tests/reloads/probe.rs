//! The process under test: this test binary again, started for this one test.

use std::env;
use std::time::Duration;

use grpc_reloads::witness_server::{Witness, WitnessServer};
use grpc_reloads::{Answer, Question};
use portkeep::{Peer, Server};
use tokio_stream::StreamExt;
use tokio_stream::adapters::Map;
use tonic::service::Routes;
use tonic::{Extensions, Request, Response, Status, Streaming};

/// Set in the process under test.
pub(crate) const MODE: &str = "PORTKEEP_TEST_MODE";
pub(crate) const USER: &str = "PORTKEEP_TEST_USER";
/// In milliseconds: how long it drains, and for how much of that nothing moves any more.
pub(crate) const DRAIN: &str = "PORTKEEP_TEST_DRAIN_MS";
pub(crate) const LINGER: &str = "PORTKEEP_TEST_LINGER_MS";
/// HTTP/2 connections stay.
pub(crate) const KEEPS_HTTP2: &str = "PORTKEEP_TEST_KEEPS_HTTP2";

#[test]
fn probe_process() {
    if env::var(MODE).as_deref() == Ok("serve") {
        serve();
    }
}

fn millis(variable: &str) -> Duration {
    let text = env::var(variable).unwrap();
    Duration::from_millis(text.parse().unwrap())
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn serve() {
    tracing_subscriber::fmt()
        .with_env_filter("debug,hyper=info,h2=info")
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    let mut server = Server::new()
        .drain_timeout(millis(DRAIN))
        .linger(millis(LINGER));
    if env::var_os(KEEPS_HTTP2).is_some() {
        server = server.move_http2(false);
    }
    let calls = Routes::new(WitnessServer::new(Here));
    server.serve(calls.into_axum_router()).await.unwrap();
}

struct Here;

fn seen(number: u64, client: &str) -> Answer {
    Answer {
        number,
        client: client.to_owned(),
        process: std::process::id(),
    }
}

fn client(extensions: &Extensions) -> String {
    let address = Peer::of(extensions).and_then(|peer| peer.address());
    address
        .map(|address| address.to_string())
        .unwrap_or_default()
}

type Answering = Box<dyn FnMut(Result<Question, Status>) -> Result<Answer, Status> + Send>;

#[tonic::async_trait]
impl Witness for Here {
    async fn ask(&self, request: Request<Question>) -> Result<Response<Answer>, Status> {
        let client = client(request.extensions());
        Ok(Response::new(seen(request.into_inner().number, &client)))
    }

    type TalkStream = Map<Streaming<Question>, Answering>;

    /// Answers each question until the client asks no more.
    async fn talk(
        &self,
        request: Request<Streaming<Question>>,
    ) -> Result<Response<Self::TalkStream>, Status> {
        let client = client(request.extensions());
        let answer: Answering = Box::new(move |question| Ok(seen(question?.number, &client)));
        Ok(Response::new(request.into_inner().map(answer)))
    }
}
