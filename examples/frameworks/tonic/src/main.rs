//! Run: `portkeep dev --project examples/frameworks/tonic`, then
//! `cargo run --manifest-path examples/frameworks/Cargo.toml -p hello-tonic --example client -- 127.0.0.1:8080 5` calls it for
//! five seconds.
//!
//! A tonic service is an axum router inside, so `portkeep::serve` does everything: it takes the
//! socket and says READY before the first accept. At SIGTERM, an HTTP/2 connection moves to the next
//! generation between two calls. A busy one gets a GOAWAY in two steps: its client opens no more
//! calls on it, and the running ones are finished.

use hello_tonic::greeter_server::{Greeter, GreeterServer};
use hello_tonic::{Greeting, Name};
use tonic::service::Routes;
use tonic::{Request, Response, Status};

struct Hello;

#[tonic::async_trait]
impl Greeter for Hello {
    async fn say_hello(&self, request: Request<Name>) -> Result<Response<Greeting>, Status> {
        let name = request.into_inner().name;
        let text = format!("Hello {name} from process {}", std::process::id());
        Ok(Response::new(Greeting { text }))
    }
}

#[tokio::main]
async fn main() -> Result<(), portkeep::Error> {
    let calls = Routes::new(GreeterServer::new(Hello));
    portkeep::serve(calls.into_axum_router()).await
}
