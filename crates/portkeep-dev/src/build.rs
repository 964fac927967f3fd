//! Builds and checks, each of which can be cancelled.

mod background;
mod check;
mod command;
mod dep_info;
mod direct;
mod group;
mod tee;

pub(crate) use background::BackgroundBuild;
pub(crate) use check::{Checking, line as check_line};
pub(crate) use command::Build;
pub(crate) use direct::Direct;
pub use direct::wrap_rustc;
