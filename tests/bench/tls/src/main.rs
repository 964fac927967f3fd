//! TLS by portkeep-s2n, measured: `tests/bench/tls/run [ROUNDS] [SECONDS]`.
//!
//! The same app and the same client over TLS 1.3, keep-alive: beside `axum::serve` behind tokio-rustls, with the same
//! cryptography (aws-lc), and through a hundred reloads.

mod beside;
mod client;
mod process;
mod reloads;
mod serve;
mod world;

use std::env::args;
use std::time::Duration;

use anyhow::{Context, bail};

use process::Kind;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match &arguments[..] {
        ["serve", kind, directory] => {
            let kind = Kind::of(kind).context("serve portkeep-s2n or tokio-rustls")?;
            serve::serve(kind, directory.as_ref())
        }
        ["plain", address] => serve::plain(address),
        ["beside", rounds, seconds] => {
            beside::measure(rounds.parse()?, Duration::from_secs(seconds.parse()?))
        }
        ["reloads", count, rate] => reloads::measure(count.parse()?, rate.parse()?),
        _ => bail!("beside ROUNDS SECONDS, or reloads COUNT RATE"),
    }
}
