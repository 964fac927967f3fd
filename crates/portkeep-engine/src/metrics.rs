//! Metrics of apps, for Prometheus and tools like it.
//!
//! ```text
//! history (all events, also those cut off) ─▶ Totals ─┐
//! units (what runs, what it says) ─▶ Run ─▶ Seen ─────┴▶ AppSample ─▶ families ─▶ text ─▶ standard output, textfile
//! ```
//!
//! No process stays resident: each query adds everything up. A counter never falls: the history is added up before its
//! oldest lines are dropped, and a generation's counts are saved until its end is in the history.

mod families;
mod sample;
mod seen;
mod text;
mod textfile;

pub use crate::status_counts::StatusCounts;
pub use families::families;
pub use sample::{AppSample, Run, Serving, SocketSample};
pub use seen::{Account, Seen};
pub use text::{Format, Kind, MetricFamily, Point, Value, render};
pub use textfile::{TextfileError, check_directory, file_name, write, write_as_owner};
