//! Moving connections: an old generation gives its idle ones to the next, over a socket that systemd passes to all generations.
//!
//! ```text
//! old                                   new
//!  │ connect ──────────────────────────▶ │  checks who it is
//!  │ hello ────────────────────────────▶ │
//!  │ ◀─────────────────────────── welcome│  or a nak: everything ends with the old one
//!  │ connection 0: descriptor, bytes ──▶ │
//!  │ connection 1 ─────────────────────▶ │
//!  │ ◀──────────────────────────── ack 0 │  only then does it read from connection 0
//!  │  closes its copy of connection 0    │
//!  │ ◀──────────────────────────── nak 1 │  cannot have it
//!  │  serves connection 1 to its end     │
//! ```
//!
//! **Who owns a connection:** the old process, until it has read the acknowledgement. It keeps its
//! copy of the descriptor until then, and does not touch it. The new one acknowledges before it
//! reads, and closes what it could not acknowledge. If no acknowledgement comes in time, the old
//! process closes its receiving side: what was acknowledged before can still be read, any later
//! acknowledgement fails. So nobody can own a connection twice, and what is lost with a process
//! that dies is what it owned.
//!
//! Knowledge about a connection that another process could not find out (the keys of TLS, the state of HTTP/2) is sent as
//! bytes, see [`layer_states`]. Each generation announces in its greeting which kinds it knows, and is sent no others. A
//! state belongs to one socket and is taken once.
//!
//! *Which* connections may move is decided elsewhere, in `connection::http1`.

mod layer_states;
mod limited_warnings;
mod overflow_file;
mod packets;
mod peer;
mod receive;
mod send;
mod session;
mod socket;
mod successor;
mod taken;
mod transfer;
mod wire;

#[cfg(test)]
mod tests;

pub(crate) use receive::{Destination, receive};
pub(crate) use send::send;
pub(crate) use socket::MoveSocket;
pub(crate) use successor::is_succeeded;
pub(crate) use transfer::{Departures, Speaks, Transfer, departures};
