//! The example of a chat, but for its `main`.

#[path = "../../examples/chat/events.rs"]
pub(crate) mod events;
#[path = "../../examples/chat/log.rs"]
pub(crate) mod log;
#[path = "../../examples/chat/websocket.rs"]
pub(crate) mod websocket;
