//! Additions of `portkeep dev` to an app: a script in its pages, which reloads them and shows errors, and a channel from that
//! script to `portkeep dev`.
//!
//! `portkeep dev`, at the other end of a Unix socket, decides what is shown and when: here is only what has to be in the
//! app. Without the socket, requests and answers pass unchanged.

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
