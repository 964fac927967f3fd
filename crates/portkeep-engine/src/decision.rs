//! Decisions of portkeep, as journal entries.
//!
//! Each kind of decision has an id, by which programs find it in the journal, and one text: its meaning and the remedy.
//! That text is written once, in `decision/text.rs`; `doctor` fills it for an app, and the journal's message catalog
//! (`journalctl -x`) is made from it.
//!
//! ```text
//! handover, end of a generation ─▶ Announcement ─▶ journal (MESSAGE_ID=, PORTKEEP_…=)
//!                                  DecisionKind ─▶ Text ─▶ doctor
//!                                                └──▶ catalog ─▶ journalctl -x
//! ```

mod announcement;
pub mod catalog;
mod journal;
mod kind;
mod text;

pub use announcement::Announcement;
pub(crate) use announcement::AnnouncementDetails;
pub use journal::{is_connected, send};
pub use kind::DecisionKind;
pub(crate) use text::Values;
