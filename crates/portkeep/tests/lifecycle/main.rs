//! Runs real processes with passed sockets, the way a service manager does, and looks at them
//! from outside.

#![allow(clippy::unwrap_used)] // Helpers too: a failed one is a failed test.

#[path = "../../src/moving/tests/cipher.rs"]
mod cipher;
mod client;
mod example;
#[path = "../../examples/tls_tickets/keys.rs"]
mod keys;
mod load;
mod manager;
mod probe;

mod cut;
mod drain;
mod health;
mod http2;
mod idle;
mod limits;
mod moving;
mod notify;
mod overlap;
mod settings;
mod sockets;
mod tls;
