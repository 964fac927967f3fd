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
#[cfg(all(
    target_os = "linux",
    any(
        target_arch = "x86_64",
        target_arch = "aarch64",
        target_arch = "x86",
        target_arch = "arm",
        target_arch = "riscv64"
    )
))]
mod unsent;

pub use error::{ListenError, Passed};
pub use info::{SocketInfo, SocketKind, Which};
pub use sockets::Sockets;

pub(crate) use address::Address;
pub(crate) use listener::{Listener, open};
pub(crate) use stream::Stream;
