//! Additions of `portkeep dev` to an app: a script in its pages, which reloads them and shows errors, and a channel from that
//! script to `portkeep dev`.
//!
//! Everything that is shown, and when, is decided by `portkeep dev`, at the other end of a Unix
//! socket: here is only what has to be in the app. Without the socket, requests and answers go
//! through untouched.

mod body;
mod channel;
mod document;
mod forward;
mod guard;
mod inject;
mod layer;
mod queued_request;
mod script;

pub(crate) use layer::Layer;
