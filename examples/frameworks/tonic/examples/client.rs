//! Run: `cargo run --manifest-path examples/frameworks/Cargo.toml -p hello-tonic --example client -- 127.0.0.1:8080 5`
//!
//! Calls the service from twenty tasks for some seconds, over pooled connections. The pool follows
//! a GOAWAY: a call that finds its connection closing goes out on another one, if no byte of it was
//! sent. (tonic's own `Channel` reconnects as well, but fails such a call.) Prints what came of the
//! calls, and fails if one of them did.

use std::collections::BTreeSet;
use std::error::Error;
use std::time::{Duration, Instant};

use hello_tonic::Name;
use hello_tonic::greeter_client::GreeterClient;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

const TASKS: usize = 20;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [address, seconds] = &arguments[..] else {
        return Err("usage: client ADDRESS SECONDS".into());
    };
    let end = Instant::now() + Duration::from_secs(seconds.parse()?);
    let pool = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http();
    let greeter = GreeterClient::with_origin(pool, format!("http://{address}").parse()?);

    let tasks: Vec<_> = (0..TASKS)
        .map(|number| {
            let mut greeter = greeter.clone();
            tokio::spawn(async move {
                let (mut answered, mut failed) = (Vec::new(), Vec::new());
                while Instant::now() < end {
                    let name = format!("task {number}");
                    match greeter.say_hello(Name { name }).await {
                        Ok(greeting) => answered.push(process(greeting.into_inner().text)),
                        Err(status) => failed.push(status.to_string()),
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                (answered, failed)
            })
        })
        .collect();
    let (mut answered, mut failed) = (Vec::new(), Vec::new());
    for task in tasks {
        let (more, failures) = task.await?;
        answered.extend(more);
        failed.extend(failures);
    }
    let (calls, failures) = (answered.len(), failed.len());
    let processes: BTreeSet<_> = answered.into_iter().collect();
    println!(
        "{calls} answered by {} processes, {failures} failed",
        processes.len()
    );
    match failed.first() {
        None => Ok(()),
        Some(first) => Err(first.clone().into()),
    }
}

fn process(greeting: String) -> Option<u32> {
    greeting.rsplit(' ').next()?.parse().ok()
}
