//! State of a WebSocket that another process continues: the bounds of its messages, and the app's own state. Pure.

mod frames;
mod state;

pub(crate) use frames::Frames;
pub use state::SessionState;
pub(crate) use state::{AddressedState, MOST_BYTES, MOST_NAME};
