//! Sockets: passed ones by name or index, and the address to bind when none are passed.

mod address;
mod adopt;
mod descriptors;
mod env;
mod error;
mod info;
mod listener;
mod sockets;
mod stream;
mod unsent;

pub use error::{ListenError, Passed};
pub use info::{SocketInfo, SocketKind, Which};
pub use sockets::Sockets;

pub(crate) use address::Address;
pub(crate) use listener::{Listener, open, passed_as};
pub(crate) use stream::{StaysWhole, Stream, TakeApart, TakenApart};
