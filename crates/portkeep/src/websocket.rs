//! What goes along with a WebSocket that another process goes on with: where its messages end, and the app's state of it. Pure.

mod frames;
mod state;

pub(crate) use frames::Frames;
pub use state::SessionState;
pub(crate) use state::{AddressedState, MOST_BYTES, MOST_NAME};
